//! `chronolith demo`: a server on a temporary directory, filled by its own remote-write endpoint, to be played with.

mod fleet;
mod temporary;

use std::{thread, time::Duration};

use fleet::Fleet;
use temporary::TemporaryDirectory;

use super::{
    answer::AnswerValue,
    error::CliError,
    http_client::HttpClient,
    progress::Progress,
    query::{Moments, ask_server, plot_range},
    serve::start_log,
    stop::StopSignal,
    target::{Batch, BatchSeries, Remote},
    terminal::{note, print},
    time::{HumanDuration, now_ms},
};
use crate::{
    Db,
    ingest::remote_write::Sample,
    server::{Listen, Server, ServerConfig, ServerError, config::DEFAULT_LISTEN},
};

/// Examples and hints below the options.
pub(crate) const HELP: &str = "\
Examples:
  $ chronolith demo
  $ chronolith demo --listen 127.0.0.1:0 --interval 1s

Nothing is kept: the temporary directory is removed at the end. Ctrl-C or SIGTERM ends the demo with exit code 0.";

/// The time that is filled before the demo begins.
const HISTORY_MS: i64 = 3_600_000;
/// The time between samples of the history.
const STEP_MS: i64 = 15_000;
/// Scrapes that are sent in one request.
const SCRAPES_A_REQUEST: usize = 20;
/// The fleet's seed: every demo tells the same story.
const SEED: u64 = 2026;
/// The question that the demo answers.
const QUERY: &str = "histogram_quantile(0.95, sum by (job, le) (rate(http_request_duration_seconds_bucket[5m])))";

/// Options of `demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// The address to listen on [default: 127.0.0.1:9090, or a free port when that is taken]
    #[arg(long, value_name = "HOST:PORT", env = "CHRONOLITH_LISTEN")]
    listen: Option<String>,
    /// The time between live samples
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    interval: HumanDuration,
}

/// Runs the demo until it is told to stop.
pub(crate) fn run(args: &DemoArgs) -> Result<(), CliError> {
    if args.interval.as_millis() < 100 {
        return Err(CliError::Usage("--interval is shorter than 100ms; name a longer one, such as 5s".into()));
    }
    start_log("warn")?;
    let stop = StopSignal::install()?;
    let directory = TemporaryDirectory::new()?;
    let db = Db::open(directory.path())?;
    let server = bind(args, &db)?;
    let address = server.local_addr().map_err(|e| CliError::io("the listening socket", e))?;
    let url = format!("http://{address}");
    note(&format!("listening on {url}"));
    let told = stop.told();
    let serving = thread::Builder::new()
        .name("chronolith-demo-server".to_owned())
        .spawn(move || server.run_blocking(told))
        .map_err(|e| CliError::io("the server's thread", e))?;
    let played = match play(args, &stop, &url) {
        // A server that stops answers no more: that is no failure of the demo.
        Err(_) if stop.wait(Duration::ZERO) => Ok(()),
        other => other,
    };
    // The server stops as well when the play failed.
    stop.tell();
    let served = serving.join().map_err(|_| CliError::Failed("the server's thread panicked".to_owned()))?;
    played?;
    served?;
    db.close()?;
    Ok(())
}

/// The address that was asked for, or the default one, or a free one when the default is taken.
fn bind(args: &DemoArgs, db: &Db) -> Result<Server, CliError> {
    let config =
        |listen: Listen| ServerConfig { listen: vec![listen], enable_admin_api: true, ..ServerConfig::default() };
    if let Some(address) = &args.listen {
        return Ok(Server::bind(config(Listen::asked(address)), db.engine().clone())?);
    }
    match Server::bind(config(Listen::default_port(DEFAULT_LISTEN)), db.engine().clone()) {
        Err(ServerError::NoAddress { .. }) => {
            note(&format!("{DEFAULT_LISTEN} is taken by another program; the demo takes a free port instead"));
            Ok(Server::bind(config(Listen::asked("127.0.0.1:0")), db.engine().clone())?)
        }
        other => Ok(other?),
    }
}

