//! The rows of `pg_class` and of what hangs on relations: columns, defaults, row types, comments, indexes, constraints.

use datafusion::error::Result;

use super::{
    cell::Cell,
    definitions,
    entries::{Attribute, Entry, What, constraint_oid, default_oid},
    scope::{OWNER, Scope},
    shape::{INFORMATION_SCHEMA, PG_CATALOG, PUBLIC, Rows},
    types::{self, Property, TYPES},
};
use crate::objects::RelationKind;

/// The access method of tables.
const HEAP: u32 = 2;
/// `pg_class` as the class of a commented object.
const PG_CLASS: u32 = 1259;

/// The access methods: number, name, handler, type.
pub(super) const METHODS: [(u32, &str, u32, &str); 7] = [
    (HEAP, "heap", 3, "t"),
    (403, "btree", 330, "i"),
    (405, "hash", 331, "i"),
    (783, "gist", 332, "i"),
    (2742, "gin", 333, "i"),
    (4000, "spgist", 334, "i"),
    (3580, "brin", 335, "i"),
];

fn method(name: &str) -> u32 {
    METHODS.iter().find(|m| m.1 == name).map_or(403, |m| m.0)
}

pub(super) fn pg_class(scope: &Scope, rows: &mut Rows) -> Result<()> {
    let entries = scope.entries()?;
    for entry in &entries.all {
        let (has_index, method) = match &entry.what {
            What::Relation(_) => {
                (entries.is_indexed(entry.oid), if entry.view().is_some() && entry.kind() == "v" { 0 } else { HEAP })
            }
            What::Index { info, .. } => (false, method(&info.method)),
            What::Sequence { .. } => (false, 0),
            What::System(shape) => (false, if shape.view { 0 } else { HEAP }),
        };
        let count = match &entry.what {
            What::Relation(relation) => scope.objects.row_count(&relation.name),
            _ => None,
        };
        let attributes = match &entry.what {
            What::Index { info, .. } => info.columns.len(),
            _ => entry.attributes().len(),
        };
        rows.push([
            ("oid", entry.oid.into()),
            ("relname", entry.name.as_str().into()),
            ("relnamespace", entry.namespace.into()),
            ("reltype", entry.row_type().into()),
            ("relam", method.into()),
            ("relfilenode", entry.oid.into()),
            ("reltuples", Cell::Float(count.map_or(-1.0, |n| n as f64))),
            ("relhasindex", has_index.into()),
            ("relkind", entry.kind().into()),
            ("relnatts", i16::try_from(attributes).unwrap_or(i16::MAX).into()),
            ("relhasrules", (entry.kind() == "v").into()),
            ("relreplident", if entry.kind() == "r" { "d" } else { "n" }.into()),
        ])?;
    }
    Ok(())
}

pub(super) fn pg_attribute(scope: &Scope, rows: &mut Rows) -> Result<()> {
    let entries = scope.entries()?;
    for entry in &entries.all {
        for attribute in entry.attributes() {
            push_attribute(rows, entry.oid, &attribute.name, attribute.number, &attribute)?;
        }
        if let What::Index { table, keys, info } = &entry.what {
            let columns = entries.get(*table).map(Entry::attributes).unwrap_or_default();
            for ((key, name), number) in keys.iter().zip(&info.columns).zip(1_i16..) {
                let Some(column) = columns.iter().find(|a| a.number == *key) else { continue };
                push_attribute(rows, entry.oid, name, number, column)?;
            }
        }
    }
    Ok(())
}

fn push_attribute(rows: &mut Rows, relation: u32, name: &str, number: i16, of: &Attribute) -> Result<()> {
    let found = types::by_oid(of.type_oid);
    let property = |p| found.map_or(0, |t| t.number(p));
    let own = relation == of.relation;
    rows.push([
        ("attrelid", relation.into()),
        ("attname", name.into()),
        ("atttypid", of.type_oid.into()),
        ("attlen", property(Property::Len).into()),
        ("attnum", number.into()),
        ("attndims", i64::from(found.is_some_and(|t| t.word(Property::Category) == "A")).into()),
        ("atttypmod", of.typmod.into()),
        ("attbyval", found.is_some_and(|t| t.word(Property::ByVal) == "t").into()),
        ("attalign", found.map_or("i", |t| t.word(Property::Align)).into()),
        ("attstorage", found.map_or("p", |t| t.word(Property::Storage)).into()),
        ("attnotnull", (own && of.not_null).into()),
        ("atthasdef", (own && of.default.is_some()).into()),
        ("attcollation", property(Property::Collation).into()),
    ])
}

pub(super) fn pg_attrdef(scope: &Scope, rows: &mut Rows) -> Result<()> {
    for (entry, _) in scope.entries()?.relations() {
        for attribute in entry.attributes() {
            let Some(default) = attribute.default else { continue };
            rows.push([
                ("oid", default_oid(entry.oid, attribute.number).into()),
                ("adrelid", entry.oid.into()),
                ("adnum", attribute.number.into()),
                ("adbin", default.into()),
            ])?;
        }
    }
    Ok(())
}

