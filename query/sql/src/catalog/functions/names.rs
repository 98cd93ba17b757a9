//! Functions between numbers and names: of relations, types, functions, schemas, roles.

use datafusion::error::{DataFusionError, Result};

use super::{Call, Spec, refuse};
use crate::{
    catalog::{
        cell::Cell,
        entries::{namespace, quote, split_name},
        relations::NAMESPACES,
        scope::OWNER,
        types,
    },
    error::SqlError,
};

pub(super) const FUNCTIONS: [Spec; 18] = [
    Spec::new("format_type", (2, 2), "text", format_type).lenient(),
    Spec::new("pg_get_userbyid", (1, 1), "name", |call| Ok(role_name(call))),
    Spec::new("to_regclass", (1, 1), "regclass", |call| Ok(class(call)?.into())),
    Spec::new("to_regtype", (1, 1), "regtype", |call| Ok(type_oid(call).into())),
    Spec::new("to_regproc", (1, 1), "regproc", |call| Ok(function(call).into())),
    Spec::new("to_regnamespace", (1, 1), "oid", |call| Ok(schema(call).into())),
    Spec::new("to_regrole", (1, 1), "oid", |call| Ok(role(call).into())),
    // What the rewrite makes of casts to the types of names, and of values of them that are printed.
    Spec::new("regclass_oid", (1, 1), "regclass", |call| found(call, class(call)?, b"42P01", "relation")),
    Spec::new("regtype_oid", (1, 1), "regtype", |call| found(call, type_oid(call), b"42704", "type")),
    Spec::new("regproc_oid", (1, 1), "regproc", |call| found(call, function(call), b"42883", "function")),
    Spec::new("regnamespace_oid", (1, 1), "oid", |call| found(call, schema(call), b"3F000", "schema")),
    Spec::new("regrole_oid", (1, 1), "oid", |call| found(call, role(call), b"42704", "role")),
    Spec::new("regclass_name", (1, 1), "text", class_name),
    Spec::new("regtype_name", (1, 1), "text", type_name),
    Spec::new("regproc_name", (1, 1), "text", |call| Ok(function_name(call))),
    Spec::new("regnamespace_name", (1, 1), "text", schema_name),
    Spec::new("regrole_name", (1, 1), "text", |call| Ok(role_name(call))),
    Spec::new("regtype_names", (1, 1), "_text", |call| {
        let Cell::List(items) = call.arg(0) else { return Ok(Cell::Null) };
        Ok(items.iter().map(|i| i.oid().map(|oid| types::format_type(oid, None))).collect::<Vec<_>>().into())
    }),
];

fn format_type(call: &Call<'_>) -> Result<Cell> {
    let Some(oid) = call.arg(0).oid() else { return Ok(Cell::Null) };
    // A relation's row type is told by its name.
    if types::by_oid(oid).is_none()
        && let Some(name) = row_type(call, oid)?
    {
        return Ok(name.into());
    }
    Ok(types::format_type(oid, call.arg(1).int()).into())
}

fn row_type(call: &Call<'_>, oid: u32) -> Result<Option<String>> {
    let entries = call.entries()?;
    let of = |before: u32| entries.get(oid.wrapping_sub(before)).filter(|e| e.relation().is_some());
    Ok(of(1).map(|e| quote(&e.name)).or_else(|| of(2).map(|e| format!("{}[]", quote(&e.name)))))
}

/// A number as it is, a name as what is found by it.
fn found(call: &Call<'_>, oid: Option<u32>, state: &[u8; 5], what: &str) -> Result<Cell> {
    oid.or_else(|| call.arg(0).oid()).map(Cell::from).ok_or_else(|| missing(call, state, what))
}

/// The error for a name that nothing has.
fn missing(call: &Call<'_>, state: &[u8; 5], what: &str) -> DataFusionError {
    let name = call.arg(0).printed().unwrap_or_default();
    refuse(SqlError::new(state, format!("{what} \"{name}\" does not exist")))
}

fn class(call: &Call<'_>) -> Result<Option<u32>> {
    let Some(text) = call.text(0) else { return Ok(None) };
    Ok(call.entries()?.resolve(text).map(|e| e.oid))
}

fn type_oid(call: &Call<'_>) -> Option<u32> {
    types::by_sql_name(call.text(0)?).map(|t| t.oid)
}

fn function(call: &Call<'_>) -> Option<u32> {
    let name = split_name(call.text(0)?)?.pop()?;
    let lines = include_str!("../type_functions.txt").lines().filter_map(|line| line.split_once(' '));
    let mut named = lines.filter(|(_, n)| *n == name);
    named.next().and_then(|(oid, _)| oid.parse().ok())
}

fn schema(call: &Call<'_>) -> Option<u32> {
    namespace(&split_name(call.text(0)?)?.pop()?)
}

fn role(call: &Call<'_>) -> Option<u32> {
    (split_name(call.text(0)?)?.pop()? == call.scope.session.user.to_lowercase()).then_some(OWNER)
}

/// The number that a value of a type of names is; its text when that is no number.
fn number(call: &Call<'_>) -> std::result::Result<u32, Cell> {
    call.arg(0).oid().ok_or_else(|| call.arg(0).printed().into())
}

fn class_name(call: &Call<'_>) -> Result<Cell> {
    let entries = call.entries()?;
    let entry = match number(call) {
        Ok(0) => return Ok("-".into()),
        Ok(oid) => entries.get(oid),
        Err(text) => {
            let entry = text.text().and_then(|t| entries.resolve(t));
            Some(entry.ok_or_else(|| missing(call, b"42P01", "relation"))?)
        }
    };
    let Some(entry) = entry else { return Ok(call.arg(0).printed().into()) };
    let schema = entry.schema_name();
    let visible = call.scope.search_path(true).iter().any(|s| s == schema);
    let name = quote(&entry.name);
    Ok(if visible { name } else { format!("{schema}.{name}") }.into())
}

fn type_name(call: &Call<'_>) -> Result<Cell> {
    let oid = match number(call) {
        Ok(oid) => oid,
        Err(_) => type_oid(call).ok_or_else(|| missing(call, b"42704", "type"))?,
    };
    Ok(types::format_type(oid, None).into())
}

fn function_name(call: &Call<'_>) -> Cell {
    let oid = match number(call) {
        Ok(0) => return "-".into(),
        Ok(oid) => oid.to_string(),
        Err(text) => return text,
    };
    let lines = include_str!("../type_functions.txt").lines().filter_map(|line| line.split_once(' '));
    let mut named = lines.filter(|(number, _)| *number == oid);
    named.next().map_or_else(|| oid.as_str().into(), |(_, name)| name.into())
}

fn schema_name(call: &Call<'_>) -> Result<Cell> {
    let oid = match number(call) {
        Ok(oid) => oid,
        Err(_) => schema(call).ok_or_else(|| missing(call, b"3F000", "schema"))?,
    };
    let named = NAMESPACES.iter().find(|(o, _)| *o == oid);
    Ok(named.map_or_else(|| oid.to_string(), |(_, name)| (*name).to_owned()).into())
}

fn role_name(call: &Call<'_>) -> Cell {
    match number(call) {
        Ok(OWNER) => call.scope.session.user.as_str().into(),
        Ok(oid) => format!("unknown (OID={oid})").into(),
        Err(text) => text,
    }
}
