//! CREATE TABLE, also from a query.

use std::{collections::BTreeSet, sync::Arc};

use arrow::datatypes::{DataType, TimeUnit};
use chronolith_storage::{
    engine::OnConflict as KeyConflict,
    table::{ColumnDefinition, ColumnId, ColumnType, Kind, TableDefinition, TableId},
};
use datafusion::{
    common::ScalarValue,
    sql::sqlparser::ast::{
        ColumnDef, ColumnOption, CreateExtension, CreateTable, CreateTableOptions, Expr, GeneratedAs, IndexColumn,
        SchemaName, SqlOption, Statement, TableConstraint, Value,
    },
};

use super::{
    Written,
    rows::{Given, NewRows, Values},
    target::Target,
};
use crate::{
    connection::{Connection, check_query, naming},
    error::{Result, SqlError},
    parse::{ident, parse_expr, relation_name},
    types::{PG_TYPE, declared_type, is_serial},
};

/// Columns that a table may have.
const MOST_COLUMNS: usize = 1_600;
/// Bytes of a name, as in PostgreSQL.
const MOST_NAME_BYTES: usize = 63;

/// Runs a CREATE TABLE.
///
/// # Errors
/// When the table is there already, or the statement asks for what there is not.
pub(crate) async fn run(
    connection: &mut Connection,
    statement: &CreateTable,
    parameters: &[ScalarValue],
) -> Result<Written> {
    check_form(statement)?;
    let name = relation_name(&statement.name)?;
    if is_there(connection, &name, statement.if_not_exists)? {
        return Ok(Written::done("CREATE TABLE"));
    }
    let mut definition = columns(&name, statement)?;
    let Some(query) = &statement.query else {
        options(&mut definition, &statement.table_options)?;
        connection.transaction()?.create_table(definition)?;
        return Ok(Written::done("CREATE TABLE"));
    };
    check_query(query)?;
    let mut query = Statement::Query(query.clone());
    naming::name_columns(&mut query);
    let (schema, batches) = connection.collect(query, parameters).await?;
    let names = naming::result_schema(&schema);
    let named: Vec<String> = definition.columns.drain(..).map(|column| column.name).collect();
    for (at, field) in schema.fields().iter().enumerate() {
        let column = named.get(at).cloned().unwrap_or_else(|| names.field(at).name().clone());
        let column_type = type_of(field.data_type(), field.metadata().get(PG_TYPE).map(String::as_str))?;
        add_column(&mut definition, column, column_type);
    }
    check_columns(&definition)?;
    options(&mut definition, &statement.table_options)?;
    connection.transaction()?.create_table(definition)?;
    connection.look();
    let target = Target::find(connection, &statement.name, None)?;
    let batch = arrow::compute::concat_batches(&schema, &batches)?;
    let values = batch.columns().iter().map(|values| Values::Seen(Arc::clone(values)));
    let columns = target.definition().columns.iter().map(|c| c.id).zip(values);
    let given = Given { columns: columns.collect(), ..Given::default() };
    let rows = NewRows::make(connection, &target, batch.num_rows(), &given)?.to_rows(&target)?;
    connection.transaction()?.insert(target.definition().id, rows, KeyConflict::Refuse)?;
    Ok(Written::done(format!("SELECT {}", batch.num_rows())))
}

fn check_form(statement: &CreateTable) -> Result<()> {
    let refused = [
        (statement.external, "CREATE EXTERNAL TABLE"),
        (statement.temporary, "CREATE TEMPORARY TABLE"),
        (statement.or_replace, "CREATE OR REPLACE TABLE"),
        (statement.like.is_some(), "CREATE TABLE ... LIKE"),
        (statement.clone.is_some(), "CREATE TABLE ... CLONE"),
        (statement.inherits.is_some(), "INHERITS"),
        (statement.partition_by.is_some() || statement.partition_of.is_some(), "PARTITION BY"),
        (statement.on_commit.is_some(), "ON COMMIT"),
        (statement.location.is_some() || statement.file_format.is_some(), "a table that is a file"),
    ];
    match refused.iter().find(|(there, _)| *there) {
        Some((_, what)) => Err(SqlError::unsupported(what)),
        None => Ok(()),
    }
}

/// Whether there is a relation of a name that a new one is to have, where IF NOT EXISTS lets that be.
///
/// # Errors
/// `42P07` when there is and that is no reason to do nothing, and when the name cannot be one.
pub(crate) fn is_there(connection: &Connection, name: &str, if_not_exists: bool) -> Result<bool> {
    check_name(name)?;
    let there = connection.scope.table(name).is_some() || connection.scope.stored_view(name).is_some();
    if there && !if_not_exists { Err(already_there(name)) } else { Ok(there) }
}