pub(super) fn pg_type(scope: &Scope, rows: &mut Rows) -> Result<()> {
    for t in TYPES.iter() {
        let number = |p| Cell::from(t.number(p));
        rows.push([
            ("oid", t.oid.into()),
            ("typname", t.name.into()),
            ("typlen", number(Property::Len)),
            ("typbyval", (t.word(Property::ByVal) == "t").into()),
            ("typtype", t.word(Property::Type).into()),
            ("typcategory", t.word(Property::Category).into()),
            ("typispreferred", (t.word(Property::Preferred) == "t").into()),
            ("typdelim", t.word(Property::Delimiter).into()),
            ("typsubscript", number(Property::Subscript)),
            ("typelem", number(Property::Element)),
            ("typarray", number(Property::Array)),
            ("typinput", number(Property::Input)),
            ("typoutput", number(Property::Output)),
            ("typreceive", number(Property::Receive)),
            ("typsend", number(Property::Send)),
            ("typmodin", number(Property::ModIn)),
            ("typmodout", number(Property::ModOut)),
            ("typalign", t.word(Property::Align).into()),
            ("typstorage", t.word(Property::Storage).into()),
            ("typcollation", number(Property::Collation)),
        ])?;
    }
    for (entry, _) in scope.entries()?.relations() {
        let (row, array) = (entry.oid + 1, entry.oid + 2);
        for (name, kind, category, oid) in
            [(entry.name.clone(), "c", "C", row), (format!("_{}", entry.name), "b", "A", array)]
        {
            let own = oid == row;
            rows.push([
                ("oid", oid.into()),
                ("typname", name.into()),
                ("typnamespace", PUBLIC.into()),
                ("typlen", (-1_i16).into()),
                ("typbyval", false.into()),
                ("typtype", kind.into()),
                ("typcategory", category.into()),
                ("typrelid", if own { entry.oid } else { 0 }.into()),
                ("typelem", if own { 0 } else { row }.into()),
                ("typarray", if own { array } else { 0 }.into()),
                ("typinput", if own { 2290 } else { 750_u32 }.into()),
                ("typoutput", if own { 2291 } else { 751_u32 }.into()),
                ("typreceive", if own { 2402 } else { 2400_u32 }.into()),
                ("typsend", if own { 2403 } else { 2401_u32 }.into()),
                ("typalign", "d".into()),
                ("typstorage", "x".into()),
            ])?;
        }
    }
    Ok(())
}

pub(super) fn pg_description(scope: &Scope, rows: &mut Rows) -> Result<()> {
    for (entry, relation) in scope.entries()?.relations() {
        let mut push = |number: i64, text: Option<String>| {
            let Some(text) = text else { return Ok(()) };
            rows.push([
                ("objoid", entry.oid.into()),
                ("classoid", PG_CLASS.into()),
                ("objsubid", number.into()),
                ("description", text.into()),
            ])
        };
        push(0, scope.objects.comment(&relation.name, None))?;
        for attribute in entry.attributes() {
            push(attribute.number.into(), scope.objects.comment(&relation.name, Some(&attribute.name)))?;
        }
    }
    Ok(())
}

pub(super) fn pg_index(scope: &Scope, rows: &mut Rows) -> Result<()> {
    for (entry, info, table, keys) in scope.entries()?.indexes() {
        let zeros = || vec![0_i16; keys.len()];
        let expressions: Vec<&str> =
            info.columns.iter().zip(keys).filter(|(_, key)| **key == 0).map(|(column, _)| column.as_str()).collect();
        rows.push([
            ("indexrelid", entry.oid.into()),
            ("indrelid", table.into()),
            ("indnatts", i16::try_from(keys.len()).unwrap_or(i16::MAX).into()),
            ("indnkeyatts", i16::try_from(keys.len()).unwrap_or(i16::MAX).into()),
            ("indisunique", info.unique.into()),
            ("indisprimary", info.primary.into()),
            ("indkey", keys.to_vec().into()),
            ("indcollation", vec![0_u32; keys.len()].into()),
            ("indclass", vec![0_u32; keys.len()].into()),
            ("indoption", zeros().into()),
            ("indexprs", (!expressions.is_empty()).then(|| expressions.join(", ")).into()),
        ])?;
    }
    Ok(())
}

pub(super) fn pg_constraint(scope: &Scope, rows: &mut Rows) -> Result<()> {
    for (entry, info, table, keys) in scope.entries()?.indexes() {
        // A unique index that CREATE INDEX made is no constraint.
        if !info.primary {
            continue;
        }
        rows.push([
            ("oid", constraint_oid(entry.oid).into()),
            ("conname", entry.name.as_str().into()),
            ("connamespace", PUBLIC.into()),
            ("contype", "p".into()),
            ("conrelid", table.into()),
            ("conindid", entry.oid.into()),
            ("conkey", keys.to_vec().into()),
        ])?;
    }
    Ok(())
}

