//! What SQL keeps as entries beside the tables: views, indexes and comments, as JSON.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, Schema};
use chronolith_storage::table::TablesView;
use serde::{Deserialize, Serialize};

use crate::rollup::StoredRollup;

/// The space of views' entries, by name.
pub(crate) const VIEWS: &str = "view";
/// The space of indexes' entries, by name.
pub(crate) const INDEXES: &str = "index";
/// The space of comments' entries, by relation, or relation and column with a NUL between.
pub(crate) const COMMENTS: &str = "comment";

/// A view.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredView {
    /// Its query.
    pub(crate) query: String,
    /// Its columns as they were when it was made.
    pub(crate) columns: Vec<StoredColumn>,
    /// What it is beside, when it is a continuous rollup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rollup: Option<StoredRollup>,
}

/// A column of a view.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredColumn {
    name: String,
    /// Arrow's type in its text form.
    data_type: String,
    /// The metadata of the field.
    metadata: HashMap<String, String>,
}

/// An index as CREATE INDEX declared it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredIndex {
    pub(crate) table: String,
    pub(crate) columns: Vec<String>,
    pub(crate) unique: bool,
    pub(crate) method: String,
}

impl StoredView {
    pub(crate) fn new(query: String, schema: &Schema) -> Self {
        let columns = schema.fields().iter().map(|field| StoredColumn {
            name: field.name().clone(),
            data_type: field.data_type().to_string(),
            metadata: field.metadata().clone(),
        });
        Self { query, columns: columns.collect(), rollup: None }
    }

    pub(crate) fn schema(&self) -> Schema {
        let fields = self.columns.iter().map(|column| {
            let data_type: DataType = column.data_type.parse().unwrap_or(DataType::Utf8View);
            Field::new(&column.name, data_type, true).with_metadata(column.metadata.clone())
        });
        Schema::new(fields.collect::<Vec<_>>())
    }
}

/// The bytes of an entry.
pub(crate) fn body(value: &impl Serialize) -> Vec<u8> {
    // Maps with text keys and plain values always have a JSON form.
    serde_json::to_vec(value).unwrap_or_default()
}

pub(crate) fn view(tables: &TablesView, name: &str) -> Option<StoredView> {
    serde_json::from_slice(tables.entry(VIEWS, name)?).ok()
}

pub(crate) fn views(tables: &TablesView) -> impl Iterator<Item = (String, StoredView)> + '_ {
    tables.entries(VIEWS).filter_map(|(name, body)| Some((name.to_owned(), serde_json::from_slice(body).ok()?)))
}

pub(crate) fn index(tables: &TablesView, name: &str) -> Option<StoredIndex> {
    serde_json::from_slice(tables.entry(INDEXES, name)?).ok()
}

pub(crate) fn indexes(tables: &TablesView) -> impl Iterator<Item = (String, StoredIndex)> + '_ {
    tables.entries(INDEXES).filter_map(|(name, body)| Some((name.to_owned(), serde_json::from_slice(body).ok()?)))
}

/// The name of a comment's entry.
pub(crate) fn comment_name(relation: &str, column: Option<&str>) -> String {
    column.map_or_else(|| relation.to_owned(), |column| format!("{relation}\0{column}"))
}

pub(crate) fn comment(tables: &TablesView, relation: &str, column: Option<&str>) -> Option<String> {
    let body = tables.entry(COMMENTS, &comment_name(relation, column))?;
    String::from_utf8(body.to_vec()).ok()
}
