//! Objects of documents as columns: a value of a document, built from the columns of its fields when it is asked for.

use std::{borrow::Cow, sync::Arc};

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray, StringViewBuilder};
use chronolith_storage::{
    document::{self, Rebuilder},
    table::{ColumnKey, Kind},
};

use crate::{
    error::{Result, SqlError},
    functions::json,
};

/// A value of the documents of a table: the one at a path, which is the whole document when it has no keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// The keys from the document to the value.
    pub(crate) path: Vec<String>,
    /// Whether it is a text as `->>` gives it; else it is jsonb.
    pub(crate) as_text: bool,
}

/// Where the values of a member are.
#[derive(Debug, Clone)]
pub(crate) struct MemberColumns {
    as_text: bool,
    is_document: bool,
    /// The columns of the value itself, those first that tell how it was written.
    own: Vec<ColumnKey>,
    /// JSON texts around the value, with the keys from them to it.
    around: Vec<(ColumnKey, Vec<String>)>,
    /// The columns of the fields in it, sorted, and what they are called in it.
    inside: Vec<(ColumnKey, ColumnKey)>,
}

impl Member {
    /// The field that the value is; empty for the document.
    pub(crate) fn field(&self) -> String {
        document::encode_path(&self.path)
    }

    /// The columns among these, which are sorted, that have the values.
    pub(crate) fn columns(&self, fields: &[ColumnKey]) -> MemberColumns {
        let field = self.field();
        let is_document = self.path.is_empty();
        let prefix = if is_document { String::new() } else { format!("{field}.") };
        let start = fields.partition_point(|key| *key.field < *prefix);
        let inside = fields[start..].iter().take_while(|key| key.field.starts_with(&prefix));
        let inside = inside.map(|key| (key.clone(), ColumnKey::new(&key.field[prefix.len()..], key.kind)));
        let inside = inside.collect();
        let mut own: Vec<ColumnKey> = of_field(fields, &field).to_vec();
        // The text of a number is how it was written; its value stands beside it.
        own.sort_by_key(|key| key.kind != Kind::NumberText);
        let around = (1..self.path.len()).flat_map(|length| {
            let (above, rest) = self.path.split_at(length);
            let keys = of_field(fields, &document::encode_path(above)).iter();
            keys.filter(|key| key.kind == Kind::Json).map(|key| (key.clone(), rest.to_vec()))
        });
        let around = around.collect();
        if is_document {
            own.clear();
        }
        MemberColumns { as_text: self.as_text, is_document, own, around, inside }
    }
}

/// The columns of one field.
fn of_field<'a>(fields: &'a [ColumnKey], field: &str) -> &'a [ColumnKey] {
    let start = fields.partition_point(|key| *key.field < *field);
    let length = fields[start..].iter().take_while(|key| *key.field == *field).count();
    &fields[start..start + length]
}

impl MemberColumns {
    /// The only column of the values, if they are in one: neither objects nor JSON texts, nor told by another column how
    /// they are written. Nulls do not count.
    pub(crate) fn only(&self) -> Option<&ColumnKey> {
        if !self.around.is_empty() || !self.inside.is_empty() {
            return None;
        }
        let mut values = self.own.iter().filter(|key| key.kind != Kind::Null);
        let only = values.next()?;
        values.next().is_none().then_some(only)
    }

    /// The kind of the values if all are numbers: integers, or floats when some may be no integers.
    pub(crate) fn number(&self) -> Option<Kind> {
        if !self.around.is_empty() || !self.inside.is_empty() {
            return None;
        }
        let mut number = None;
        for key in &self.own {
            match key.kind {
                Kind::Null => {}
                Kind::Int64 => number = number.or(Some(Kind::Int64)),
                Kind::Float64 | Kind::NumberText => number = Some(Kind::Float64),
                _ => return None,
            }
        }
        number
    }

    /// Whether some values are texts.
    pub(crate) fn has_texts(&self) -> bool {
        self.own.iter().any(|key| key.kind == Kind::Text)
    }

    /// Whether there is a column of it at all.
    pub(crate) fn is_known(&self) -> bool {
        !self.own.is_empty() || !self.inside.is_empty()
    }

    /// Whether there are fields in it.
    pub(crate) fn is_object(&self) -> bool {
        !self.inside.is_empty() || self.own.iter().any(|key| key.kind == Kind::EmptyObject)
    }

    /// The values of so many rows, from their columns.
    ///
    /// # Errors
    /// When a column cannot be read, or a JSON text in it is none.
    pub(crate) fn build(&self, rows: usize, column: impl Fn(&ColumnKey) -> Result<ArrayRef>) -> Result<ArrayRef> {
        let present = |key: &ColumnKey| -> Result<Option<ArrayRef>> {
            Ok(Some(column(key)?).filter(|array| array.null_count() < array.len()))
        };
        let mut own = Vec::new();
        for key in &self.own {
            own.extend(present(key)?.map(|array| (key.kind, array)));
        }
        if self.as_text && own.len() == 1 && own[0].0 == Kind::Text && self.around.is_empty() && self.inside.is_empty()
        {
            return Ok(ArrayRef::clone(&own[0].1));
        }
        let mut around = Vec::new();
        for (key, rest) in &self.around {
            around.extend(present(key)?.map(|array| (array, rest.as_slice())));
        }
        let (mut inside, mut called) = (Vec::new(), Vec::new());
        for (key, name) in &self.inside {
            if let Some(array) = present(key)? {
                inside.push(array);
                called.push(name);
            }
        }
        let object = Rebuilder::new(called)?;
        let mut out = StringViewBuilder::with_capacity(rows);
        let mut raw = String::new();
        for row in 0..rows {
            raw.clear();
            if let Some((kind, array)) = own.iter().find(|(_, array)| array.is_valid(row)) {
                if self.as_text && *kind == Kind::Text {
                    out.append_value(array.as_string_view().value(row));
                    continue;
                }
                Rebuilder::write_value(&mut raw, *kind, array, row);
            } else if let Some(found) = step_into(&around, row)? {
                raw.push_str(found);
            } else if self.is_document || inside.iter().any(|array| array.is_valid(row)) {
                object.write(&inside, row, &mut raw);
            } else {
                out.append_null();
                continue;
            }
            let value = json::jsonb_of_stored(&raw).map_err(SqlError::from)?;
            if self.as_text {
                out.append_option(json::text_of(&value)?);
            } else {
                out.append_value(value);
            }
        }
        Ok(Arc::new(out.finish()) as ArrayRef)
    }
}

/// The value in the first JSON text of a row that has it.
fn step_into<'a>(around: &'a [(ArrayRef, &[String])], row: usize) -> Result<Option<&'a str>> {
    for (array, rest) in around {
        let texts: &StringViewArray = array.as_string_view();
        if texts.is_valid(row)
            && let Some(found) = json::member(texts.value(row), rest)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// A name for a member that no column has, as an expression would be written.
pub(crate) fn member_name(member: &Member) -> String {
    let (root, rest) = match member.path.as_slice() {
        [root, rest @ ..] if !rest.is_empty() => (root.as_str(), rest),
        all => (DOCUMENT, all),
    };
    let mut name = root.to_owned();
    for (at, key) in rest.iter().enumerate() {
        name.push_str(if member.as_text && at + 1 == rest.len() { "->>'" } else { "->'" });
        name.push_str(&Cow::from(key.as_str()).replace('\'', "''"));
        name.push('\'');
    }
    name
}

/// The column of a dynamic table that is the whole document.
pub(crate) const DOCUMENT: &str = "_source";
