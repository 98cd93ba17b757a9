//! What stands in `pg_class`: relations, indexes, sequences and PostgreSQL's own, each with a number that stays the same.

use std::collections::{HashMap, HashSet};

use arrow::datatypes::Field;
use chronolith_storage::table::{ColumnDefinition, TableDefinition};
use datafusion::error::Result;

use super::{
    shape::{Column, INFORMATION_SCHEMA, PG_CATALOG, PG_TYPMOD, PUBLIC, SHAPES, Shape},
    types,
};
use crate::objects::{IndexInfo, Objects, Relation, RelationKind};

/// The first number of an object that is not PostgreSQL's own.
const FIRST_OID: u32 = 16_384;
/// Numbers that a table takes: itself, its row type, that one's array, its key's index and constraint, its sequence.
const OIDS_PER_TABLE: u32 = 8;
/// Numbers from here on are made of names.
const NAMED_OIDS: u32 = 0x4000_0000;
/// Numbers from here on are those of columns' defaults.
const DEFAULT_OIDS: u32 = 0xC000_0000;

/// An entry of `pg_class`.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its number.
    pub(super) oid: u32,
    /// The number of its schema.
    pub(super) namespace: u32,
    /// Its name.
    pub(super) name: String,
    /// What it is.
    pub(super) what: What,
}

/// What an entry is.
#[derive(Debug)]
pub(super) enum What {
    /// A table, a metric or a view.
    Relation(Relation),
    /// An index, with the number of its table, and of each column: 0 for an expression.
    Index {
        /// The index.
        info: IndexInfo,
        /// Its table.
        table: u32,
        /// The columns' numbers.
        keys: Vec<i16>,
    },
    /// The sequence of a serial column.
    Sequence {
        /// The table.
        table: u32,
        /// The column's number.
        column: i16,
    },
    /// One of PostgreSQL's own.
    System(&'static Shape),
}

/// A column of an entry.
#[derive(Debug)]
pub(super) struct Attribute {
    /// The number of the relation.
    pub(super) relation: u32,
    /// Its name.
    pub(super) name: String,
    /// Its number in the relation, from 1; it stays the same for declared columns.
    pub(super) number: i16,
    /// The number of its type.
    pub(super) type_oid: u32,
    /// The type's modifier; -1 when it has none.
    pub(super) typmod: i32,
    /// Whether null is refused.
    pub(super) not_null: bool,
    /// The default as an expression.
    pub(super) default: Option<String>,
}

/// All entries at one moment.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// The entries, those of PostgreSQL first.
    pub(super) all: Vec<Entry>,
    by_oid: HashMap<u32, usize>,
    by_name: HashMap<(u32, String), usize>,
    /// The tables that have an index.
    indexed: HashSet<u32>,
}

impl Entry {
    /// The letter of its kind in `pg_class`.
    pub(super) fn kind(&self) -> &'static str {
        match &self.what {
            What::Relation(relation) => match relation.kind {
                RelationKind::Table | RelationKind::Metric => "r",
                RelationKind::View => "v",
                RelationKind::MaterializedView => "m",
            },
            What::Index { .. } => "i",
            What::Sequence { .. } => "S",
            What::System(shape) => {
                if shape.view {
                    "v"
                } else {
                    "r"
                }
            }
        }
    }

    /// The number of the type of its rows; 0 when it has none.
    pub(super) fn row_type(&self) -> u32 {
        match &self.what {
            What::Relation(_) => self.oid + 1,
            _ => 0,
        }
    }

    /// The relation, if it is one.
    pub(super) fn relation(&self) -> Option<&Relation> {
        match &self.what {
            What::Relation(relation) => Some(relation),
            _ => None,
        }
    }

    /// The relation, if it is a table: no view.
    pub(super) fn table(&self) -> Option<&Relation> {
        self.relation().filter(|r| matches!(r.kind, RelationKind::Table | RelationKind::Metric))
    }

    /// The relation, if it is a view of either kind.
    pub(super) fn view(&self) -> Option<&Relation> {
        self.relation().filter(|r| matches!(r.kind, RelationKind::View | RelationKind::MaterializedView))
    }

    /// The name of its schema.
    pub(super) fn schema_name(&self) -> &'static str {
        match self.namespace {
            PG_CATALOG => "pg_catalog",
            INFORMATION_SCHEMA => "information_schema",
            _ => "public",
        }
    }

    /// Its columns by number.
    pub(super) fn attributes(&self) -> Vec<Attribute> {
        match &self.what {
            What::Relation(relation) => attributes(self.oid, relation),
            What::System(shape) => {
                let fields = shape.columns.iter().zip(1_i16..);
                let attribute = |(column, number): (&Column, i16)| Attribute {
                    relation: self.oid,
                    name: column.name.to_owned(),
                    number,
                    type_oid: types::by_name(column.pg_type).map_or(25, |t| t.oid),
                    typmod: -1,
                    not_null: false,
                    default: None,
                };
                fields.map(attribute).collect()
            }
            What::Index { .. } | What::Sequence { .. } => Vec::new(),
        }
    }

    /// The name of a serial column's sequence.
    pub(super) fn sequence_name(table: &str, column: &str) -> String {
        format!("{table}_{column}_seq")
    }
}

