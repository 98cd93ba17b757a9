//! The rows of `information_schema`: the database as SQL's standard tells it.

use datafusion::error::Result;

use super::{
    cell::Cell,
    definitions,
    entries::{Attribute, Entry, What},
    relations::NAMESPACES,
    scope::Scope,
    shape::Rows,
    types::{self, Property},
};
use crate::objects::RelationKind;

fn database(scope: &Scope) -> Cell {
    scope.session.database.as_str().into()
}

fn user(scope: &Scope) -> Cell {
    scope.session.user.as_str().into()
}

pub(super) fn catalog_name(scope: &Scope, rows: &mut Rows) -> Result<()> {
    rows.push([("catalog_name", database(scope))])
}

pub(super) fn schemata(scope: &Scope, rows: &mut Rows) -> Result<()> {
    for (_, name) in NAMESPACES {
        rows.push([("catalog_name", database(scope)), ("schema_name", name.into()), ("schema_owner", user(scope))])?;
    }
    Ok(())
}

pub(super) fn tables(scope: &Scope, rows: &mut Rows) -> Result<()> {
    for entry in &scope.entries()?.all {
        let kind = match entry.kind() {
            "r" => "BASE TABLE",
            "v" => "VIEW",
            // Materialized views are none of the standard's.
            _ => continue,
        };
        let insertable = entry.relation().is_some_and(|r| r.kind == RelationKind::Table);
        rows.push([
            ("table_catalog", database(scope)),
            ("table_schema", entry.schema_name().into()),
            ("table_name", entry.name.as_str().into()),
            ("table_type", kind.into()),
            ("is_insertable_into", yes(insertable)),
        ])?;
    }
    Ok(())
}

fn yes(value: bool) -> Cell {
    if value { "YES" } else { "NO" }.into()
}

pub(super) fn columns(scope: &Scope, rows: &mut Rows) -> Result<()> {
    for entry in scope.entries()?.all.iter().filter(|e| matches!(e.kind(), "r" | "v")) {
        for attribute in entry.attributes() {
            column(scope, rows, entry, &attribute)?;
        }
    }
    Ok(())
}

/// Digits of a type of numbers, and the base they are counted in.
fn precision(attribute: &Attribute, name: &str) -> (Cell, Cell, Cell) {
    let typmod = i64::from(attribute.typmod) - 4;
    match name {
        "int2" => (16.into(), 2.into(), 0.into()),
        "int4" => (32.into(), 2.into(), 0.into()),
        "int8" => (64.into(), 2.into(), 0.into()),
        "float4" => (24.into(), 2.into(), Cell::Null),
        "float8" => (53.into(), 2.into(), Cell::Null),
        "numeric" if typmod >= 0 => (((typmod >> 16) & 0xffff).into(), 10.into(), (typmod & 0x7ff).into()),
        "numeric" => (Cell::Null, 10.into(), Cell::Null),
        _ => (Cell::Null, Cell::Null, Cell::Null),
    }
}

fn column(scope: &Scope, rows: &mut Rows, entry: &Entry, attribute: &Attribute) -> Result<()> {
    let found = types::by_oid(attribute.type_oid);
    let name = found.map_or("text", |t| t.name);
    let is_array = found.is_some_and(|t| t.word(Property::Category) == "A" && t.name.starts_with('_'));
    let length = (matches!(name, "varchar" | "bpchar") && attribute.typmod >= 4).then(|| attribute.typmod - 4);
    let octets = match name {
        "text" | "varchar" | "bpchar" => {
            Cell::Int(length.map_or(1 << 30, |l| i64::from(l).saturating_mul(4)).min(1 << 30))
        }
        _ => Cell::Null,
    };
    let (digits, radix, scale) = precision(attribute, name);
    let time = match name {
        "date" => Cell::Int(0),
        "time" | "timestamp" | "timestamptz" | "interval" => Cell::Int(6),
        _ => Cell::Null,
    };
    let data_type = if is_array { "ARRAY".to_owned() } else { types::format_type(attribute.type_oid, None) };
    let data_type = if name == "bpchar" { "character".to_owned() } else { data_type };
    let updatable = entry.relation().is_some_and(|r| r.kind == RelationKind::Table);
    rows.push([
        ("table_catalog", database(scope)),
        ("table_schema", entry.schema_name().into()),
        ("table_name", entry.name.as_str().into()),
        ("column_name", attribute.name.as_str().into()),
        ("ordinal_position", attribute.number.into()),
        ("column_default", attribute.default.clone().into()),
        ("is_nullable", yes(!attribute.not_null)),
        ("data_type", data_type.into()),
        ("character_maximum_length", length.into()),
        ("character_octet_length", octets),
        ("numeric_precision", digits),
        ("numeric_precision_radix", radix),
        ("numeric_scale", scale),
        ("datetime_precision", time),
        ("udt_catalog", database(scope)),
        ("udt_name", name.into()),
        ("dtd_identifier", attribute.number.to_string().into()),
        ("is_updatable", yes(updatable)),
    ])
}

