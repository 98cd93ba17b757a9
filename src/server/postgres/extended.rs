//! The extended protocol: statements that are prepared, bound to values, described, and run in portions.

use std::sync::Arc;

use arrow::datatypes::Field;
use chronolith_sql::{Outcome, Prepared, ScalarValue};

use super::{
    backend::Column,
    connection::Connection,
    counters::count,
    failure::{Failure, Result},
    parameters,
    rows::{Rows, columns},
    simple::Control,
    types::{PgType, Shape},
};
use crate::ingest::postgres::frontend::{Bind, Formats, Target};

/// Prepared statements, and portals, that a connection may keep.
const MAX_KEPT: usize = 10_000;
/// The OID of a parameter of which nothing is known.
const TEXT: u32 = 25;

/// A prepared statement.
pub(crate) struct Statement {
    /// `None` when the text is empty.
    prepared: Option<Prepared>,
    /// The types of its parameters as the client was told.
    parameters: Vec<PgType>,
    control: Control,
}

/// A statement with values, and what was sent of its result.
pub(crate) struct Portal {
    statement: Arc<Statement>,
    values: Vec<ScalarValue>,
    formats: Formats,
    state: State,
}

enum State {
    /// It did not run yet.
    Bound,
    /// It ran, and has rows left.
    Suspended(Box<Rows>),
    /// It gave its last row; the tag is the command's.
    Exhausted(&'static str),
    /// It ran, and gave no rows.
    Done,
}

impl Statement {
    fn columns(&self, formats: &Formats) -> Result<Option<Vec<Column>>> {
        let schema = self.prepared.as_ref().and_then(|prepared| prepared.columns.as_ref());
        Ok(schema.map(|schema| columns(schema, formats)).transpose()?)
    }
}

/// The type of a parameter that the engine found out.
fn found_type(field: &Field) -> PgType {
    PgType::of_field(field).ok().or_else(|| PgType::of_oid(TEXT)).unwrap_or(PgType {
        oid: TEXT,
        size: -1,
        shape: Shape::Text,
        element: None,
    })
}

impl Connection {
    /// Prepares a statement.
    pub(crate) async fn parse(&mut self, name: &str, query: &str, types: Vec<u32>) -> Result<()> {
        if !name.is_empty() && self.statements.contains_key(name) {
            return Err(Failure::statement(b"42P05", format!("prepared statement \"{name}\" already exists")));
        }
        if self.statements.len() >= MAX_KEPT {
            let message = format!("a connection keeps at most {MAX_KEPT} prepared statements: close some");
            return Err(Failure::statement(b"53400", message));
        }
        self.statements.remove(name);
        let given = types.iter().map(|oid| given_type(*oid)).collect::<Result<Vec<_>>>()?;
        let statement = match self.session.split(query)?.as_slice() {
            [] => Statement { prepared: None, parameters: Vec::new(), control: Control::None },
            [one] => {
                let hints: Vec<_> = given.iter().map(|pg| pg.map(PgType::arrow)).collect();
                let prepared = self.channel.watch(self.session.prepare(one, &hints)).await??;
                let told = |(place, found): (usize, &Field)| {
                    given.get(place).copied().flatten().unwrap_or_else(|| found_type(found))
                };
                let parameters: Vec<_> = prepared.parameters.iter().enumerate().map(told).collect();
                if parameters.len() > usize::from(u16::MAX) {
                    return Err(Failure::statement(b"54023", "a statement has at most 65535 parameters"));
                }
                Statement { parameters, control: Control::of(one), prepared: Some(prepared) }
            }
            _ => {
                let message = "cannot insert multiple commands into a prepared statement";
                return Err(Failure::statement(b"42601", message));
            }
        };
        self.statements.insert(name.to_owned(), Arc::new(statement));
        self.channel.out.parse_complete();
        Ok(())
    }

    fn statement(&self, name: &str) -> Result<Arc<Statement>> {
        self.statements.get(name).cloned().ok_or_else(|| {
            let message = if name.is_empty() {
                "unnamed prepared statement does not exist".to_owned()
            } else {
                format!("prepared statement \"{name}\" does not exist")
            };
            Failure::statement(b"26000", message)
        })
    }

    /// Binds a statement to values.
    pub(crate) fn bind(&mut self, bind: &Bind<'_>) -> Result<()> {
        let statement = self.statement(bind.statement)?;
        if !bind.portal.is_empty() && self.portals.contains_key(bind.portal) {
            return Err(Failure::statement(b"42P03", format!("cursor \"{}\" already exists", bind.portal)));
        }
        if self.portals.len() >= MAX_KEPT {
            return Err(Failure::statement(
                b"53400",
                format!("a connection keeps at most {MAX_KEPT} portals: close some"),
            ));
        }
        let (given, wanted) = (bind.values.len(), statement.parameters.len());
        if given != wanted {
            let name = bind.statement;
            let message = format!(
                "bind message supplies {given} parameters, but prepared statement \"{name}\" requires {wanted}"
            );
            return Err(Failure::statement(b"08P01", message));
        }
        if !bind.formats.fit(given) {
            let message = format!("bind message has {} parameter formats but {given} parameters", bind.formats.count());
            return Err(Failure::statement(b"08P01", message));
        }
        let described = statement.columns(&bind.results)?.map_or(0, |columns| columns.len());
        if !bind.results.fit(described) {
            let formats = bind.results.count();
            let message = format!("bind message has {formats} result formats but query has {described} columns");
            return Err(Failure::statement(b"08P01", message));
        }
        let zone = self.style().zone;
        let found = statement.prepared.iter().flat_map(|prepared| &prepared.parameters);
        let sent = bind.values.iter().zip(&statement.parameters).zip(found).enumerate();
        let values = sent.map(|(place, ((value, pg), wanted))| {
            parameters::decode(place + 1, *value, bind.formats.of(place), *pg, wanted.data_type(), &zone)
        });
        let values = values.collect::<Result<_, _>>()?;
        let portal = Portal { statement, values, formats: bind.results.clone(), state: State::Bound };
        self.portals.insert(bind.portal.to_owned(), portal);
        self.channel.out.bind_complete();
        Ok(())
    }

