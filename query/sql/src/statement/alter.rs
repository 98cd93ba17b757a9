//! ALTER TABLE.

use chronolith_storage::table::{ColumnId, TableDefinition};
use datafusion::{
    common::ScalarValue,
    sql::sqlparser::ast::{
        AlterColumnOperation, AlterTable, AlterTableOperation, ColumnDef, Ident, ObjectName, Owner,
        RenameTableNameKind, SqlOption, Statement,
    },
};

use super::{
    Written,
    create::{already_there, check_name, declare, default_text, option_text, set_retention},
    depend::check_no_view,
    target::{Target, no_column},
    update,
};
use crate::{
    connection::Connection,
    error::{Result, SqlError},
    parse::{self, ident, quoted, relation_name},
    rollup,
    stored::{self, COMMENTS, INDEXES},
};

/// Runs an ALTER TABLE.
///
/// # Errors
/// When there is no such table or column, or the change is not supported.
pub(crate) async fn run(connection: &mut Connection, statement: &AlterTable) -> Result<Written> {
    if statement.location.is_some() || statement.on_cluster.is_some() || statement.table_type.is_some() {
        return Err(SqlError::unsupported("this form of ALTER TABLE"));
    }
    let mut name = statement.name.clone();
    for operation in &statement.operations {
        connection.look();
        if let Some(done) = of_rollup(connection, &name, operation)? {
            return Ok(done);
        }
        let target = match Target::find(connection, &name, None) {
            Err(e) if statement.if_exists && e.state.as_str() == "42P01" => break,
            other => other?,
        };
        if let AlterTableOperation::RenameTable { table_name } = operation {
            let (RenameTableNameKind::To(new) | RenameTableNameKind::As(new)) = table_name;
            rename_table(connection, &target, &relation_name(new)?)?;
            name = new.clone();
        } else {
            Box::pin(change(connection, &target, operation)).await?;
        }
    }
    Ok(Written::done("ALTER TABLE"))
}

/// Changes a continuous rollup; `None` when the name is none of one.
fn of_rollup(
    connection: &mut Connection,
    name: &ObjectName,
    operation: &AlterTableOperation,
) -> Result<Option<Written>> {
    let name = relation_name(name)?;
    if connection.scope.stored_view(&name).is_none_or(|view| view.rollup.is_none()) {
        return Ok(None);
    }
    let AlterTableOperation::SetOptionsParens { options } = operation else {
        return Err(SqlError::unsupported(format!("ALTER MATERIALIZED VIEW ... {operation}"))
            .with_hint("retention can be changed: SET (retention = '2y')"));
    };
    rollup::set_options(connection, &name, options)?;
    Ok(Some(Written::done("ALTER MATERIALIZED VIEW")))
}

async fn change(connection: &mut Connection, target: &Target, operation: &AlterTableOperation) -> Result<()> {
    let mut definition = TableDefinition::clone(target.definition());
    match operation {
        AlterTableOperation::AddColumn { if_not_exists, column_def, column_position: None, .. } => {
            return Box::pin(add_column(connection, target, definition, column_def, *if_not_exists)).await;
        }
        AlterTableOperation::DropColumn { column_names, if_exists, .. } => {
            for name in column_names {
                drop_column(connection, target, &mut definition, &ident(name), *if_exists)?;
            }
        }
        AlterTableOperation::RenameColumn { old_column_name, new_column_name } => {
            rename_column(connection, target, &mut definition, old_column_name, new_column_name)?;
        }
        AlterTableOperation::AlterColumn { column_name, op } => {
            Box::pin(alter_column(connection, target, &mut definition, &ident(column_name), op)).await?;
        }
        AlterTableOperation::SetOptionsParens { options } => {
            for option in options {
                let SqlOption::KeyValue { key, value } = option else {
                    return Err(SqlError::unsupported(format!("the table option {option}")));
                };
                match ident(key).as_str() {
                    "retention" => {
                        rollup::retention_changes(connection, &target.table)?;
                        set_retention(&mut definition, &option_text(value))?;
                    }
                    other => {
                        return Err(SqlError::unsupported(format!("changing the table option {other}"))
                            .with_hint("retention can be changed"));
                    }
                }
            }
        }
        AlterTableOperation::OwnerTo { new_owner } => {
            let same = match new_owner {
                Owner::Ident(name) => ident(name) == connection.info.user,
                _ => true,
            };
            return if same { Ok(()) } else { Err(SqlError::unsupported("an owner that is somebody else")) };
        }
        AlterTableOperation::AddConstraint { constraint, .. } => {
            return Err(SqlError::unsupported(format!("ADD {constraint}"))
                .with_hint("declare the primary key in CREATE TABLE; it cannot change later"));
        }
        other => return Err(SqlError::unsupported(format!("ALTER TABLE ... {other}"))),
    }
    connection.transaction()?.alter_table(definition)?;
    Ok(())
}

