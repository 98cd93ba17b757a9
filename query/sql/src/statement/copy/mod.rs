//! COPY: rows in and out, as text, CSV or values.

mod lines;
mod options;

use std::sync::Arc;

use arrow::{
    array::ArrayRef,
    datatypes::{DataType, Field},
};
use chronolith_storage::engine::OnConflict as KeyConflict;
use datafusion::sql::sqlparser::ast::{
    CopyLegacyOption, CopyOption, CopySource, CopyTarget, Ident, ObjectName, Query, SelectItem, SetExpr, Statement,
};

use self::lines::Lines;
use super::{
    documents::FieldValues,
    insert::{Place, places, told},
    rows::{Given, NewRows, Values},
    table_as,
    target::Target,
    values::{Cell, cells_of_field},
};
use crate::{
    connection::{Connection, check_query, naming, select},
    error::{Result, SqlError},
    outcome::{CopyIn, CopyOptions, Outcome},
    parse::{ident, quoted},
    types::{assign, parse_texts, query_field},
};

/// Rows that are parsed together.
const BATCH_ROWS: usize = 8_192;

/// Runs a COPY.
///
/// # Errors
/// When it names a file or a program, or is wrong.
pub(crate) async fn run(
    connection: &mut Connection,
    source: CopySource,
    to: bool,
    target: &CopyTarget,
    options: &[CopyOption],
    legacy: &[CopyLegacyOption],
) -> Result<Outcome> {
    match target {
        CopyTarget::File { .. } => {
            return Err(SqlError::new(b"42501", "COPY to or from a file of the server is not supported")
                .with_hint("use COPY ... FROM STDIN or COPY ... TO STDOUT; psql's \\copy does"));
        }
        CopyTarget::Program { .. } => {
            return Err(SqlError::new(b"42501", "COPY to or from a program is not supported"));
        }
        CopyTarget::Stdin | CopyTarget::Stdout => {}
    }
    let options = options::read(options, legacy)?;
    match (source, to) {
        (CopySource::Table { table_name, columns }, false) => begin(connection, &table_name, &columns, options),
        (CopySource::Query(_), false) => Err(SqlError::new(b"42601", "COPY of a query can only be TO STDOUT")),
        (CopySource::Table { table_name, columns }, true) => {
            let query = table_query(connection, &table_name, &columns)?;
            Box::pin(out(connection, query, options)).await
        }
        (CopySource::Query(query), true) => Box::pin(out(connection, *query, options)).await,
    }
}

async fn out(connection: &mut Connection, query: Query, options: CopyOptions) -> Result<Outcome> {
    check_query(&query)?;
    let mut statement = Statement::Query(Box::new(query));
    naming::name_columns(&mut statement);
    let (schema, rows) = connection.stream(statement, &[]).await?;
    Ok(Outcome::CopyOut { schema, rows, options })
}

fn table_query(connection: &Connection, name: &ObjectName, columns: &[Ident]) -> Result<Query> {
    let target = Target::find(connection, name, None)?;
    let names: Vec<String> = if columns.is_empty() {
        let schema = Arc::clone(&connection.scope.layout(&target.table).schema);
        schema.fields().iter().map(|field| field.name().clone()).collect()
    } else {
        columns.iter().map(ident).collect()
    };
    let items = names
        .iter()
        .map(|name| SelectItem::UnnamedExpr(datafusion::sql::sqlparser::ast::Expr::Identifier(quoted(name))));
    let mut query = select(items.collect())?;
    if let SetExpr::Select(select) = &mut *query.body {
        select.from = vec![table_as(&target)?];
    }
    Ok(query)
}

/// Begins a COPY ... FROM STDIN.
fn begin(connection: &mut Connection, name: &ObjectName, columns: &[Ident], options: CopyOptions) -> Result<Outcome> {
    connection.check_may_write()?;
    let target = Target::find(connection, name, None)?;
    let places = places(&target, columns)?;
    let fields = places.iter().filter_map(|place| match place {
        Place::Column(id) => {
            target.definition().column(*id).map(|column| query_field(&column.name, &column.column_type, true))
        }
        Place::Field(name) => Some(Field::new(name, DataType::Utf8View, true)),
    });
    let fields: Vec<Field> = fields.collect();
    let feed = Feed {
        lines: Lines::new(&options, places.len()),
        table: name.clone(),
        zone: connection.zone(),
        pending: vec![Vec::new(); places.len()],
        parsed: Vec::new(),
        rows: 0,
        target,
        places: places.clone(),
    };
    Ok(Outcome::CopyIn(Box::new(CopyIn::new(options, fields, feed))))
}

