//! Functions about what may be done and what is seen. The one role may do all that an object allows.

use datafusion::error::Result;

use super::{Call, Spec, refuse};
use crate::{
    catalog::{cell::Cell, entries::namespace},
    error::SqlError,
    objects::RelationKind,
};

pub(super) const FUNCTIONS: [Spec; 25] = [
    Spec::new("has_table_privilege", (2, 3), "bool", |call| table(call, call.args.len())),
    Spec::new("has_any_column_privilege", (2, 3), "bool", |call| table(call, call.args.len())),
    Spec::new("has_column_privilege", (3, 4), "bool", |call| table(call, call.args.len() - 1)),
    Spec::new("has_sequence_privilege", (2, 3), "bool", |call| table(call, call.args.len())),
    Spec::new("has_schema_privilege", (2, 3), "bool", schema),
    Spec::new("has_database_privilege", (2, 3), "bool", yes),
    Spec::new("has_function_privilege", (2, 3), "bool", yes),
    Spec::new("has_language_privilege", (2, 3), "bool", yes),
    Spec::new("has_tablespace_privilege", (2, 3), "bool", yes),
    Spec::new("has_type_privilege", (2, 3), "bool", yes),
    Spec::new("has_foreign_data_wrapper_privilege", (2, 3), "bool", yes),
    Spec::new("has_server_privilege", (2, 3), "bool", yes),
    Spec::new("pg_has_role", (2, 3), "bool", yes),
    Spec::new("row_security_active", (1, 1), "bool", |_| Ok(false.into())),
    Spec::new("pg_table_is_visible", (1, 1), "bool", visible),
    Spec::new("pg_type_is_visible", (1, 1), "bool", yes),
    Spec::new("pg_function_is_visible", (1, 1), "bool", yes),
    Spec::new("pg_operator_is_visible", (1, 1), "bool", yes),
    Spec::new("pg_opclass_is_visible", (1, 1), "bool", yes),
    Spec::new("pg_opfamily_is_visible", (1, 1), "bool", yes),
    Spec::new("pg_conversion_is_visible", (1, 1), "bool", yes),
    Spec::new("pg_collation_is_visible", (1, 1), "bool", yes),
    Spec::new("pg_statistics_obj_is_visible", (1, 1), "bool", yes),
    Spec::new("pg_ts_config_is_visible", (1, 1), "bool", yes),
    Spec::new("pg_relation_is_publishable", (1, 1), "bool", |_| Ok(false.into())),
];

fn yes(_: &Call<'_>) -> Result<Cell> {
    Ok(true.into())
}

/// Whether a table allows what is asked; the privilege is the last argument, the table stands before `len - 1`.
fn table(call: &Call<'_>, len: usize) -> Result<Cell> {
    let object = call.arg(len.saturating_sub(2)).printed().unwrap_or_default();
    let privileges = call.args.last().and_then(Cell::text).unwrap_or_default().to_ascii_lowercase();
    let Some(entry) = call.entries()?.resolve(&object) else {
        // PostgreSQL gives null for a number that is no relation's.
        if object.parse::<u32>().is_ok() {
            return Ok(Cell::Null);
        }
        return Err(refuse(SqlError::new(b"42P01", format!("relation \"{object}\" does not exist"))));
    };
    let writable = entry.relation().is_some_and(|r| r.kind == RelationKind::Table);
    let allowed = |privilege: &str| {
        let privilege = privilege.trim().trim_end_matches(" with grant option");
        matches!(privilege, "select" | "usage") || writable
    };
    Ok(privileges.split(',').any(allowed).into())
}

fn schema(call: &Call<'_>) -> Result<Cell> {
    let object = call.arg(call.args.len().saturating_sub(2));
    let privileges = call.args.last().and_then(Cell::text).unwrap_or_default().to_ascii_lowercase();
    let namespace = match object.text() {
        Some(name) => namespace(name)
            .ok_or_else(|| refuse(SqlError::new(b"3F000", format!("schema \"{name}\" does not exist"))))?,
        None => object.oid().unwrap_or(0),
    };
    let create = namespace == crate::catalog::shape::PUBLIC;
    Ok(privileges.split(',').any(|p| p.trim().starts_with("usage") || create).into())
}

fn visible(call: &Call<'_>) -> Result<Cell> {
    let Some(entry) = call.entry(0)? else { return Ok(Cell::Null) };
    let schema = entry.schema_name();
    Ok(call.scope.search_path(true).iter().any(|s| s == schema).into())
}