async fn add_column(
    connection: &mut Connection,
    target: &Target,
    mut definition: TableDefinition,
    column: &ColumnDef,
    if_not_exists: bool,
) -> Result<()> {
    let name = ident(&column.name);
    check_name(&name)?;
    if target.column(&name).is_ok() {
        if if_not_exists {
            return Ok(());
        }
        let message = format!("column \"{name}\" of relation \"{}\" already exists", target.name);
        return Err(SqlError::new(b"42701", message));
    }
    if declare(&mut definition, column)? {
        return Err(SqlError::unsupported("adding a primary key").with_hint("declare it in CREATE TABLE"));
    }
    let Some(added) = definition.columns.last().cloned() else { return Ok(()) };
    let fill = added.default.clone();
    if target.table.is_empty() || (fill.is_none() && !added.serial && !added.not_null) {
        connection.transaction()?.alter_table(definition)?;
        return Ok(());
    }
    if added.serial {
        return Err(SqlError::unsupported("adding a serial column to a table that has rows"));
    }
    let Some(fill) = fill else {
        let message = format!("column \"{name}\" of relation \"{}\" contains null values", target.name);
        return Err(SqlError::new(b"23502", message).with_hint("give it a DEFAULT"));
    };
    connection.transaction()?.alter_table(definition)?;
    connection.look();
    // The rows that are there get the default, as if they had been written with it.
    let text = format!("UPDATE {} SET {} = {fill}", quoted(&target.name), quoted(&name));
    match parse::parse(&text)? {
        Some(Statement::Update(statement)) => {
            Box::pin(update::run(connection, &statement, None, &[] as &[ScalarValue])).await?;
            Ok(())
        }
        _ => Err(SqlError::new(b"XX000", "the rows could not be given the default")),
    }
}

fn drop_column(
    connection: &mut Connection,
    target: &Target,
    definition: &mut TableDefinition,
    name: &str,
    if_exists: bool,
) -> Result<()> {
    let id = match target.column(name) {
        Ok(column) => column.id,
        Err(_) if if_exists => return Ok(()),
        Err(e) => return Err(e),
    };
    if definition.primary_key.contains(&id) || definition.time == Some(id) {
        return Err(SqlError::unsupported(format!("dropping \"{name}\", which is the table's key or time,")));
    }
    check_no_view(connection, &target.name, Some(name))?;
    definition.columns.retain(|column| column.id != id);
    let comment = stored::comment_name(&target.name, Some(name));
    connection.transaction()?.put_entry(COMMENTS, &comment, None);
    drop_indexes_of(connection, &target.name, Some(name))
}

/// Takes out the entries of indexes on a table, or on one of its columns.
///
/// # Errors
/// When there is no transaction.
pub(crate) fn drop_indexes_of(connection: &mut Connection, table: &str, column: Option<&str>) -> Result<()> {
    let names: Vec<String> = stored::indexes(&connection.scope.view())
        .filter(|(_, index)| index.table == table && column.is_none_or(|c| index.columns.iter().any(|i| i == c)))
        .map(|(name, _)| name)
        .collect();
    for name in names {
        connection.transaction()?.put_entry(INDEXES, &name, None);
    }
    Ok(())
}

