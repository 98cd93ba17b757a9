//! `chronolith query`: asks PromQL of a server or a data directory.

use std::time::Duration;

use clap::ValueEnum;

use super::{
    answer::{AnswerSeries, AnswerValue, ApiError, ApiFailure, QueryAnswer, WireValue, read_api},
    caret,
    error::CliError,
    http_client::HttpClient,
    output::{csv, json, table},
    plot::{self, PlotOptions},
    source::{Source, SourceArgs},
    terminal::{note, print, stdout_color, stdout_width},
    time::{HumanDuration, TimeSpec, api_time, now_ms},
};
use crate::{
    Db, Error,
    promql::{
        ParseError,
        engine::{Level, QueryOutput},
        parse,
    },
    server::result_json,
};

/// Examples and hints below the options.
pub(crate) const HELP: &str = "\
Examples:
  $ chronolith query up
  $ chronolith query --time -5m 'sum by (job) (rate(http_requests_total[5m]))'
  $ chronolith query --start -1h --step 1m -o csv 'process_resident_memory_bytes'
  $ chronolith query --start -6h -o plot 'sum by (job) (rate(http_requests_total[5m]))'
  $ chronolith query --data-dir ./data -o json 'count({__name__!=\"\"})'

Times are RFC 3339, unix seconds, `now`, or relative to now such as -1h. Exit codes: 0 answered, 1 failed, 2 usage.";

/// A plot without a start shows this much.
const PLOTTED_MS: i64 = 3_600_000;
/// Steps of a range when no step was named.
const DEFAULT_STEPS: i64 = 240;
/// Rows of a plot.
const PLOT_HEIGHT: usize = 16;

/// How an answer is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Aligned columns for people
    Table,
    /// The API's `data` object
    Json,
    /// Comma-separated values with a head line
    Csv,
    /// Lines in the terminal
    Plot,
}

/// Options of `query`.
#[derive(Debug, clap::Args)]
pub(crate) struct QueryArgs {
    /// The PromQL expression
    promql: String,
    #[command(flatten)]
    source: SourceArgs,
    /// Evaluate at this time [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, conflicts_with_all = ["start", "end", "step"])]
    time: Option<TimeSpec>,
    /// Evaluate at every step from here on
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    start: Option<TimeSpec>,
    /// The last time of a range [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, requires = "start")]
    end: Option<TimeSpec>,
    /// The time between steps of a range [default: the range in 240 steps]
    #[arg(long, value_name = "DURATION")]
    step: Option<HumanDuration>,
    /// How to show the answer
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// When an expression is evaluated, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moments {
    At(i64),
    Range { start: i64, end: i64, step: i64 },
}

/// Asks and prints.
pub(crate) fn run(args: &QueryArgs) -> Result<(), CliError> {
    let moments = args.moments(now_ms())?;
    let answer = match args.source.open()? {
        Source::Server(client) => ask_server(&client, &args.promql, moments)?,
        Source::Directory(db) => ask_directory(&db, &args.promql, moments)?,
    };
    for remark in &answer.remarks {
        note(&format!("note: {remark}"));
    }
    print(&args.render(&answer.value, moments)?)
}

impl QueryArgs {
    fn moments(&self, now: i64) -> Result<Moments, CliError> {
        let start = match (self.start, self.output) {
            (Some(start), _) => start.resolve(now),
            (None, Format::Plot) => self.time.map_or(now, |t| t.resolve(now)) - PLOTTED_MS,
            (None, _) if self.step.is_some() => {
                return Err(CliError::Usage("--step needs a range: name its --start, such as --start -1h".into()));
            }
            (None, _) => return Ok(Moments::At(self.time.map_or(now, |t| t.resolve(now)))),
        };
        let end = self.end.or(self.time).map_or(now, |t| t.resolve(now));
        if end < start {
            return Err(CliError::Usage("--end is before --start".into()));
        }
        let step = self.step.map_or_else(|| default_step(start, end), HumanDuration::as_millis);
        if step == 0 {
            return Err(CliError::Usage("--step is zero; name a longer one, such as 15s".into()));
        }
        Ok(Moments::Range { start, end, step })
    }

    fn render(&self, value: &AnswerValue, moments: Moments) -> Result<String, CliError> {
        Ok(match self.output {
            Format::Table => table::render(value, stdout_width()),
            Format::Json => json::render(value),
            Format::Csv => csv::render(value),
            Format::Plot => {
                let AnswerValue::Matrix(series) = value else {
                    return Err(CliError::Failed("only numbers over a range can be plotted".into()));
                };
                plot_range(series, moments, Some(self.promql.replace('\n', " ")))
            }
        })
    }
}

/// At least a second, and at most about as many steps as a plot has dots.
fn default_step(start: i64, end: i64) -> i64 {
    let step = end.saturating_sub(start) / DEFAULT_STEPS;
    (step - step % 1_000).max(1_000)
}

/// A range's series as a plot for standard output.
pub(crate) fn plot_range(series: &[AnswerSeries], moments: Moments, title: Option<String>) -> String {
    let (start, end, step) = match moments {
        Moments::Range { start, end, step } => (start, end, step),
        Moments::At(t) => (t, t, 1),
    };
    let options = PlotOptions {
        width: stdout_width().min(160),
        height: PLOT_HEIGHT,
        color: stdout_color(),
        title,
        start,
        end,
        max_gap: step + step / 2,
    };
    plot::render(&plot::lines(series), &options)
}