/// There is a relation of this name.
pub(crate) fn already_there(name: &str) -> SqlError {
    SqlError::new(b"42P07", format!("relation \"{name}\" already exists"))
}

/// Refuses a name that cannot be one.
///
/// # Errors
/// `42622` when it is too long, `42602` when it has a control character.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.len() > MOST_NAME_BYTES {
        return Err(SqlError::new(b"42622", format!("the name \"{name}\" is longer than {MOST_NAME_BYTES} bytes")));
    }
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(SqlError::new(b"42602", format!("{name:?} cannot be a name")));
    }
    Ok(())
}

fn columns(name: &str, statement: &CreateTable) -> Result<TableDefinition> {
    let mut definition = TableDefinition {
        id: TableId(0),
        name: name.to_owned(),
        columns: Vec::new(),
        next_column: ColumnId(0),
        primary_key: Vec::new(),
        time: None,
        dynamic: false,
        retention_ms: None,
    };
    for column in &statement.columns {
        // The columns of CREATE TABLE t (a, b) AS have no types.
        if statement.query.is_some() {
            add_column(&mut definition, ident(&column.name), ColumnType::Text);
            continue;
        }
        let is_key = declare(&mut definition, column)?;
        if is_key {
            let key = definition.columns.last().map(|column| column.id);
            set_key(&mut definition, key.into_iter().collect())?;
        }
    }
    for constraint in &statement.constraints {
        match constraint {
            TableConstraint::PrimaryKey(key) => {
                let columns = key_columns(&definition, &key.columns)?;
                set_key(&mut definition, columns)?;
            }
            TableConstraint::Unique(unique) => {
                // The key is unique already.
                let columns: BTreeSet<ColumnId> = key_columns(&definition, &unique.columns)?.into_iter().collect();
                let key: BTreeSet<ColumnId> = definition.primary_key.iter().copied().collect();
                if columns != key {
                    return Err(unique_refused());
                }
            }
            TableConstraint::ForeignKey(_) => return Err(SqlError::unsupported("FOREIGN KEY")),
            TableConstraint::Check(_) => return Err(SqlError::unsupported("CHECK")),
            other => return Err(SqlError::unsupported(format!("the constraint {other}"))),
        }
    }
    check_columns(&definition)?;
    Ok(definition)
}

pub(crate) fn unique_refused() -> SqlError {
    SqlError::unsupported("UNIQUE on other columns than the primary key's")
        .with_hint("declare the columns as PRIMARY KEY; a table has one unique key")
}

fn check_columns(definition: &TableDefinition) -> Result<()> {
    if definition.columns.len() > MOST_COLUMNS {
        return Err(SqlError::new(b"54011", format!("tables can have at most {MOST_COLUMNS} columns")));
    }
    let mut names = BTreeSet::new();
    for column in &definition.columns {
        check_name(&column.name)?;
        if !names.insert(&column.name) {
            return Err(SqlError::new(b"42701", format!("column \"{}\" specified more than once", column.name)));
        }
    }
    Ok(())
}

/// Adds a column of a type.
pub(crate) fn add_column(definition: &mut TableDefinition, name: String, column_type: ColumnType) {
    let id = definition.next_column;
    definition.next_column = ColumnId(id.0 + 1);
    definition.columns.push(ColumnDefinition { id, name, column_type, not_null: false, default: None, serial: false });
}

/// Adds a column as it is declared. Returns whether it is declared the primary key.
///
/// # Errors
/// When its type or an option is not supported.
pub(crate) fn declare(definition: &mut TableDefinition, column: &ColumnDef) -> Result<bool> {
    add_column(definition, ident(&column.name), declared_type(&column.data_type)?);
    let Some(added) = definition.columns.last_mut() else { return Ok(false) };
    if is_serial(&column.data_type) {
        added.serial = true;
        added.not_null = true;
    }
    let mut is_key = false;
    for option in &column.options {
        match &option.option {
            ColumnOption::Null => {}
            ColumnOption::NotNull => added.not_null = true,
            ColumnOption::Default(expr) => added.default = default_text(expr)?,
            ColumnOption::PrimaryKey(_) => is_key = true,
            ColumnOption::Generated {
                generated_as: GeneratedAs::Always | GeneratedAs::ByDefault,
                generation_expr: None,
                ..
            } => {
                let integer = matches!(added.column_type, ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8);
                if !integer {
                    return Err(SqlError::new(b"22023", "identity column type must be smallint, integer, or bigint"));
                }
                added.serial = true;
                added.not_null = true;
            }
            ColumnOption::Generated { .. } => return Err(SqlError::unsupported("a generated column")),
            ColumnOption::Unique(_) if is_key => {}
            ColumnOption::Unique(_) => return Err(unique_refused()),
            ColumnOption::ForeignKey(_) => return Err(SqlError::unsupported("REFERENCES")),
            ColumnOption::Check(_) => return Err(SqlError::unsupported("CHECK")),
            other => return Err(SqlError::unsupported(format!("the column option {other}"))),
        }
    }
    Ok(is_key)
}