fn rename_column(
    connection: &mut Connection,
    target: &Target,
    definition: &mut TableDefinition,
    old: &Ident,
    new: &Ident,
) -> Result<()> {
    let (old, new) = (ident(old), ident(new));
    check_name(&new)?;
    let id: ColumnId = target.column(&old)?.id;
    if target.column(&new).is_ok() {
        let message = format!("column \"{new}\" of relation \"{}\" already exists", target.name);
        return Err(SqlError::new(b"42701", message));
    }
    check_no_view(connection, &target.name, Some(&old))?;
    if let Some(column) = definition.columns.iter_mut().find(|column| column.id == id) {
        column.name.clone_from(&new);
    }
    move_comment(connection, (&target.name, Some(&old)), (&target.name, Some(&new)))?;
    for (name, mut index) in stored::indexes(&connection.scope.view()).collect::<Vec<_>>() {
        if index.table == target.name && index.columns.contains(&old) {
            index.columns.iter_mut().filter(|column| **column == old).for_each(|column| column.clone_from(&new));
            connection.transaction()?.put_entry(INDEXES, &name, Some(stored::body(&index)));
        }
    }
    Ok(())
}

fn move_comment(connection: &mut Connection, from: (&str, Option<&str>), to: (&str, Option<&str>)) -> Result<()> {
    if let Some(text) = stored::comment(&connection.scope.view(), from.0, from.1) {
        let transaction = connection.transaction()?;
        transaction.put_entry(COMMENTS, &stored::comment_name(from.0, from.1), None);
        transaction.put_entry(COMMENTS, &stored::comment_name(to.0, to.1), Some(text.into_bytes()));
    }
    Ok(())
}

async fn alter_column(
    connection: &mut Connection,
    target: &Target,
    definition: &mut TableDefinition,
    name: &str,
    operation: &AlterColumnOperation,
) -> Result<()> {
    let Some(column) = definition.columns.iter_mut().find(|column| column.name == name) else {
        return Err(no_column(name, &target.name));
    };
    match operation {
        AlterColumnOperation::SetDefault { value } => column.default = default_text(value)?,
        AlterColumnOperation::DropDefault => column.default = None,
        AlterColumnOperation::DropNotNull => {
            if definition.primary_key.contains(&column.id) {
                return Err(SqlError::new(b"42P16", format!("column \"{name}\" is in a primary key")));
            }
            column.not_null = false;
        }
        AlterColumnOperation::SetNotNull => {
            column.not_null = true;
            let text = format!("SELECT 1 FROM {} WHERE {} IS NULL LIMIT 1", quoted(&target.name), quoted(name));
            if let Some(query) = parse::parse(&text)? {
                let (_, rows) = connection.collect(query, &[]).await?;
                if rows.iter().any(|batch| batch.num_rows() > 0) {
                    let message = format!("column \"{name}\" of relation \"{}\" contains null values", target.name);
                    return Err(SqlError::new(b"23502", message));
                }
            }
        }
        other => return Err(SqlError::unsupported(format!("ALTER COLUMN ... {other}"))),
    }
    Ok(())
}

fn rename_table(connection: &mut Connection, target: &Target, new: &str) -> Result<()> {
    check_name(new)?;
    if connection.scope.table(new).is_some() || connection.scope.stored_view(new).is_some() {
        return Err(already_there(new));
    }
    check_no_view(connection, &target.name, None)?;
    let mut definition = TableDefinition::clone(target.definition());
    new.clone_into(&mut definition.name);
    let view = connection.scope.view();
    let columns: Vec<String> = definition.columns.iter().map(|column| column.name.clone()).collect();
    connection.transaction()?.alter_table(definition)?;
    move_comment(connection, (&target.name, None), (new, None))?;
    for column in columns {
        move_comment(connection, (&target.name, Some(&column)), (new, Some(&column)))?;
    }
    for (name, mut index) in stored::indexes(&view).filter(|(_, index)| index.table == target.name).collect::<Vec<_>>()
    {
        new.clone_into(&mut index.table);
        connection.transaction()?.put_entry(INDEXES, &name, Some(stored::body(&index)));
    }
    Ok(())
}