    /// Tells the types of a statement or a portal.
    pub(crate) async fn describe(&mut self, target: Target<'_>) -> Result<()> {
        let columns = match target {
            Target::Statement(name) => {
                let statement = self.statement(name)?;
                let columns = statement.columns(&Formats::default())?;
                let oids: Vec<u32> = statement.parameters.iter().map(|pg| pg.oid).collect();
                self.channel.out.parameter_description(&oids);
                columns
            }
            Target::Portal(name) => {
                match self.portals.get(name) {
                    Some(portal) => portal.statement.columns(&portal.formats)?,
                    // A cursor of DECLARE is a portal too.
                    None if name.is_empty() => return Err(no_portal(name)),
                    None => {
                        let schema = self.channel.watch(self.session.cursor_columns(name)).await??;
                        Some(columns(&schema, &Formats::default())?)
                    }
                }
            }
        };
        match columns {
            Some(columns) => self.channel.out.row_description(&columns),
            None => self.channel.out.no_data(),
        }
        Ok(())
    }

    /// Runs a portal, or goes on with it; `most` of 0 is all rows.
    pub(crate) async fn execute(&mut self, name: &str, most: u32) -> Result<()> {
        // Taken out while it runs: if it fails it is gone.
        let mut portal = self.portals.remove(name).ok_or_else(|| no_portal(name))?;
        let state = std::mem::replace(&mut portal.state, State::Done);
        portal.state = match state {
            State::Bound => Box::pin(self.start(&portal.statement, &portal.values, &portal.formats, most)).await?,
            State::Suspended(rows) => self.send_portion(rows, most).await?,
            State::Exhausted(tag) => {
                self.complete_rows(tag, 0);
                State::Exhausted(tag)
            }
            State::Done => {
                return Err(Failure::statement(b"55000", format!("portal \"{name}\" cannot be run")));
            }
        };
        self.portals.insert(name.to_owned(), portal);
        Ok(())
    }

    async fn start(
        &mut self,
        statement: &Statement,
        values: &[ScalarValue],
        formats: &Formats,
        most: u32,
    ) -> Result<State> {
        count(&self.server.app.postgres.statements);
        let Some(prepared) = &statement.prepared else {
            self.channel.out.empty_query();
            return Ok(State::Done);
        };
        match statement.control {
            Control::Begin if self.is_implicit => {
                return self.adopt_implicit(&prepared.sql).map(|()| State::Done);
            }
            Control::End => self.is_implicit = false,
            // What comes before the next Sync is one transaction. Most often the Sync is there already, and this
            // statement the only one: it is then a transaction by itself.
            Control::None if !self.channel.is_sync_next() => self.begin_implicit().await?,
            _ => {}
        }
        let outcome = self.channel.watch(self.session.execute(prepared, values)).await??;
        self.send_warnings();
        match outcome {
            Outcome::Rows { schema, rows, tag } => {
                let columns = match statement.columns(formats)? {
                    Some(described) => described,
                    None => columns(&schema, formats)?,
                };
                self.send_portion(Box::new(Rows::new(columns, rows, tag)), most).await
            }
            other => self.send_rowless(other).await.map(|()| State::Done),
        }
    }

    async fn send_portion(&mut self, mut rows: Box<Rows>, most: u32) -> Result<State> {
        let style = self.style();
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let sent = rows.send(&mut self.channel, &style, most).await?;
        if sent.is_all {
            self.complete_rows(rows.tag, sent.rows);
            return Ok(State::Exhausted(rows.tag));
        }
        self.channel.out.portal_suspended();
        Ok(State::Suspended(rows))
    }

    /// Forgets a statement or a portal; one that does not exist is forgotten already.
    pub(crate) fn close(&mut self, target: Target<'_>) {
        match target {
            Target::Statement(name) => drop(self.statements.remove(name)),
            Target::Portal(name) => drop(self.portals.remove(name)),
        }
        self.channel.out.close_complete();
    }
}

fn no_portal(name: &str) -> Failure {
    Failure::statement(b"34000", format!("portal \"{name}\" does not exist"))
}

/// The type that the client says a parameter has; `None` where the engine is to find out.
fn given_type(oid: u32) -> Result<Option<PgType>> {
    const UNKNOWN: u32 = 705;
    match oid {
        0 | UNKNOWN => Ok(None),
        oid => PgType::of_oid(oid).map(Some).ok_or_else(|| {
            Failure::statement(
                b"0A000",
                format!("parameters of the type with OID {oid} are not supported: cast a text"),
            )
        }),
    }
}
