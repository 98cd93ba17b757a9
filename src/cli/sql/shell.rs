//! The shell: statements typed one after another, and commands that begin with a backslash.

use std::ops::ControlFlow;

use super::{
    Runner,
    editor::{Editor, Typed},
    grid::Layout,
    history_path,
    place::{Answer, Fault},
    statements::Statements,
    words::Words,
};
use crate::cli::{
    error::CliError,
    terminal::{note, print},
};
use arrow_array::RecordBatch;
use futures::StreamExt as _;

const COMMANDS: &str = "\
\\d         the tables, views and metrics
\\dt        the tables
\\d NAME    the columns of a table
\\timing    tell how long statements take, or stop to
\\x         a line a value instead of a line a row, or back
\\?         this list
\\q         leave, as Ctrl-D does
Statements end with `;`. Tab completes, Ctrl-C drops what was typed or stops the statement that runs.";
/// Names of columns that are completed at most.
const MOST_NAMES: usize = 20_000;

/// A command of the shell.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Help,
    Quit,
    /// The relations; of tables only, or all.
    List(bool),
    Describe(String),
    Timing,
    Expanded,
}

/// Reads and runs until the user leaves.
pub(super) fn run(runner: &mut Runner) -> Result<(), CliError> {
    runner.catch_interrupts()?;
    let mut editor = Editor::new(Words::default(), history_path())?;
    learn(runner, &mut editor);
    note(&format!(
        "chronolith {} on {}. \\? for help, Ctrl-D to leave.",
        env!("CARGO_PKG_VERSION"),
        runner.place.name()
    ));
    let mut statements = Statements::default();
    loop {
        let prompt = if statements.is_open() { "chronolith-> " } else { "chronolith=> " };
        let text = match editor.read(prompt)? {
            Typed::Text(text) => text,
            Typed::Interrupted => {
                statements.clear();
                continue;
            }
            Typed::End => return Ok(()),
        };
        editor.remember(&text);
        runner.forget_interrupts();
        for line in text.split('\n') {
            if take(runner, &mut editor, &mut statements, line)?.is_break() {
                return Ok(());
            }
        }
    }
}

/// Obeys a line, or runs the statements that end in it; breaks when the user wants to leave.
fn take(
    runner: &mut Runner,
    editor: &mut Editor,
    statements: &mut Statements,
    line: &str,
) -> Result<ControlFlow<()>, CliError> {
    if !statements.is_open() && line.trim_start().starts_with('\\') {
        match command(line.trim()) {
            Ok(Command::Quit) => return Ok(ControlFlow::Break(())),
            Ok(command) => tell(obey(runner, &command))?,
            Err(reason) => note(&format!("error: {reason}")),
        }
        return Ok(ControlFlow::Continue(()));
    }
    match statements.push(&format!("{line}\n")) {
        Ok(complete) => {
            for statement in complete {
                let done = runner.one(&statement);
                let failed = done.is_err();
                tell(done)?;
                if failed {
                    break;
                }
                if changes_names(&statement) {
                    learn(runner, editor);
                }
            }
        }
        Err(reason) => {
            note(&format!("error: {reason}"));
            statements.clear();
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Shows an error; the shell goes on unless nobody reads it any more.
fn tell(done: Result<(), CliError>) -> Result<(), CliError> {
    match done {
        Err(CliError::ReaderGone) => Err(CliError::ReaderGone),
        Err(error) => {
            note(&format!("error: {error}"));
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// A command from what was typed.
fn command(line: &str) -> Result<Command, String> {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim().trim_end_matches(';').trim_end();
    let command = match word.trim_end_matches(';') {
        "\\?" | "\\h" => Command::Help,
        "\\q" => Command::Quit,
        "\\d" if !rest.is_empty() => return Ok(Command::Describe(rest.to_owned())),
        "\\d" => Command::List(false),
        "\\dt" => Command::List(true),
        "\\timing" => Command::Timing,
        "\\x" => Command::Expanded,
        other => return Err(format!("there is no command {other}; \\? lists them")),
    };
    if rest.is_empty() { Ok(command) } else { Err(format!("{word} takes nothing, but there is {rest:?} behind it")) }
}

fn obey(runner: &mut Runner, command: &Command) -> Result<(), CliError> {
    match command {
        Command::Help => print(&format!("{COMMANDS}\n")),
        Command::Quit => Ok(()),
        Command::List(only_tables) => {
            let tables = if *only_tables { " AND table_type = 'BASE TABLE'" } else { "" };
            runner.one(&format!(
                "SELECT table_name AS name, lower(table_type) AS type FROM information_schema.tables \
                 WHERE table_schema = 'public'{tables} ORDER BY 1"
            ))
        }
        Command::Describe(name) => {
            let name = unquoted(name).replace('\'', "''");
            runner.one(&format!(
                "SELECT column_name AS column, data_type AS type, is_nullable AS nullable, column_default AS default \
                 FROM information_schema.columns WHERE table_schema = 'public' AND table_name = '{name}' \
                 ORDER BY ordinal_position"
            ))
        }
        Command::Timing => {
            runner.timing = !runner.timing;
            print(&format!("Timing is {}.\n", if runner.timing { "on" } else { "off" }))
        }
        Command::Expanded => {
            let expanded = runner.output.layout == Layout::Columns;
            runner.output.layout = if expanded { Layout::Expanded } else { Layout::Columns };
            print(&format!("Expanded display is {}.\n", if expanded { "on" } else { "off" }))
        }
    }
}

/// The name that a word of SQL means.
fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|n| n.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => name.to_lowercase(),
    }
}

fn changes_names(statement: &str) -> bool {
    let word = statement.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or("");
    ["create", "drop", "alter"].iter().any(|change| word.eq_ignore_ascii_case(change))
}

/// Asks for the names that are completed. Without them the shell works as well.
fn learn(runner: &mut Runner, editor: &mut Editor) {
    let statement = format!(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' UNION \
         SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' LIMIT {MOST_NAMES}"
    );
    if let Ok(names) = names(runner, &statement)
        && let Some(words) = editor.words()
    {
        words.set_names(names);
    }
}

fn names(runner: &mut Runner, statement: &str) -> Result<Vec<String>, Fault> {
    let Runner { runtime, place, .. } = runner;
    runtime.block_on(async {
        let Answer::Rows { mut rows, .. } = place.ask(statement).await? else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        while let Some(batch) = rows.next().await {
            first_column(&batch.map_err(Fault::Sql)?, &mut names);
        }
        Ok(names)
    })
}

fn first_column(batch: &RecordBatch, names: &mut Vec<String>) {
    let Some(column) = batch.columns().first() else { return };
    for row in 0..batch.num_rows() {
        let mut name = String::new();
        crate::ingest::events::write_plain(&mut name, column, row);
        names.push(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        for (line, want) in [
            ("\\q", Command::Quit),
            ("\\?", Command::Help),
            ("\\d", Command::List(false)),
            ("\\dt;", Command::List(true)),
            ("\\d  clicks;", Command::Describe("clicks".to_owned())),
            ("\\timing", Command::Timing),
            ("\\x", Command::Expanded),
        ] {
            assert_eq!(command(line), Ok(want), "{line}");
        }
        assert!(command("\\o file").unwrap_err().contains("\\?"));
        assert!(command("\\x on").unwrap_err().contains("on"));
    }

    #[test]
    fn names_are_those_that_sql_means() {
        assert_eq!(unquoted("Clicks"), "clicks");
        assert_eq!(unquoted("\"A\"\"b\""), "A\"b");
        assert!(changes_names("CREATE TABLE t (a int)") && !changes_names("created"));
    }
}