/// A default's text; NULL is none.
pub(crate) fn default_text(expr: &Expr) -> Result<Option<String>> {
    if matches!(expr, Expr::Value(value) if value.value == Value::Null) {
        return Ok(None);
    }
    let text = expr.to_string();
    // What is kept must be readable again.
    parse_expr(&text)?;
    Ok(Some(text))
}

fn key_columns(definition: &TableDefinition, columns: &[IndexColumn]) -> Result<Vec<ColumnId>> {
    let ids = columns.iter().map(|column| match &column.column.expr {
        Expr::Identifier(name) => {
            let name = ident(name);
            let found = definition.columns.iter().find(|column| column.name == name);
            found
                .map(|column| column.id)
                .ok_or_else(|| SqlError::new(b"42703", format!("column \"{name}\" named in key does not exist")))
        }
        other => Err(SqlError::unsupported(format!("the expression {other} in a key"))),
    });
    ids.collect()
}

fn set_key(definition: &mut TableDefinition, key: Vec<ColumnId>) -> Result<()> {
    if !definition.primary_key.is_empty() {
        let message = format!("multiple primary keys for table \"{}\" are not allowed", definition.name);
        return Err(SqlError::new(b"42P16", message));
    }
    for column in definition.columns.iter_mut().filter(|column| key.contains(&column.id)) {
        column.not_null = true;
    }
    definition.primary_key = key;
    Ok(())
}

/// Takes the options of WITH: `retention`, `time`, `dynamic`.
///
/// # Errors
/// When there is no such option, or its value is none.
pub(crate) fn options(definition: &mut TableDefinition, options: &CreateTableOptions) -> Result<()> {
    let options = match options {
        CreateTableOptions::None => return Ok(()),
        CreateTableOptions::With(options) => options,
        other => return Err(SqlError::unsupported(format!("the table option {other}"))),
    };
    let mut retention = None;
    for option in options {
        let SqlOption::KeyValue { key, value } = option else {
            return Err(SqlError::unsupported(format!("the table option {option}")));
        };
        let text = option_text(value);
        match ident(key).as_str() {
            "retention" => retention = Some(text),
            "time" => definition.time = Some(time_column(definition, &text)?),
            "fillfactor" | "autovacuum_enabled" => {
                return Err(SqlError::unsupported(format!("the table option {key}")).with_hint("leave it out"));
            }
            _ => {
                return Err(SqlError::new(b"22023", format!("unrecognized parameter \"{key}\""))
                    .with_hint("the options are retention = '30d' and time = 'column'"));
            }
        }
    }
    if let Some(text) = retention {
        set_retention(definition, &text)?;
    }
    Ok(())
}

/// The text of an option's value.
pub(crate) fn option_text(value: &Expr) -> String {
    match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => text.clone(),
            other => other.to_string(),
        },
        Expr::Identifier(name) => ident(name),
        other => other.to_string(),
    }
}

fn time_column(definition: &TableDefinition, name: &str) -> Result<ColumnId> {
    let Some(column) = definition.columns.iter().find(|column| column.name == name) else {
        return Err(SqlError::new(b"42703", format!("column \"{name}\" named as time does not exist")));
    };
    match column.column_type.kind() {
        Some(Kind::Date | Kind::Micros | Kind::Nanos) => Ok(column.id),
        _ => Err(SqlError::new(b"42804", format!("column \"{name}\" cannot be the time: it is no date or timestamp"))),
    }
}