/// Fills the database, shows what is in it, and goes on writing.
fn play(args: &DemoArgs, stop: &StopSignal, url: &str) -> Result<(), CliError> {
    let mut remote = Remote::new(HttpClient::new(url)?);
    let end = now_ms();
    let start = end - HISTORY_MS;
    let mut fleet = Fleet::new(SEED, start);
    if !write_history(&mut fleet, &mut remote, stop, (start, end))? {
        return Ok(());
    }
    print(&introduction(remote.client(), url, (start, end), args)?)?;
    let interval = Duration::from_millis(args.interval.as_millis().unsigned_abs());
    while !stop.wait(interval) {
        remote.write(&batch(&mut fleet, &[now_ms()]))?;
    }
    Ok(())
}

/// Writes the hour before now; tells whether it was finished.
fn write_history(
    fleet: &mut Fleet,
    remote: &mut Remote,
    stop: &StopSignal,
    (start, end): (i64, i64),
) -> Result<bool, CliError> {
    let mut progress = Progress::bytes("wrote an hour of sample metrics by remote write", None);
    let moments: Vec<i64> = (1..=(end - start) / STEP_MS).map(|i| start + i * STEP_MS).collect();
    let metadata = fleet::metadata().into_iter().map(|(name, m)| (name.to_owned(), m)).collect();
    remote.write(&Batch { series: Vec::new(), metadata })?;
    for some in moments.chunks(SCRAPES_A_REQUEST) {
        if stop.wait(Duration::ZERO) {
            return Ok(false);
        }
        let written = remote.write(&batch(fleet, some))?;
        if let Some(reason) = written.reason {
            return Err(CliError::Failed(format!("the demo's own samples were refused: {reason}")));
        }
        progress.advance(0, written.samples);
    }
    progress.finish();
    Ok(true)
}

/// The fleet's samples at these times.
fn batch(fleet: &mut Fleet, moments: &[i64]) -> Batch {
    let mut series: Vec<BatchSeries> = fleet
        .series()
        .iter()
        .map(|labels| BatchSeries { labels: labels.clone(), samples: Vec::new(), histograms: Vec::new() })
        .collect();
    for &t in moments {
        for (s, value) in series.iter_mut().zip(fleet.scrape(t)) {
            s.samples.extend(value.map(|v| Sample::new(t, v)));
        }
    }
    series.retain(|s| !s.samples.is_empty());
    Batch { series, metadata: Vec::new() }
}

/// A plot of the last hour, and what to try next.
fn introduction(client: &HttpClient, url: &str, (start, end): (i64, i64), args: &DemoArgs) -> Result<String, CliError> {
    let moments = Moments::Range { start: start + 60_000, end, step: STEP_MS };
    let answer = ask_server(client, QUERY, moments)?;
    let AnswerValue::Matrix(series) = answer.value else {
        return Err(CliError::Failed("the demo's query did not give a range".to_owned()));
    };
    let title = "95th percentile of request latency in seconds, by service".to_owned();
    let plot = plot_range(&series, moments, Some(title));
    Ok(format!(
        "\n{plot}\n\
         The query: {QUERY}\n\n\
         The demo serves the Prometheus API and writes new samples every {interval}. Try:\n\
         \n  chronolith query --url {url} --start -1h -o plot 'sum by (job) (rate(http_requests_total[1m]))'\
         \n  chronolith query --url {url} 'topk(3, sum by (job, handler) (rate(http_requests_total{{code=\"500\"}}[5m])))'\
         \n  curl -g '{url}/api/v1/query?query=sum(rate(http_requests_total[5m]))'\
         \n  curl '{url}/api/v1/labels'\
         \n  curl '{url}/api/v1/status/tsdb'\
         \n  curl '{url}/metrics'\
         \n\nGrafana: add a Prometheus data source with the URL {url}. Stop with Ctrl-C.\n",
        interval = args.interval,
    ))
}
