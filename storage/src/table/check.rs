//! What a definition must be to be taken, and what rows must be to go into a table.

use std::collections::BTreeSet;

use super::{
    definition::{ColumnDefinition, ColumnId, ColumnType, TableDefinition},
    key::is_key_kind,
    kind::{ColumnKey, DECIMAL_DIGITS, Kind},
    rows::Rows,
};
use crate::{Result, StorageError};

/// How many fields a table may have, declared columns included; a field of several kinds counts once.
pub const FIELDS_MAX: usize = 10_000;
/// Longest name of a table, a column or a field, in bytes.
pub const NAME_MAX: usize = 1_024;

/// Refuses a definition that contradicts itself.
pub(crate) fn check_definition(definition: &TableDefinition) -> Result<()> {
    let name = &definition.name;
    let invalid = |reason: String| Err(StorageError::Invalid(format!("table {name:?}: {reason}")));
    check_name("a table", name)?;
    if definition.columns.len() > FIELDS_MAX {
        return invalid(format!("{} columns are more than the {FIELDS_MAX} that may be", definition.columns.len()));
    }
    let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for column in &definition.columns {
        check_name("a column", &column.name)?;
        if !names.insert(&column.name) {
            return invalid(format!("column {:?} is there twice", column.name));
        }
        if !ids.insert(column.id) || column.id >= definition.next_column {
            return invalid(format!("the number of column {:?} is not its own", column.name));
        }
        check_type(name, column)?;
    }
    let mut key = BTreeSet::new();
    for id in &definition.primary_key {
        let Some(column) = definition.column(*id) else {
            return invalid("a column of the primary key does not exist".to_owned());
        };
        if !column.column_type.kind().is_some_and(is_key_kind) {
            return invalid(format!("column {:?} has a type that cannot be in a primary key", column.name));
        }
        if !key.insert(id) {
            return invalid(format!("column {:?} is in the primary key twice", column.name));
        }
    }
    if let Some(id) = definition.time
        && !definition.column(id).and_then(|c| c.column_type.kind()).is_some_and(is_time)
    {
        return invalid("the time column must be a date or a timestamp".to_owned());
    }
    match definition.retention_ms {
        Some(_) if definition.time.is_none() => invalid("retention needs a time column".to_owned()),
        Some(ms) if ms <= 0 => invalid("retention must be longer than nothing".to_owned()),
        _ => Ok(()),
    }
}

/// Whether rows can be sorted and dropped by a column of this kind.
const fn is_time(kind: Kind) -> bool {
    matches!(kind, Kind::Date | Kind::Micros | Kind::Nanos)
}

fn check_name(what: &str, name: &str) -> Result<()> {
    let reason = if name.is_empty() {
        "must not be empty"
    } else if name.len() > NAME_MAX {
        "is longer than the 1024 bytes that may be"
    } else if name.contains('\0') {
        "must not have a zero byte"
    } else {
        return Ok(());
    };
    let start: String = name.chars().take(60).collect();
    Err(StorageError::Invalid(format!("the name {start:?} of {what} {reason}")))
}

fn check_type(table: &str, column: &ColumnDefinition) -> Result<()> {
    let invalid =
        |reason: &str| Err(StorageError::Invalid(format!("table {table:?}, column {:?}: {reason}", column.name)));
    let Some(kind) = column.column_type.kind() else {
        return invalid("arrays of this type cannot be");
    };
    if let ColumnType::Numeric { precision, scale } = &column.column_type
        && (*scale > DECIMAL_DIGITS || precision.is_some_and(|p| p == 0 || p > DECIMAL_DIGITS || p < *scale))
    {
        return invalid("a numeric has 1 to 38 digits, and no more of them behind the point");
    }
    if column.serial && !matches!(kind, Kind::Int16 | Kind::Int32 | Kind::Int64) {
        return invalid("only integers can be serial");
    }
    Ok(())
}

/// Refuses a change of a definition that its rows could not follow.
pub(crate) fn check_change(old: &TableDefinition, new: &TableDefinition) -> Result<()> {
    check_definition(new)?;
    let invalid = |reason: String| Err(StorageError::Invalid(format!("table {:?}: {reason}", old.name)));
    if old.primary_key != new.primary_key {
        return invalid("the primary key cannot change".to_owned());
    }
    if old.time != new.time {
        return invalid("the time column cannot change".to_owned());
    }
    if old.dynamic != new.dynamic {
        return invalid("whether fields may be undeclared cannot change".to_owned());
    }
    if new.next_column < old.next_column {
        return invalid("numbers of columns are never given again".to_owned());
    }
    for column in &new.columns {
        match old.column(column.id) {
            Some(before) if before.column_type.kind() != column.column_type.kind() => {
                return invalid(format!("column {:?} cannot change to a type that is held otherwise", before.name));
            }
            None if column.id < old.next_column => {
                return invalid(format!("the number of column {:?} was given before", column.name));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Refuses rows that a table of this definition cannot hold.
pub(crate) fn check_rows(definition: &TableDefinition, rows: &Rows) -> Result<()> {
    for (key, _) in rows.columns() {
        if let Some(column) = declared(definition, key) {
            if column.key().as_ref() != Some(key) {
                return Err(StorageError::Invalid(format!(
                    "table {:?}: column {:?} is not held as {:?}",
                    definition.name, column.name, key.kind
                )));
            }
        } else if key.field.starts_with('#') || !definition.dynamic {
            return Err(StorageError::Invalid(format!(
                "table {:?} has no column for {key}, and takes no fields that are not declared",
                definition.name
            )));
        } else if key.field.len() > NAME_MAX {
            let start: String = key.field.chars().take(60).collect();
            return Err(StorageError::Invalid(format!(
                "table {:?}: the name of the field that begins with {start:?} is longer than {NAME_MAX} bytes",
                definition.name
            )));
        }
    }
    for column in &definition.columns {
        if !column.not_null && !definition.primary_key.contains(&column.id) {
            continue;
        }
        let values = column.key().and_then(|key| rows.column(&key));
        if !rows.is_empty() && values.is_none_or(|v| v.null_count() > 0) {
            return Err(StorageError::NotNullViolation { table: definition.name.clone(), column: column.name.clone() });
        }
    }
    Ok(())
}

/// The declared column that a column of rows belongs to.
fn declared<'d>(definition: &'d TableDefinition, key: &ColumnKey) -> Option<&'d ColumnDefinition> {
    let number = key.field.strip_prefix('#')?;
    definition.column(ColumnId(number.parse().ok()?)).filter(|c| c.id.field() == *key.field)
}

/// Whether a column of rows is one that no declaration stands for.
pub(crate) fn is_field(key: &ColumnKey) -> bool {
    !key.field.starts_with('#')
}