pub(super) fn views(scope: &Scope, rows: &mut Rows) -> Result<()> {
    for entry in scope.entries()?.all.iter().filter(|e| e.kind() == "v") {
        rows.push([
            ("table_catalog", database(scope)),
            ("table_schema", entry.schema_name().into()),
            ("table_name", entry.name.as_str().into()),
            ("view_definition", definitions::view(entry).into()),
        ])?;
    }
    Ok(())
}

pub(super) fn table_constraints(scope: &Scope, rows: &mut Rows) -> Result<()> {
    for (entry, info, ..) in scope.entries()?.indexes().filter(|(_, info, ..)| info.primary) {
        rows.push([
            ("constraint_catalog", database(scope)),
            ("constraint_name", entry.name.as_str().into()),
            ("table_catalog", database(scope)),
            ("table_name", info.table.as_str().into()),
            ("constraint_type", "PRIMARY KEY".into()),
        ])?;
    }
    Ok(())
}

pub(super) fn key_column_usage(scope: &Scope, rows: &mut Rows) -> Result<()> {
    for (entry, info, ..) in scope.entries()?.indexes().filter(|(_, info, ..)| info.primary) {
        for (column, place) in info.columns.iter().zip(1_i32..) {
            rows.push([
                ("constraint_catalog", database(scope)),
                ("constraint_name", entry.name.as_str().into()),
                ("table_catalog", database(scope)),
                ("table_name", info.table.as_str().into()),
                ("column_name", column.as_str().into()),
                ("ordinal_position", place.into()),
            ])?;
        }
    }
    Ok(())
}

pub(super) fn constraint_column_usage(scope: &Scope, rows: &mut Rows) -> Result<()> {
    for (entry, info, ..) in scope.entries()?.indexes().filter(|(_, info, ..)| info.primary) {
        for column in &info.columns {
            rows.push([
                ("table_catalog", database(scope)),
                ("table_name", info.table.as_str().into()),
                ("column_name", column.as_str().into()),
                ("constraint_catalog", database(scope)),
                ("constraint_name", entry.name.as_str().into()),
            ])?;
        }
    }
    Ok(())
}

/// `table_privileges` and `role_table_grants`: the one role may do everything that there is.
pub(super) fn table_privileges(scope: &Scope, rows: &mut Rows) -> Result<()> {
    for entry in scope.entries()?.all.iter().filter(|e| matches!(e.kind(), "r" | "v")) {
        let table = entry.relation().is_some_and(|r| r.kind == RelationKind::Table);
        let privileges: &[&str] =
            if table { &["INSERT", "SELECT", "UPDATE", "DELETE", "TRUNCATE"] } else { &["SELECT"] };
        for privilege in privileges {
            rows.push([
                ("grantor", user(scope)),
                ("grantee", user(scope)),
                ("table_catalog", database(scope)),
                ("table_schema", entry.schema_name().into()),
                ("table_name", entry.name.as_str().into()),
                ("privilege_type", (*privilege).into()),
                ("is_grantable", "YES".into()),
                ("with_hierarchy", yes(*privilege == "SELECT")),
            ])?;
        }
    }
    Ok(())
}

pub(super) fn sequences(scope: &Scope, rows: &mut Rows) -> Result<()> {
    for entry in &scope.entries()?.all {
        if let What::Sequence { .. } = entry.what {
            rows.push([("sequence_catalog", database(scope)), ("sequence_name", entry.name.as_str().into())])?;
        }
    }
    Ok(())
}

pub(super) fn character_sets(scope: &Scope, rows: &mut Rows) -> Result<()> {
    rows.push([
        ("character_set_name", "UTF8".into()),
        ("character_repertoire", "UCS".into()),
        ("form_of_use", "UTF8".into()),
        ("default_collate_catalog", database(scope)),
        ("default_collate_schema", "pg_catalog".into()),
        ("default_collate_name", "C".into()),
    ])
}

pub(super) fn enabled_roles(scope: &Scope, rows: &mut Rows) -> Result<()> {
    rows.push([("role_name", user(scope))])
}

pub(super) fn collations(scope: &Scope, rows: &mut Rows) -> Result<()> {
    for name in ["default", "C"] {
        rows.push([
            ("collation_catalog", database(scope)),
            ("collation_schema", "pg_catalog".into()),
            ("collation_name", name.into()),
            ("pad_attribute", "NO PAD".into()),
        ])?;
    }
    Ok(())
}
