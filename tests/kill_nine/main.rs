//! Kills the server with SIGKILL under load, again and again: every acknowledged sample is there exactly once, and
//! nothing half-written shows.
//!
//! Writers send remote write requests, each with timestamps of its own and values that say which sample of which request
//! they are. After each kill one query reads everything, and what it gives is held against what was sent.

#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test that tells what it did")]

mod load;
mod requests;
mod server;

use std::{
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    thread,
    time::{Instant, SystemTime},
};

use load::{Counts, Life, NONE, Rng, count};
use requests::{SAMPLES, SERIES, Sent, WRITERS, found, samples};
use server::{READY, Server, run};

const CYCLES: u64 = 50;

/// Reads everything and holds it against what was sent. What was not acknowledged is known from then on.
fn check(address: &str, now: i64, start: i64, sent: &mut [Vec<Sent>], counts: &Counts) -> u64 {
    let answer = samples(address, "{writer=~\".+\"}", "10d", now).unwrap();
    let all: &[Vec<Sent>] = sent;
    let request = |id| all[(id % WRITERS) as usize].get((id / WRITERS) as usize).map(|s| s.request);
    let found = found(&answer, start, request);
    for Sent { request, known, pending } in sent.iter_mut().flatten() {
        let shown = found.get(&request.id).map(|f| f.version);
        let cut_off = pending.take();
        assert!(
            shown == *known || cut_off.is_some() && shown == cut_off,
            "{request:?}: version {shown:?} shows; {known:?} was acknowledged, {cut_off:?} was not"
        );
        if cut_off.is_some() {
            count(&counts.cut_off);
            counts.cut_off_and_there.fetch_add(u64::from(shown == cut_off), SeqCst);
        }
        *known = shown;
    }
    found.len() as u64 * SERIES * SAMPLES
}

/// Of the files of a killed server, nothing is damaged; its log may end inside a frame.
fn verify_after_a_kill(dir: &Path) {
    let output = run(&["tsdb", "verify"], dir);
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    let bad = |line: &str| line.starts_with("         ") && !line.trim_start().starts_with("ends inside a frame");
    assert!(report.contains("files checked"), "{report}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!report.contains("SET ASIDE") && !report.lines().any(bad), "{report}");
}

/// Stops it as an operator does, and looks at what it leaves.
fn stop_and_look(server: Server, dir: &Path, samples: u64) {
    let (status, log) = server.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
    let verified = run(&["tsdb", "verify"], dir);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    let exported = run(&["export", "--format", "prometheus", "--data-dir"], dir);
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let lines = String::from_utf8_lossy(&exported.stdout).lines().filter(|l| l.starts_with("load_")).count();
    assert_eq!(lines as u64, samples, "exported");
}

#[test]
fn acknowledged_samples_survive_fifty_kills_once() {
    let seed = std::env::var("CHRONOLITH_KILL_SEED").map_or_else(|_| 0x6b69_6c6c, |s| s.parse().unwrap());
    println!("seed {seed} (CHRONOLITH_KILL_SEED sets another)");
    let began = Instant::now();
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64;
    let start = now - 5 * 24 * 3_600_000;
    let (mut rng, counts) = (Rng(seed), Counts::default());
    let mut sent: Vec<Vec<Sent>> = (0..WRITERS).map(|_| Vec::new()).collect();
    let (mut server, mut ready) = Server::start(dir.path());
    let (mut slowest, mut kept, mut killed_starting) = (ready, 0, 0);
    for cycle in 0..CYCLES {
        let none = || std::array::from_fn(|_| AtomicU64::new(NONE));
        let (address, is_killed) = (server.address.clone(), AtomicBool::new(false));
        let life = Life { address: &address, cycle, start, is_killed, begun: none(), done: none(), counts: &counts };
        let log = life.run(server, &mut sent, &mut rng);
        assert!(!log.contains("panicked"), "cycle {cycle}: {log}");
        if cycle % 10 == 9 {
            verify_after_a_kill(dir.path());
        }
        if rng.one_in(4) {
            // Also while it reads its log and makes room.
            let mut starting = Server::spawn(dir.path());
            thread::sleep(ready.mul_f64(rng.within(0..1_000) as f64 / 1_000.0));
            starting.kill().unwrap();
            starting.wait().unwrap();
            killed_starting += 1;
        }
        (server, ready) = Server::start(dir.path());
        assert!(ready < READY, "cycle {cycle}: ready after {ready:?}");
        slowest = slowest.max(ready);
        kept = check(&server.address, now, start, &mut sent, &counts);
    }
    stop_and_look(server, dir.path(), kept);
    println!("{CYCLES} kills, {killed_starting} more while starting, {kept} samples, in {:?}", began.elapsed());
    println!("ready after at most {slowest:?}; {counts:?}");
    let happened = [
        &counts.cut_off,
        &counts.repeated,
        &counts.corrected,
        &counts.late,
        &counts.compactions,
        &counts.compacted,
        &counts.flushes,
        &counts.merges,
        &counts.queries,
    ];
    assert!(happened.iter().all(|c| c.load(SeqCst) > 0), "something was not tried");
}
