//! `chronolith sql`: asks SQL of a server or a data directory, and the shell for it.

mod editor;
mod grid;
mod output;
mod place;
mod shell;
mod spinner;
mod statements;
mod words;

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use chronolith_sql::SqlError;
use futures::{FutureExt as _, StreamExt as _};
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};

use super::{
    caret,
    error::CliError,
    progress::Progress,
    source::{Source, SourceArgs},
    terminal::note,
};
use output::{Format, Output};
use place::{Answer, Fault, Place};
use spinner::Spinner;
use statements::Statements;

/// Examples and hints below the options.
pub(crate) const HELP: &str = "\
Examples:
  $ chronolith sql 'SELECT count(*) FROM clicks'
  $ chronolith sql --data-dir ./data -o csv 'SELECT page, count(*) FROM clicks GROUP BY page'
  $ chronolith sql -o parquet --output-file pages.parquet 'SELECT page FROM clicks'
  $ chronolith sql 'SELECT 1; SELECT 2'
  $ chronolith sql --data-dir ./data --file report.sql

Without a statement a shell opens, if this is a terminal: statements end with `;`, \\? tells the rest. Statements are run one \
after another, up to the first that fails. Over HTTP each is a transaction of its own; for BEGIN and COMMIT connect by a \
PostgreSQL client. A data directory is only read.
Exit codes: 0 done, 1 failed, 2 usage.";

/// Options of `sql`.
#[derive(Debug, clap::Args)]
pub(crate) struct SqlArgs {
    /// Statements, or - for standard input [default: a shell, or standard input]
    statement: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
    /// Run the statements of this file
    #[arg(short, long, value_name = "FILE", conflicts_with = "statement")]
    file: Option<PathBuf>,
    /// How to show the rows
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Write the rows to this file [default: standard output]
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
}

/// Runs statements one after another.
struct Runner {
    runtime: Arc<Runtime>,
    place: Place,
    output: Output,
    /// Ctrl-C; `None`: it ends the process.
    interrupts: Option<Signal>,
    /// Whether it is told how long each statement took.
    timing: bool,
}

/// Runs what was given.
pub(crate) fn run(args: &SqlArgs) -> Result<(), CliError> {
    let output = Output::open(args.output, args.output_file.as_ref())?;
    let mut runner = Runner::new(args.source.open()?, output)?;
    match (args.statement.as_deref(), &args.file) {
        (None, None) if io::stdin().is_terminal() => shell::run(&mut runner),
        (None | Some("-"), None) => runner.all_of("standard input", io::stdin().lock()),
        (None, Some(path)) => {
            let name = path.display().to_string();
            let file = File::open(path).map_err(|e| CliError::io(name.clone(), e))?;
            runner.all_of(&name, BufReader::new(file))
        }
        (Some(text), _) => runner.all_of("the statement", text.as_bytes()),
    }
}

/// Exports a table as a Parquet file.
pub(crate) fn export_table(source: Source, table: &str, file: Option<&PathBuf>) -> Result<(), CliError> {
    let output = Output::open(Format::Parquet, file)?;
    let mut runner = Runner::new(source, output)?;
    let mut progress = Progress::bytes("exported", None).counting("events");
    let statement = format!("SELECT * FROM \"{}\"", table.replace('"', "\"\""));
    let done = runner.run(&statement, &mut |bytes, rows| progress.advance(bytes, rows));
    done.map_err(|fault| fault.told(&statement))?;
    progress.finish();
    Ok(())
}

impl Runner {
    fn new(source: Source, output: Output) -> Result<Self, CliError> {
        let (place, runtime) = Place::of(source)?;
        Ok(Self { runtime, place, output, interrupts: None, timing: false })
    }

    /// From here on Ctrl-C stops a statement and not the process.
    fn catch_interrupts(&mut self) -> Result<(), CliError> {
        let _inside = self.runtime.enter();
        let interrupts = signal(SignalKind::interrupt()).map_err(|e| CliError::io("waiting for Ctrl-C", e))?;
        self.interrupts = Some(interrupts);
        Ok(())
    }

    /// Whatever was interrupted by Ctrl-C so far is over: the next statement shall not end by it.
    fn forget_interrupts(&mut self) {
        while let Some(interrupts) = &mut self.interrupts
            && interrupts.recv().now_or_never().flatten().is_some()
        {}
    }