pub(super) fn pg_rewrite(scope: &Scope, rows: &mut Rows) -> Result<()> {
    for (entry, relation) in scope.entries()?.relations().filter(|(e, _)| e.view().is_some()) {
        rows.push([
            ("oid", (entry.oid + 3).into()),
            ("ev_class", entry.oid.into()),
            ("ev_action", relation.query.clone().into()),
        ])?;
    }
    Ok(())
}

pub(super) fn pg_sequence(scope: &Scope, rows: &mut Rows) -> Result<()> {
    for entry in &scope.entries()?.all {
        if let What::Sequence { .. } = entry.what {
            rows.push([("seqrelid", entry.oid.into())])?;
        }
    }
    Ok(())
}

/// That a sequence belongs to its column, so that clients find it.
pub(super) fn pg_depend(scope: &Scope, rows: &mut Rows) -> Result<()> {
    for entry in &scope.entries()?.all {
        if let What::Sequence { table, column } = entry.what {
            rows.push([
                ("classid", PG_CLASS.into()),
                ("objid", entry.oid.into()),
                ("objsubid", 0_i32.into()),
                ("refclassid", PG_CLASS.into()),
                ("refobjid", table.into()),
                ("refobjsubid", column.into()),
                ("deptype", "a".into()),
            ])?;
        }
    }
    Ok(())
}

pub(super) fn pg_tables(scope: &Scope, rows: &mut Rows) -> Result<()> {
    let entries = scope.entries()?;
    for entry in entries.all.iter().filter(|e| e.kind() == "r") {
        rows.push([
            ("schemaname", entry.schema_name().into()),
            ("tablename", entry.name.as_str().into()),
            ("tableowner", scope.session.user.as_str().into()),
            ("hasindexes", entries.is_indexed(entry.oid).into()),
        ])?;
    }
    Ok(())
}

pub(super) fn pg_views(scope: &Scope, rows: &mut Rows) -> Result<()> {
    for entry in scope.entries()?.all.iter().filter(|e| e.kind() == "v") {
        rows.push([
            ("schemaname", entry.schema_name().into()),
            ("viewname", entry.name.as_str().into()),
            ("viewowner", scope.session.user.as_str().into()),
            ("definition", entry.relation().and_then(|r| r.query.clone()).into()),
        ])?;
    }
    Ok(())
}

pub(super) fn pg_matviews(scope: &Scope, rows: &mut Rows) -> Result<()> {
    for (_, relation) in scope.entries()?.relations().filter(|(_, r)| r.kind == RelationKind::MaterializedView) {
        rows.push([
            ("matviewname", relation.name.as_str().into()),
            ("matviewowner", scope.session.user.as_str().into()),
            ("definition", relation.query.clone().into()),
        ])?;
    }
    Ok(())
}

pub(super) fn pg_indexes(scope: &Scope, rows: &mut Rows) -> Result<()> {
    for (entry, info, ..) in scope.entries()?.indexes() {
        rows.push([
            ("tablename", info.table.as_str().into()),
            ("indexname", entry.name.as_str().into()),
            ("indexdef", definitions::index(info).into()),
        ])?;
    }
    Ok(())
}

pub(super) fn pg_sequences(scope: &Scope, rows: &mut Rows) -> Result<()> {
    for entry in scope.entries()?.all.iter().filter(|e| e.kind() == "S") {
        rows.push([
            ("sequencename", entry.name.as_str().into()),
            ("sequenceowner", scope.session.user.as_str().into()),
        ])?;
    }
    Ok(())
}

/// `pg_stat_all_tables` and `pg_stat_user_tables`: of the counters only the number of rows is kept.
pub(super) fn pg_stat_tables(scope: &Scope, rows: &mut Rows) -> Result<()> {
    for (entry, relation) in scope.entries()?.relations().filter(|(e, _)| e.table().is_some()) {
        let count = scope.objects.row_count(&relation.name).and_then(|n| i64::try_from(n).ok());
        rows.push([
            ("relid", entry.oid.into()),
            ("relname", entry.name.as_str().into()),
            ("n_live_tup", count.unwrap_or(0).into()),
        ])?;
    }
    Ok(())
}

/// `pg_catalog`, `public` and `information_schema`.
pub(super) const NAMESPACES: [(u32, &str); 3] =
    [(PG_CATALOG, "pg_catalog"), (PUBLIC, "public"), (INFORMATION_SCHEMA, "information_schema")];

pub(super) fn pg_namespace(_: &Scope, rows: &mut Rows) -> Result<()> {
    for (oid, name) in NAMESPACES {
        rows.push([("oid", oid.into()), ("nspname", name.into()), ("nspowner", OWNER.into())])?;
    }
    Ok(())
}

/// The number of the constraint that stands behind an index.
pub(super) fn constraint_of(entry: &Entry) -> Option<u32> {
    match &entry.what {
        What::Index { info, .. } if info.primary => Some(constraint_oid(entry.oid)),
        _ => None,
    }
}
