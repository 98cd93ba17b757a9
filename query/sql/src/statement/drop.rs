//! DROP of tables, views and indexes.

use datafusion::sql::sqlparser::ast::{ObjectName, ObjectType};

use super::{
    Written,
    alter::drop_indexes_of,
    depend::views_on,
    target::{Target, no_table},
};
use crate::{
    connection::Connection,
    error::{Result, SqlError},
    parse::relation_name,
    rollup,
    stored::{self, COMMENTS, INDEXES, VIEWS},
};

/// Runs a DROP.
///
/// # Errors
/// When there is no such thing, or something depends on it.
pub(crate) fn run(
    connection: &mut Connection,
    kind: ObjectType,
    names: &[ObjectName],
    if_exists: bool,
    cascade: bool,
) -> Result<Written> {
    for name in names {
        let dropped = match kind {
            ObjectType::Table => table(connection, name, cascade),
            ObjectType::View | ObjectType::MaterializedView => {
                let name = relation_name(name)?;
                check_kind(connection, &name, kind)?;
                view(connection, &name, cascade)
            }
            ObjectType::Index => index(connection, &relation_name(name)?),
            other => return Err(SqlError::unsupported(format!("DROP {other}"))),
        };
        match dropped {
            Err(e) if if_exists && matches!(e.state.as_str(), "42P01" | "42704" | "3F000") => {}
            other => other?,
        }
        connection.look();
    }
    Ok(Written::done(format!("DROP {kind}")))
}

fn table(connection: &mut Connection, name: &ObjectName, cascade: bool) -> Result<()> {
    let target = Target::find(connection, name, None)?;
    drop_views_on(connection, &format!("table {}", target.name), &target.name, cascade)?;
    drop_indexes_of(connection, &target.name, None)?;
    drop_comments(connection, &target.name)?;
    connection.transaction()?.drop_table(target.definition().id)?;
    Ok(())
}

/// Refuses DROP VIEW of a materialized view, and the other way round.
fn check_kind(connection: &Connection, name: &str, kind: ObjectType) -> Result<()> {
    let Some(view) = connection.scope.stored_view(name) else { return Ok(()) };
    let (is, fits) = match view.rollup {
        Some(_) => ("MATERIALIZED VIEW", kind == ObjectType::MaterializedView),
        None => ("VIEW", kind == ObjectType::View),
    };
    if fits {
        return Ok(());
    }
    let wanted = if is == "VIEW" { "materialized view" } else { "view" };
    Err(SqlError::new(b"42809", format!("\"{name}\" is not a {wanted}")).with_hint(format!("Use DROP {is}.")))
}

fn view(connection: &mut Connection, name: &str, cascade: bool) -> Result<()> {
    let Some(stored) = connection.scope.stored_view(name) else {
        return Err(if connection.scope.table(name).is_some() {
            SqlError::new(b"42809", format!("\"{name}\" is not a view")).with_hint("Use DROP TABLE to remove a table.")
        } else {
            no_table(name)
        });
    };
    drop_views_on(connection, &format!("view {name}"), name, cascade)?;
    drop_comments(connection, name)?;
    if let Some(rollup) = &stored.rollup {
        rollup::forget(connection, name, rollup)?;
    }
    connection.transaction()?.put_entry(VIEWS, name, None);
    Ok(())
}

fn drop_views_on(connection: &mut Connection, what: &str, name: &str, cascade: bool) -> Result<()> {
    let views = views_on(connection, name, None);
    if let Some(view) = views.first()
        && !cascade
    {
        return Err(SqlError::new(b"2BP01", format!("cannot drop {what} because other objects depend on it"))
            .with_detail(format!("view {view} depends on {what}"))
            .with_hint("Use DROP ... CASCADE to drop the dependent objects too."));
    }
    for dependent in views {
        // One that another of them took along is gone already.
        connection.look();
        if connection.scope.stored_view(&dependent).is_some() {
            view(connection, &dependent, cascade)?;
        }
    }
    Ok(())
}

fn drop_comments(connection: &mut Connection, relation: &str) -> Result<()> {
    let of_columns = format!("{relation}\0");
    let names: Vec<String> = connection
        .scope
        .view()
        .entries(COMMENTS)
        .filter(|(name, _)| *name == relation || name.starts_with(&of_columns))
        .map(|(name, _)| name.to_owned())
        .collect();
    for name in names {
        connection.transaction()?.put_entry(COMMENTS, &name, None);
    }
    Ok(())
}

fn index(connection: &mut Connection, name: &str) -> Result<()> {
    if stored::index(&connection.scope.view(), name).is_none() {
        let is_key = name.strip_suffix("_pkey").is_some_and(|table| connection.scope.table(table).is_some());
        return Err(if is_key {
            SqlError::new(b"2BP01", format!("cannot drop index {name} because it is the primary key's"))
        } else {
            SqlError::new(b"42704", format!("index \"{name}\" does not exist"))
        });
    }
    connection.transaction()?.put_entry(INDEXES, name, None);
    Ok(())
}