fn attributes(oid: u32, relation: &Relation) -> Vec<Attribute> {
    let definition = relation.definition.as_deref();
    let mut next = definition.map_or(1, |d| d.next_column.0.saturating_add(1));
    let mut found = Vec::with_capacity(relation.schema.fields().len());
    for field in relation.schema.fields() {
        let declared = definition.and_then(|d| d.column_named(field.name()));
        let number = declared.map_or(next, |c| c.id.0.saturating_add(1));
        if declared.is_none() {
            next = next.saturating_add(1);
        }
        // What PostgreSQL cannot count is left to `SELECT *`.
        let Ok(number) = i16::try_from(number) else { continue };
        found.push(Attribute { relation: oid, number, ..attribute(relation, definition, field, declared) });
    }
    found.sort_by_key(|a| a.number);
    found
}

fn attribute(
    relation: &Relation,
    definition: Option<&TableDefinition>,
    field: &Field,
    declared: Option<&ColumnDefinition>,
) -> Attribute {
    let (type_oid, typmod) = declared.map_or_else(
        || (types::of_field(field), field.metadata().get(PG_TYPMOD).and_then(|m| m.parse().ok()).unwrap_or(-1)),
        |column| types::of_column(&column.column_type),
    );
    let key = declared.zip(definition).is_some_and(|(c, d)| d.primary_key.contains(&c.id));
    let default = declared.and_then(|column| {
        let sequence =
            || format!("nextval('{}'::regclass)", quote(&Entry::sequence_name(&relation.name, &column.name)));
        column.default.clone().or_else(|| column.serial.then(sequence))
    });
    Attribute {
        relation: 0,
        name: field.name().clone(),
        number: 0,
        type_oid,
        typmod,
        not_null: key || declared.is_some_and(|c| c.not_null),
        default,
    }
}

impl Entries {
    /// The entries of the database's objects.
    ///
    /// # Errors
    /// When an index cannot be read.
    pub(super) fn new(objects: &dyn Objects) -> Result<Self> {
        let relations = objects.relations().map_err(|e| datafusion::error::DataFusionError::External(Box::new(e)))?;
        let mut entries = Self::default();
        for shape in SHAPES.iter() {
            entries.add(shape.oid, shape.namespace, shape.name.to_owned(), What::System(shape));
        }
        for relation in relations.iter() {
            let oid = relation.definition.as_deref().map_or_else(|| entries.named_oid(&relation.name), table_oid);
            entries.add(oid, PUBLIC, relation.name.clone(), What::Relation(relation.clone()));
            for column in relation.definition.iter().flat_map(|d| &d.columns).filter(|c| c.serial) {
                let name = Entry::sequence_name(&relation.name, &column.name);
                let number = i16::try_from(column.id.0.saturating_add(1)).unwrap_or(i16::MAX);
                let sequence = entries.named_oid(&name);
                entries.add(sequence, PUBLIC, name, What::Sequence { table: oid, column: number });
            }
        }
        for info in objects.indexes().iter() {
            let Some(table) = entries.named(PUBLIC, &info.table) else { continue };
            let (table_oid, attributes) = (table.oid, table.attributes());
            let number = |name: &String| attributes.iter().find(|a| a.name == *name).map_or(0, |a| a.number);
            let keys = info.columns.iter().map(number).collect();
            let oid = if info.primary { table_oid + 3 } else { entries.named_oid(&info.name) };
            let what = What::Index { info: info.clone(), table: table_oid, keys };
            entries.add(oid, PUBLIC, info.name.clone(), what);
        }
        Ok(entries)
    }

