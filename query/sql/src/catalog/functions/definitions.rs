//! Functions that tell what an object is: `pg_get_...def`, and comments.

use datafusion::error::Result;

use super::{Call, Spec, refuse};
use crate::{
    catalog::{
        cell::Cell,
        definitions,
        entries::{Entry, What, quote},
    },
    error::SqlError,
};

pub(super) const FUNCTIONS: [Spec; 20] = [
    // A default is kept as its text, so there is nothing to turn back.
    Spec::new("pg_get_expr", (2, 3), "text", |call| Ok(call.arg(0).printed().into())),
    Spec::new("pg_get_indexdef", (1, 3), "text", index),
    Spec::new("pg_get_constraintdef", (1, 2), "text", |call| {
        let entries = call.entries()?;
        Ok(call.arg(0).oid().and_then(|oid| definitions::constraint(entries, oid)).into())
    }),
    Spec::new("pg_get_viewdef", (1, 2), "text", view),
    Spec::new("pg_get_ruledef", (1, 2), "text", nothing),
    Spec::new("pg_get_triggerdef", (1, 2), "text", nothing),
    Spec::new("pg_get_functiondef", (1, 1), "text", nothing),
    Spec::new("pg_get_function_sqlbody", (1, 1), "text", nothing),
    Spec::new("pg_get_function_arguments", (1, 1), "text", |_| Ok("VARIADIC \"any\"".into())),
    Spec::new("pg_get_function_identity_arguments", (1, 1), "text", |_| Ok("VARIADIC \"any\"".into())),
    Spec::new("pg_get_function_result", (1, 1), "text", |_| Ok("\"any\"".into())),
    Spec::new("pg_get_function_arg_default", (2, 2), "text", nothing),
    Spec::new("pg_get_partkeydef", (1, 1), "text", nothing),
    Spec::new("pg_get_partition_constraintdef", (1, 1), "text", nothing),
    Spec::new("pg_get_statisticsobjdef", (1, 1), "text", nothing),
    Spec::new("pg_get_statisticsobjdef_columns", (1, 1), "text", nothing),
    Spec::new("pg_get_serial_sequence", (2, 2), "text", sequence),
    Spec::new("obj_description", (1, 2), "text", |call| comment(call, None)),
    Spec::new("col_description", (2, 2), "text", |call| comment(call, call.arg(1).int())),
    Spec::new("shobj_description", (2, 2), "text", nothing),
];

fn nothing(_: &Call<'_>) -> Result<Cell> {
    Ok(Cell::Null)
}

fn index(call: &Call<'_>) -> Result<Cell> {
    let entry = call.entry(0)?;
    let Some(What::Index { info, .. }) = entry.map(|e| &e.what) else { return Ok(Cell::Null) };
    Ok(match call.arg(1).int() {
        None | Some(0) => definitions::index(info).into(),
        Some(place) => {
            let column = usize::try_from(place - 1).ok().and_then(|at| info.columns.get(at));
            column.map_or(Cell::Text(String::new()), |c| definitions::key(c).into())
        }
    })
}

fn view(call: &Call<'_>) -> Result<Cell> {
    Ok(call.entry(0)?.and_then(definitions::view).into())
}

fn sequence(call: &Call<'_>) -> Result<Cell> {
    let (table, column) = (call.text(0).unwrap_or_default(), call.text(1).unwrap_or_default());
    let entries = call.entries()?;
    let entry = entries.resolve(table);
    let Some(relation) = entry.and_then(Entry::relation) else {
        // A number that stands for no relation, or one of PostgreSQL's own.
        if entry.is_some() || table.parse::<u32>().is_ok() {
            return Ok(Cell::Null);
        }
        return Err(refuse(SqlError::new(b"42P01", format!("relation \"{table}\" does not exist"))));
    };
    let declared = relation.definition.as_deref().and_then(|d| d.column_named(column));
    let name = Entry::sequence_name(&relation.name, column);
    Ok(declared.filter(|c| c.serial).map(|_| format!("public.{}", quote(&name))).into())
}

fn comment(call: &Call<'_>, column: Option<i64>) -> Result<Cell> {
    let entry = call.entry(0)?;
    let Some((entry, relation)) = entry.and_then(|e| Some((e, e.relation()?))) else { return Ok(Cell::Null) };
    if call.text(1).is_some_and(|class| class != "pg_class") {
        return Ok(Cell::Null);
    }
    let Some(number) = column.filter(|n| *n != 0) else {
        return Ok(call.scope.objects.comment(&relation.name, None).into());
    };
    let attribute = entry.attributes().into_iter().find(|a| i64::from(a.number) == number);
    Ok(attribute.and_then(|a| call.scope.objects.comment(&relation.name, Some(&a.name))).into())
}
