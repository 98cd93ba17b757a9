//! The simple protocol: a text of statements, each run at once, all results in text.

use chronolith_sql::{Outcome, SqlError};

use super::{
    connection::Connection,
    copy::{copy_in, copy_out},
    counters::count,
    failure::{Failure, Notice, Result},
    rows::{Rows, text_columns},
};

/// What a statement does to transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    /// Begins one.
    Begin,
    /// Ends one.
    End,
    /// Nothing.
    None,
}

impl Control {
    /// By the statement's first word.
    pub(crate) fn of(statement: &str) -> Self {
        let rest = skip_comments(statement);
        let length = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let is = |word: &str| rest[..length].eq_ignore_ascii_case(word);
        if is("BEGIN") || is("START") {
            Self::Begin
        } else if is("ROLLBACK") && rest.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("TO")) {
            // Back to a savepoint: the transaction goes on.
            Self::None
        } else if ["COMMIT", "END", "ROLLBACK", "ABORT"].into_iter().any(is) {
            Self::End
        } else {
            Self::None
        }
    }
}

/// The text without spaces and comments at its start.
fn skip_comments(text: &str) -> &str {
    let mut rest = text.trim_start();
    loop {
        rest = if let Some(comment) = rest.strip_prefix("--") {
            comment.find('\n').map_or("", |end| &comment[end..])
        } else if rest.starts_with("/*") {
            let mut depth = 0_usize;
            let mut at = 0;
            let bytes = rest.as_bytes();
            // Comments of this kind nest.
            loop {
                match bytes.get(at..at + 2) {
                    Some(b"/*") => (depth, at) = (depth + 1, at + 2),
                    Some(b"*/") => (depth, at) = (depth - 1, at + 2),
                    Some(_) => at += 1,
                    None => return "",
                }
                if depth == 0 {
                    break &rest[at..];
                }
            }
        } else {
            return rest;
        }
        .trim_start();
    }
}

impl Connection {
    /// Runs the statements of a text. Several are one transaction unless they say otherwise.
    pub(crate) async fn simple_query(&mut self, text: &str) -> Result<()> {
        self.statements.remove("");
        self.portals.remove("");
        let statements = self.session.split(text)?;
        if statements.is_empty() {
            self.channel.out.empty_query();
            return Ok(());
        }
        let is_several = statements.len() > 1;
        let mut searched = 0;
        for statement in &statements {
            let start = text.get(searched..).and_then(|rest| rest.find(statement.as_str())).map(|at| at + searched);
            if let Err(failure) = Box::pin(self.simple_statement(statement, is_several)).await {
                let before = start.and_then(|at| text.get(..at)).map_or(0, |before| before.chars().count());
                return Err(moved(failure, before));
            }
            searched = start.map_or(searched, |at| at + statement.len());
        }
        self.end_implicit(true).await
    }

    async fn simple_statement(&mut self, statement: &str, is_several: bool) -> Result<()> {
        count(&self.server.app.postgres.statements);
        match Control::of(statement) {
            Control::Begin if self.is_implicit => return self.adopt_implicit(statement),
            Control::End => self.is_implicit = false,
            Control::None if is_several => self.begin_implicit().await?,
            _ => {}
        }
        let outcome = self.channel.watch(self.session.run(statement)).await??;
        self.send_warnings();
        self.send_outcome(outcome).await
    }

    /// Tells of what the statement did otherwise than it said.
    pub(crate) fn send_warnings(&mut self) {
        for warning in self.session.take_warnings() {
            self.channel.out.notice(&Notice::warning(warning.state, warning.message));
        }
    }

    async fn send_outcome(&mut self, outcome: Outcome) -> Result<()> {
        match outcome {
            Outcome::Rows { schema, rows, tag } => {
                let columns = text_columns(&schema)?;
                self.channel.out.row_description(&columns);
                let style = self.style();
                let sent = Rows::new(columns, rows, tag).send(&mut self.channel, &style, 0).await?;
                self.complete_rows(tag, sent.rows);
                Ok(())
            }
            other => self.send_rowless(other).await,
        }
    }

    /// Answers what gives no rows to describe, as both protocols do.
    pub(crate) async fn send_rowless(&mut self, outcome: Outcome) -> Result<()> {
        match outcome {
            Outcome::Done { tag } => self.channel.out.command_complete(&tag),
            Outcome::Empty => self.channel.out.empty_query(),
            Outcome::CopyIn(copy) => {
                let tag = copy_in(&mut self.channel, copy).await?;
                self.channel.out.command_complete(&tag);
            }
            Outcome::CopyOut { schema, rows, options } => {
                let style = self.style();
                let sent = copy_out(&mut self.channel, schema, rows, &options, &style).await?;
                self.complete_rows("COPY", usize::try_from(sent).unwrap_or(usize::MAX));
            }
            Outcome::Rows { tag, .. } => {
                return Err(Failure::statement(b"XX000", format!("{tag} gave rows that were not described")));
            }
        }
        Ok(())
    }
}

/// An error's position counts in the whole text, not in its statement.
fn moved(failure: Failure, characters: usize) -> Failure {
    match failure {
        Failure::Statement(error) => {
            let position = error.position.map(|position| position + characters);
            Failure::Statement(Box::new(SqlError { position, ..*error }))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statements_first_word_is_found_behind_comments() {
        for (text, control) in [
            ("begin", Control::Begin),
            (" START TRANSACTION", Control::Begin),
            ("/* a /* b */ */ -- c\n COMMIT", Control::End),
            ("rollback to savepoint s", Control::None),
            ("beginning", Control::None),
            ("-- begin", Control::None),
            ("/* begin", Control::None),
            ("/", Control::None),
            ("", Control::None),
            ("\u{e4}", Control::None),
            ("/*\u{e4}*/ end", Control::End),
        ] {
            assert_eq!(Control::of(text), control, "{text}");
        }
    }
}