/// Sets how long rows are kept: a text such as `30d`, or `none`. The first column of a time is taken when none is named.
///
/// # Errors
/// When the text is none, or there is no time to go by.
pub(crate) fn set_retention(definition: &mut TableDefinition, text: &str) -> Result<()> {
    if text.eq_ignore_ascii_case("none") || text.is_empty() {
        definition.retention_ms = None;
        return Ok(());
    }
    let millis = retention_millis(text).ok_or_else(|| {
        SqlError::new(b"22023", format!("invalid value for parameter \"retention\": \"{text}\""))
            .with_hint("write a number and s, m, h, d, w or y, such as '30d'")
    })?;
    definition.retention_ms = Some(millis);
    if definition.time.is_none() {
        return Err(
            SqlError::new(b"22023", "retention needs a time column").with_hint("add time = 'column' to the options")
        );
    }
    Ok(())
}

fn retention_millis(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: i64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "s" | "second" | "seconds" => 1_000,
        "m" | "min" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        "w" | "week" | "weeks" => 604_800_000,
        "y" | "year" | "years" => 31_536_000_000,
        _ => return None,
    };
    number.checked_mul(unit).filter(|millis| *millis > 0)
}

/// Runs a CREATE SCHEMA: there is one schema.
///
/// # Errors
/// Unless it is that one, and may be there.
pub(crate) fn schema(name: &SchemaName, if_not_exists: bool) -> Result<Written> {
    let is_public = matches!(name, SchemaName::Simple(name) if name.to_string().eq_ignore_ascii_case("public"));
    match (is_public, if_not_exists) {
        (true, true) => Ok(Written::done("CREATE SCHEMA")),
        (true, false) => Err(SqlError::new(b"42P06", "schema \"public\" already exists")),
        _ => Err(SqlError::unsupported("CREATE SCHEMA").with_hint("all tables are in the schema public")),
    }
}

/// Runs a CREATE EXTENSION: what some of them bring is there without them.
///
/// # Errors
/// For any other.
pub(crate) fn extension(statement: &CreateExtension) -> Result<Written> {
    match ident(&statement.name).as_str() {
        "plpgsql" | "timescaledb" | "uuid-ossp" | "pgcrypto" if statement.if_not_exists => {
            Ok(Written::done("CREATE EXTENSION"))
        }
        name => Err(SqlError::unsupported(format!("the extension \"{name}\""))),
    }
}

/// The column type that holds the values of a query's column.
///
/// # Errors
/// `0A000` when there is none.
pub(crate) fn type_of(data_type: &DataType, pg_type: Option<&str>) -> Result<ColumnType> {
    Ok(match (data_type, pg_type) {
        (_, Some("uuid")) => ColumnType::Uuid,
        (_, Some("json")) => ColumnType::Json,
        (_, Some("jsonb")) => ColumnType::Jsonb,
        (_, Some("varchar" | "bpchar")) => ColumnType::Varchar(None),
        (DataType::Boolean, _) => ColumnType::Bool,
        (DataType::Int8 | DataType::Int16 | DataType::UInt8, _) => ColumnType::Int2,
        (DataType::Int32 | DataType::UInt16, _) => ColumnType::Int4,
        (DataType::Int64 | DataType::UInt32 | DataType::UInt64, _) => ColumnType::Int8,
        (DataType::Float16 | DataType::Float32, _) => ColumnType::Float4,
        (DataType::Float64, _) => ColumnType::Float8,
        (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null, _) => ColumnType::Text,
        (DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_), _) => {
            ColumnType::Bytes
        }
        (DataType::Date32 | DataType::Date64, _) => ColumnType::Date,
        (DataType::Time32(_) | DataType::Time64(_), _) => ColumnType::Time,
        (DataType::Timestamp(TimeUnit::Nanosecond, Some(_)), _) => ColumnType::TimestampNanos,
        (DataType::Timestamp(_, Some(_)), _) => ColumnType::TimestampTz,
        (DataType::Timestamp(_, None), _) => ColumnType::Timestamp,
        (DataType::Interval(_) | DataType::Duration(_), _) => ColumnType::Interval,
        (DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale), _) => {
            ColumnType::Numeric { precision: None, scale: u8::try_from(*scale).unwrap_or(0) }
        }
        (DataType::Dictionary(_, of), _) => type_of(of, pg_type)?,
        (DataType::List(of) | DataType::LargeList(of) | DataType::FixedSizeList(of, _), _) => {
            let array = ColumnType::Array(Box::new(type_of(of.data_type(), None)?));
            if array.kind().is_none() {
                return Err(SqlError::unsupported(format!("a column of type {data_type}")));
            }
            array
        }
        _ => return Err(SqlError::unsupported(format!("a column of type {data_type}"))),
    })
}