    /// Runs all statements of a text, up to the first that fails.
    fn all_of(&mut self, name: &str, mut text: impl BufRead) -> Result<(), CliError> {
        let mut statements = Statements::default();
        let mut line = String::new();
        let wrong = |reason: String| CliError::Failed(format!("{name}: {reason}"));
        loop {
            line.clear();
            if text.read_line(&mut line).map_err(|e| CliError::io(name, e))? == 0 {
                break;
            }
            for statement in statements.push(&line).map_err(wrong)? {
                self.one(&statement)?;
            }
        }
        match statements.finish().map_err(wrong)? {
            Some(statement) => self.one(&statement),
            None => Ok(()),
        }
    }

    /// Runs a statement as it is shown to people: with a spinner and how long it took.
    fn one(&mut self, statement: &str) -> Result<(), CliError> {
        let started = Instant::now();
        self.run(statement, &mut |_, _| {}).map_err(|fault| fault.told(statement))?;
        if self.timing {
            note(&format!("Time: {:.3} ms", started.elapsed().as_secs_f64() * 1e3));
        }
        Ok(())
    }

    /// Runs a statement and writes its rows. `count` is told of the bytes and rows of each batch.
    fn run(&mut self, statement: &str, count: &mut dyn FnMut(u64, u64)) -> Result<(), Fault> {
        let Self { runtime, place, output, interrupts, .. } = self;
        let canceller = place.canceller();
        Arc::clone(runtime).block_on(async move {
            let spinner = Spinner::new(output.shown);
            let work = async {
                match place.ask(statement).await? {
                    Answer::Done { tag } => {
                        spinner.clear();
                        note(&tag);
                    }
                    Answer::Rows { schema, mut rows } => {
                        let mut writing = output.begin(&schema)?;
                        while let Some(batch) = rows.next().await {
                            let batch = batch.map_err(Fault::Sql)?;
                            spinner.written();
                            output.write(&mut writing, &batch)?;
                            count(batch.get_array_memory_size() as u64, batch.num_rows() as u64);
                            // Rows that are there already must not keep Ctrl-C waiting.
                            tokio::task::yield_now().await;
                        }
                        spinner.clear();
                        output.end(writing)?;
                    }
                }
                Ok(())
            };
            let interrupted = async {
                match interrupts {
                    Some(interrupts) => interrupts.recv().await,
                    None => std::future::pending().await,
                }
            };
            let turning = async {
                loop {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    spinner.turn();
                }
            };
            let done = tokio::select! {
                biased;
                _ = interrupted => {
                    if let Some(canceller) = canceller {
                        canceller.cancel();
                    }
                    Err(Fault::Sql(SqlError::new(b"57014", "canceled")))
                }
                done = work => done,
                () = turning => Ok(()),
            };
            spinner.clear();
            done
        })
    }
}

impl Fault {
    /// The error as people read it: with the line where it is, and what to do.
    fn told(self, statement: &str) -> CliError {
        let error = match self {
            Self::Cli(error) => return error,
            Self::Sql(error) => error,
        };
        let mut text = error.message;
        if let Some(position) = error.position.and_then(|p| p.checked_sub(1)) {
            let start = statement.char_indices().nth(position).map_or(statement.len(), |(at, _)| at);
            let rest = statement.get(start..).unwrap_or("");
            let word = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len()).max(1);
            text.push('\n');
            text.push_str(&caret::point_at(statement, start, start + word));
        }
        for (name, more) in [("detail", error.detail), ("hint", error.hint)] {
            if let Some(more) = more {
                text.push_str(&format!("\n{name}: {more}"));
            }
        }
        CliError::Query(text)
    }
}

/// The file that keeps the shell's history: where the user's state is kept by convention, if there is a home.
fn history_path() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").filter(|dir| dir.is_absolute());
    let state = state.or_else(|| set("HOME").map(|home| home.join(Path::new(".local/state"))))?;
    Some(state.join("chronolith").join("sql_history"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_stand_under_their_place() {
        let mut error = SqlError::new(b"42601", "syntax error").with_hint("write it well");
        error.position = Some(10);
        let told = Fault::Sql(error).told("SELECT \u{e9},\nfrom x").to_string();
        assert_eq!(told, "syntax error\n  | SELECT \u{e9},\n  |          ^\nhint: write it well");
        let mut behind = SqlError::new(b"42601", "ends early");
        behind.position = Some(99);
        assert!(Fault::Sql(behind).told("SELECT").to_string().contains("SELECT\n"));
    }
}