    fn add(&mut self, oid: u32, namespace: u32, name: String, what: What) {
        self.by_oid.insert(oid, self.all.len());
        self.by_name.insert((namespace, name.clone()), self.all.len());
        if let What::Index { table, .. } = what {
            self.indexed.insert(table);
        }
        self.all.push(Entry { oid, namespace, name, what });
    }

    /// A number made of a name; the next free one when two names make the same.
    fn named_oid(&self, name: &str) -> u32 {
        // FNV-1a: short, and the same in every build.
        let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let mut oid = NAMED_OIDS + (hash & 0x3fff_fff8);
        while self.by_oid.contains_key(&oid) {
            oid = NAMED_OIDS + ((oid - NAMED_OIDS + OIDS_PER_TABLE) & 0x3fff_fff8);
        }
        oid
    }

    /// The entry of this number.
    pub(super) fn get(&self, oid: u32) -> Option<&Entry> {
        self.by_oid.get(&oid).map(|at| &self.all[*at])
    }

    /// The entry of this name in a schema.
    pub(super) fn named(&self, namespace: u32, name: &str) -> Option<&Entry> {
        self.by_name.get(&(namespace, name.to_owned())).map(|at| &self.all[*at])
    }

    /// The entry that a name means: bare names stand for those of `pg_catalog`, else of `public`; numbers for themselves.
    pub(super) fn resolve(&self, text: &str) -> Option<&Entry> {
        if let Ok(oid) = text.trim().parse() {
            return self.get(oid);
        }
        let parts = split_name(text)?;
        match parts.as_slice() {
            [name] => self.named(PG_CATALOG, name).or_else(|| self.named(PUBLIC, name)),
            [schema, name] | [_, schema, name] => self.named(namespace(schema)?, name),
            _ => None,
        }
    }

    /// Whether the table of this number has an index.
    pub(super) fn is_indexed(&self, table: u32) -> bool {
        self.indexed.contains(&table)
    }

    /// All entries of the schema `public` that are tables, metrics or views.
    pub(super) fn relations(&self) -> impl Iterator<Item = (&Entry, &Relation)> {
        self.all.iter().filter_map(|e| Some((e, e.relation()?)))
    }

    /// All indexes: the entry, the index, the number of its table, the columns' numbers.
    pub(super) fn indexes(&self) -> impl Iterator<Item = (&Entry, &IndexInfo, u32, &[i16])> {
        self.all.iter().filter_map(|e| match &e.what {
            What::Index { info, table, keys } => Some((e, info, *table, keys.as_slice())),
            _ => None,
        })
    }
}

/// The number of a schema.
pub(super) fn namespace(name: &str) -> Option<u32> {
    match name {
        "pg_catalog" => Some(PG_CATALOG),
        "information_schema" => Some(INFORMATION_SCHEMA),
        "public" => Some(PUBLIC),
        _ => None,
    }
}

/// The number of a table.
fn table_oid(definition: &TableDefinition) -> u32 {
    FIRST_OID.wrapping_add(definition.id.0.wrapping_mul(OIDS_PER_TABLE)) & 0x3fff_ffff
}

/// The number of the constraint that belongs to a key's index.
pub(super) fn constraint_oid(index: u32) -> u32 {
    index + 1
}

/// The number of a column's default.
pub(super) fn default_oid(table: u32, column: i16) -> u32 {
    DEFAULT_OIDS | (table.wrapping_mul(0x9e37) ^ u32::from(column.unsigned_abs())) & 0x3fff_ffff
}

/// A name as SQL needs it: in quotes unless it is plain.
pub(super) fn quote(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !super::keywords::is_reserved(name);
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// The parts of a dotted name, quotes taken off; what is not quoted in lower case. `None` when it is no name.
pub(super) fn split_name(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = if let Some(quoted) = rest.strip_prefix('"') {
            let mut part = String::new();
            let mut chars = quoted.char_indices().peekable();
            let end = loop {
                let (at, c) = chars.next()?;
                match (c, chars.peek()) {
                    ('"', Some((_, '"'))) => {
                        part.push('"');
                        chars.next();
                    }
                    ('"', _) => break at + 1,
                    _ => part.push(c),
                }
            };
            (part, &quoted[end..])
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            (rest[..end].trim().to_lowercase(), &rest[end..])
        };
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        match after.trim_start().strip_prefix('.') {
            Some(next) => rest = next.trim_start(),
            None if after.trim().is_empty() => return Some(parts),
            None => return None,
        }
    }
}