/// The rows of a COPY ... FROM STDIN that came so far.
pub(crate) struct Feed {
    lines: Lines,
    table: ObjectName,
    target: Target,
    places: Vec<Place>,
    zone: String,
    /// The texts of rows that are not parsed yet, a column each.
    pending: Vec<Vec<Option<String>>>,
    /// The columns of rows that are.
    parsed: Vec<Vec<ArrayRef>>,
    rows: usize,
}

impl Feed {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// When a line does not fit.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.lines.push(bytes);
        self.take_lines(false)
    }

    /// Takes rows of values.
    ///
    /// # Errors
    /// When a value does not fit its column.
    pub(crate) fn take_rows(&mut self, columns: &[ArrayRef]) -> Result<()> {
        if columns.len() != self.places.len() {
            return Err(SqlError::new(b"22P04", "the rows do not have the columns of the copy"));
        }
        let len = columns.first().map_or(0, |column| column.len());
        let assigned = self.places.iter().zip(columns).map(|(place, values)| match place {
            Place::Column(id) => match self.target.definition().column(*id) {
                Some(column) => assign(values, &column.column_type, &self.zone)
                    .map_err(|e| e.with_detail(format!("COPY {}, column {}", self.target.name, column.name))),
                None => Err(SqlError::new(b"XX000", "a column of the copy is gone")),
            },
            Place::Field(_) => Ok(Arc::clone(values)),
        });
        self.parsed.push(assigned.collect::<Result<_>>()?);
        self.rows += len;
        Ok(())
    }

    fn take_lines(&mut self, last: bool) -> Result<()> {
        while let Some(values) = self.lines.next(last)? {
            for (column, value) in self.pending.iter_mut().zip(values) {
                column.push(value);
            }
            self.rows += 1;
            if self.pending.first().is_some_and(|column| column.len() >= BATCH_ROWS) {
                self.parse()?;
            }
        }
        Ok(())
    }

    fn parse(&mut self) -> Result<()> {
        if self.pending.first().is_none_or(Vec::is_empty) {
            return Ok(());
        }
        let columns = self.places.iter().zip(&mut self.pending).map(|(place, texts)| {
            let texts = std::mem::take(texts);
            match place {
                Place::Column(id) => match self.target.definition().column(*id) {
                    Some(column) => parse_texts(texts.iter().map(Option::as_deref), &column.column_type, &self.zone)
                        .map_err(|e| e.with_detail(format!("COPY {}, column {}", self.target.name, column.name))),
                    None => Err(SqlError::new(b"XX000", "a column of the copy is gone")),
                },
                Place::Field(_) => {
                    let cells: Vec<Cell> = texts.into_iter().map(|t| t.map_or(Cell::Null, Cell::Text)).collect();
                    cells_of_field(&cells, &self.zone)
                }
            }
        });
        self.parsed.push(columns.collect::<Result<_>>()?);
        Ok(())
    }

    /// Writes all rows.
    ///
    /// # Errors
    /// When the last line does not fit, or the rows cannot be written.
    pub(crate) fn write(&mut self, connection: &mut Connection) -> Result<String> {
        self.take_lines(true)?;
        self.parse()?;
        let tag = format!("COPY {}", self.rows);
        connection.begin_implicit()?;
        connection.look();
        // The table may have changed since the copy began; then the columns do not fit any more.
        let target = Target::find(connection, &self.table, None)?;
        if target.definition().id != self.target.definition().id {
            return Err(SqlError::new(
                b"40001",
                format!("table \"{}\" was made anew during the copy", self.target.name),
            ));
        }
        for columns in std::mem::take(&mut self.parsed) {
            let len = columns.first().map_or(0, |column| column.len());
            let mut given = Given::default();
            for (place, values) in self.places.iter().zip(columns) {
                match place {
                    Place::Column(id) => drop(given.columns.insert(*id, Values::Held(values))),
                    Place::Field(name) => {
                        drop(given.fields.insert(name.clone(), FieldValues { values, is_json: false }))
                    }
                }
            }
            let rows = NewRows::make(connection, &target, len, &given)?.to_rows(&target)?;
            let table = target.definition().id;
            connection.transaction()?.insert(table, rows, KeyConflict::Refuse).map_err(|e| told(e, &target))?;
        }
        Ok(tag)
    }
}
