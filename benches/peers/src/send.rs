//! Sends a load over a few keep-alive connections, each host on one of them, all moving through time together.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::http::{Client, Reply};
use crate::load::{Load, Request};
use crate::server::Server;

const HEADERS: &str = "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n\
    X-Prometheus-Remote-Write-Version: 0.1.0\r\nUser-Agent: chronolith-peers\r\n";

/// Connections wait for each other every so many scrapes: a server without an out-of-order window refuses samples
/// that are an hour behind another host's.
const TOGETHER: usize = 20;

/// A request refused with 429 or 5xx is sent again this often, as an agent does.
const ATTEMPTS: u32 = 20;

/// What came of sending.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Replies that were not 2xx.
    pub(crate) refused: u64,
    /// Requests given up.
    pub(crate) lost: u64,
    /// The first refusal's status and message.
    pub(crate) first_refusal: Option<String>,
}

/// Sending, measured.
pub(crate) struct Sent {
    /// From the first byte to the last acknowledgement.
    pub(crate) wall: Duration,
    /// CPU seconds of the server in that time.
    pub(crate) cpu: f64,
    /// Refusals of all connections.
    pub(crate) outcome: Outcome,
}

/// Sends the part of `load` with `steps` (all connections begin together).
pub(crate) fn send(
    server: &Server,
    load: &Load,
    connections: usize,
    steps: std::ops::Range<usize>,
) -> Result<Sent, String> {
    let last = load.requests.iter().map(|r| r.step + 1).max().unwrap_or(0);
    let steps = steps.start..steps.end.min(last);
    let cpu = server.cpu()?;
    let begin = Instant::now();
    let barrier = Barrier::new(connections);
    let dead = AtomicBool::new(false);
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|lane| {
                let (barrier, dead, steps) = (&barrier, &dead, steps.clone());
                scope.spawn(move || {
                    let mine = load.requests.iter().filter(|r| r.host % connections == lane && steps.contains(&r.step));
                    run_lane(server.client(), mine, &steps, barrier, dead)
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().expect("a sending thread does not panic")).collect()
    });
    let (wall, cpu) = (begin.elapsed(), server.cpu()? - cpu);
    let mut outcome = Outcome::default();
    for lane in outcomes {
        outcome.refused += lane.refused;
        outcome.lost += lane.lost;
        outcome.first_refusal = outcome.first_refusal.or(lane.first_refusal);
    }
    if let Some(message) = &outcome.first_refusal {
        let (name, refused, lost) = (server.kind.name(), outcome.refused, outcome.lost);
        eprintln!("{name}: {refused} replies were not 2xx, {lost} requests lost; the first: {message}");
    }
    Ok(Sent { wall, cpu, outcome })
}

fn run_lane<'a>(
    mut client: Client,
    requests: impl Iterator<Item = &'a Request>,
    steps: &std::ops::Range<usize>,
    barrier: &Barrier,
    dead: &AtomicBool,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut meetings = steps.clone().skip(TOGETHER).step_by(TOGETHER).peekable();
    for request in requests {
        // Every lane passes every meeting, even after the server has died: nobody waits for ever.
        while meetings.next_if(|&meeting| meeting <= request.step).is_some() {
            barrier.wait();
        }
        if dead.load(Ordering::Relaxed) || !deliver(&mut client, &request.body, &mut outcome, dead) {
            outcome.lost += 1;
        }
    }
    for _ in meetings {
        barrier.wait();
    }
    outcome
}

/// True once the request is acknowledged.
fn deliver(client: &mut Client, body: &[u8], outcome: &mut Outcome, dead: &AtomicBool) -> bool {
    for _ in 0..ATTEMPTS {
        match client.post("/api/v1/write", HEADERS, body) {
            Ok(reply) if reply.is_success() => return true,
            Ok(reply) => {
                outcome.refused += 1;
                let message = format!("{} {}", reply.status, reply.excerpt());
                outcome.first_refusal.get_or_insert(message);
                if !retryable(&reply) {
                    return false;
                }
                // What the server asks for.
                std::thread::sleep(reply.retry_after.map_or(Duration::from_millis(50), Duration::from_secs));
            }
            Err(error) => {
                outcome.refused += 1;
                outcome.first_refusal.get_or_insert(error.to_string());
                dead.store(true, Ordering::Relaxed);
                return false;
            }
        }
    }
    false
}

fn retryable(reply: &Reply) -> bool {
    reply.status == 429 || reply.status >= 500
}