/// Asks a server.
pub(crate) fn ask_server(client: &HttpClient, query: &str, moments: Moments) -> Result<QueryAnswer, CliError> {
    let answered = match moments {
        Moments::At(t) => client.post_form("/api/v1/query", &[("query", query), ("time", &api_time(t))])?,
        Moments::Range { start, end, step } => {
            let (start, end, step) = (api_time(start), api_time(end), api_time(step));
            let form = [("query", query), ("start", &start), ("end", &end), ("step", &step)];
            client.post_form("/api/v1/query_range", &form)?
        }
    };
    let url = answered.url.clone();
    match read_api::<WireValue>(answered) {
        Ok((wire, remarks)) => read_value(wire, remarks, &url),
        Err(ApiError::Http(error)) => Err(error.into()),
        Err(ApiError::Refused(failure)) => Err(explain(query, failure)),
    }
}

fn read_value(wire: WireValue, remarks: Vec<String>, url: &str) -> Result<QueryAnswer, CliError> {
    let value =
        wire.into_value().ok_or_else(|| CliError::Failed(format!("{url}: a value in the answer is no number")))?;
    Ok(QueryAnswer { value, remarks })
}

/// A server's refusal, with carets where the query is wrong, if it is.
fn explain(query: &str, failure: ApiFailure) -> CliError {
    if let Err(error) = parse(query) {
        return syntax_error(query, &error);
    }
    // A server that knows less than this program may still tell the place: `1:5: parse error: ...`.
    let place = failure.message.find(": parse error").and_then(|end| {
        let before = failure.message.get(..end)?;
        let (rest, column) = before.rsplit_once(':')?;
        let line = rest.rsplit(|c: char| !c.is_ascii_digit()).next()?;
        caret::offset_of(query, line.parse().ok()?, column.parse().ok()?)
    });
    match place {
        Some(at) => CliError::Query(format!("{}\n{}", failure.message, caret::point_at(query, at, at + 1))),
        None => failure.into(),
    }
}

fn syntax_error(query: &str, error: &ParseError) -> CliError {
    let place = caret::point_at(query, error.pos.start as usize, error.pos.end as usize);
    CliError::Query(format!("this is not PromQL: {}\n{place}", error.message))
}

/// Asks a database in this process.
pub(crate) fn ask_directory(db: &Db, query: &str, moments: Moments) -> Result<QueryAnswer, CliError> {
    let answered = match moments {
        Moments::At(t) => db.query(query, t),
        Moments::Range { start, end, step } => {
            db.query_range(query, start, end, Duration::from_millis(step.unsigned_abs()))
        }
    };
    let output = match answered {
        Ok(result) => result.into_output(),
        Err(Error::Parse(error)) => return Err(syntax_error(query, &error)),
        Err(error) => return Err(error.into()),
    };
    let damage = db.engine().quarantined();
    let damage = damage.iter().map(|q| format!("{} was set aside as damaged: {}", q.file, q.reason));
    let remarks = damage.chain(remarks(query, &output)).collect();
    // The API's own writer, so that both sources give the same answer to the last bucket.
    let mut wire = vec![b'{'];
    result_json::write(&mut wire, &output.value, None);
    wire.push(b'}');
    let wire =
        serde_json::from_slice(&wire).map_err(|e| CliError::Failed(format!("the answer cannot be read: {e}")))?;
    read_value(wire, remarks, "the data directory")
}

/// Warnings, then remarks.
fn remarks(query: &str, output: &QueryOutput) -> Vec<String> {
    let of = |level| output.annotations.iter().filter(move |a| a.level == level).map(|a| a.text(query));
    of(Level::Warning).chain(of(Level::Info)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Only {
        #[command(flatten)]
        args: QueryArgs,
    }

    fn moments(line: &str) -> Result<Moments, String> {
        let parsed = <Only as clap::Parser>::try_parse_from(["query", "up"].into_iter().chain(line.split_whitespace()));
        parsed.map_err(|e| e.to_string())?.args.moments(10_000_000).map_err(|e| e.to_string())
    }

    #[test]
    fn an_instant_unless_there_is_a_start() {
        assert_eq!(moments(""), Ok(Moments::At(10_000_000)));
        assert_eq!(moments("--time -1s"), Ok(Moments::At(9_999_000)));
        let hour = Moments::Range { start: 6_400_000, end: 10_000_000, step: 15_000 };
        assert_eq!(moments("--start -1h"), Ok(hour));
        assert_eq!(moments("-o plot"), Ok(hour));
        let short = Moments::Range { start: 0, end: 1_000, step: 500 };
        assert_eq!(moments("--start 0 --end 1 --step 500ms"), Ok(short));
        for (line, word) in [
            ("--start 5 --end 1", "before"),
            ("--step 1s", "--start"),
            ("--start 0 --step 0", "zero"),
            ("--time 1 --start 0", "cannot be used"),
        ] {
            assert!(moments(line).unwrap_err().contains(word), "{line}");
        }
    }

    #[test]
    fn errors_point_at_the_place() {
        let failure = |message: &str| ApiFailure { kind: "bad_data".into(), message: message.into() };
        let ours = explain("up{job=~5}", failure("?")).to_string();
        assert!(ours.ends_with("  | up{job=~5}\n  |         ^^"), "{ours}");
        let theirs = explain("up + up", failure("invalid parameter \"query\": 1:4: parse error: no")).to_string();
        assert!(theirs.ends_with("  | up + up\n  |    ^"), "{theirs}");
        assert!(explain("up", failure("too many")).to_string().contains("too many"));
    }
}
