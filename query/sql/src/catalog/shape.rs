//! The shapes of PostgreSQL's own relations: names, numbers and columns, read from two lists that stand beside this file.

use std::sync::{Arc, LazyLock};

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::{DataType, Field, IntervalUnit, Schema, SchemaRef, TimeUnit},
};
use datafusion::error::{DataFusionError, Result};

use super::cell::{self, Cell};

/// The name under which a field's metadata has its PostgreSQL type.
pub(super) const PG_TYPE: &str = "pg_type";
/// The name under which a field's metadata has its type's modifier.
pub(super) const PG_TYPMOD: &str = "pg_typmod";
/// The number of the schema `pg_catalog`.
pub(super) const PG_CATALOG: u32 = 11;
/// The number of the schema `public`.
pub(super) const PUBLIC: u32 = 2200;
/// The number of the schema `information_schema`.
pub(super) const INFORMATION_SCHEMA: u32 = 13_220;

/// A relation of `pg_catalog` or `information_schema`.
#[derive(Debug)]
pub(super) struct Shape {
    /// Its name.
    pub(super) name: &'static str,
    /// Its number.
    pub(super) oid: u32,
    /// The number of its schema.
    pub(super) namespace: u32,
    /// Whether PostgreSQL has it as a view.
    pub(super) view: bool,
    /// Its columns.
    pub(super) columns: Vec<Column>,
    /// The same for Arrow.
    pub(super) schema: SchemaRef,
}

/// A column of it.
#[derive(Debug)]
pub(super) struct Column {
    /// Its name.
    pub(super) name: &'static str,
    /// PostgreSQL's name of its type; domains of `information_schema` as the type below them.
    pub(super) pg_type: &'static str,
    /// What a row has unless it says otherwise.
    default: Cell,
}

/// All of them, those of `pg_catalog` first.
pub(super) static SHAPES: LazyLock<Vec<Shape>> = LazyLock::new(|| {
    let mut shapes = parse(include_str!("pg_catalog.txt"), PG_CATALOG);
    shapes.extend(parse(include_str!("information_schema.txt"), INFORMATION_SCHEMA));
    shapes
});

/// The relation of this name in a schema.
pub(super) fn shape(namespace: u32, name: &str) -> Option<&'static Shape> {
    SHAPES.iter().find(|s| s.namespace == namespace && s.name == name)
}

fn parse(list: &'static str, namespace: u32) -> Vec<Shape> {
    let mut shapes: Vec<Shape> = Vec::new();
    for line in list.lines().filter(|l| !l.starts_with('#')) {
        let mut words = line.split_ascii_whitespace();
        if line.starts_with(' ') {
            if let Some(shape) = shapes.last_mut() {
                shape.columns.extend(words.map(column));
            }
        } else if let (Some(name), Some(oid), Some(kind)) = (words.next(), words.next(), words.next()) {
            let oid = oid.parse().unwrap_or(0);
            let schema = Arc::new(Schema::empty());
            shapes.push(Shape { name, oid, namespace, view: kind == "v", columns: Vec::new(), schema });
        }
    }
    for shape in &mut shapes {
        let fields: Vec<Field> = shape.columns.iter().map(|c| field(c.name, c.pg_type)).collect();
        shape.schema = Arc::new(Schema::new(fields));
    }
    shapes
}

fn column(word: &'static str) -> Column {
    let (declared, default) = word.split_once('=').map_or((word, None), |(d, v)| (d, Some(v)));
    let (name, pg_type) = declared.split_once(':').unwrap_or((declared, "text"));
    let pg_type = match pg_type {
        "sql_identifier" => "name",
        "cardinal_number" => "int4",
        "character_data" | "yes_or_no" => "varchar",
        "time_stamp" => "timestamptz",
        other => other,
    };
    let default = default.map_or(Cell::Null, |value| match (value, arrow(pg_type)) {
        ("''", _) => Cell::from(""),
        ("'_'", _) => Cell::from(" "),
        (value, DataType::Boolean) => Cell::Bool(value == "t"),
        (value, DataType::Utf8View) => Cell::from(value),
        (value, _) => value.parse().map_or(Cell::Null, Cell::Int),
    });
    Column { name, pg_type, default }
}

/// A field of this PostgreSQL type.
pub(super) fn field(name: &str, pg_type: &str) -> Field {
    let metadata = [(PG_TYPE.to_owned(), pg_type.to_owned())];
    Field::new(name, arrow(pg_type), true).with_metadata(metadata.into_iter().collect())
}

/// How values of a PostgreSQL type are held.
pub(super) fn arrow(pg_type: &str) -> DataType {
    match pg_type {
        "bool" => DataType::Boolean,
        "int2" => DataType::Int16,
        "int4" => DataType::Int32,
        "int8" => DataType::Int64,
        "float4" => DataType::Float32,
        "float8" => DataType::Float64,
        "numeric" => DataType::Decimal128(38, 0),
        "oid" | "xid" | "cid" | "regproc" | "regtype" | "regclass" => DataType::UInt32,
        "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "interval" => DataType::Interval(IntervalUnit::MonthDayNano),
        "bytea" => DataType::BinaryView,
        "int2vector" => list(DataType::Int16),
        "oidvector" => list(DataType::UInt32),
        other => other.strip_prefix('_').map_or(DataType::Utf8View, |of| list(arrow(of))),
    }
}

fn list(of: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(of, true)))
}

/// Rows of a relation on their way.
#[derive(Debug)]
pub(super) struct Rows {
    shape: &'static Shape,
    columns: Vec<Vec<Cell>>,
    len: usize,
}

impl Rows {
    /// No rows yet.
    pub(super) fn new(shape: &'static Shape) -> Self {
        Self { shape, columns: vec![Vec::new(); shape.columns.len()], len: 0 }
    }

    /// Adds a row: values by the columns' names, defaults for the rest.
    ///
    /// # Errors
    /// When the relation has no such column: a mistake of the catalog itself.
    pub(super) fn push<const N: usize>(&mut self, values: [(&str, Cell); N]) -> Result<()> {
        for (cells, column) in self.columns.iter_mut().zip(&self.shape.columns) {
            cells.push(column.default.clone());
        }
        for (name, value) in values {
            let at = self.shape.columns.iter().position(|c| c.name == name).ok_or_else(|| {
                DataFusionError::Internal(format!("the catalog has no column {name} in {}", self.shape.name))
            })?;
            if let Some(cell) = self.columns[at].last_mut() {
                *cell = value;
            }
        }
        self.len += 1;
        Ok(())
    }

    /// The rows as a batch.
    ///
    /// # Errors
    /// When a value is not of its column's type: a mistake of the catalog itself.
    pub(super) fn batch(self) -> Result<RecordBatch> {
        let columns = self.columns.iter().zip(self.shape.schema.fields());
        let arrays: Vec<ArrayRef> =
            columns.map(|(cells, field)| cell::array(field.data_type(), cells)).collect::<Result<_>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&self.shape.schema), arrays)?)
    }
}
