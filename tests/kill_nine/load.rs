//! One server's life: writers, queries and compactions until the kill.

use std::{
    io,
    ops::Range,
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
    time::Duration,
};

use crate::{
    requests::{LATE_MS, Request, SAMPLES, Sent, VERSIONS, WRITERS, found, samples},
    server::{PATIENCE, Server, exchange, get, write},
};

/// Acknowledged writes before the kill.
pub(crate) const ACKNOWLEDGED: Range<u64> = 10..300;
/// No request.
pub(crate) const NONE: u64 = u64::MAX;

/// SplitMix64.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }
}

/// What was done, to be told at the end.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) acknowledged: AtomicU64,
    pub(crate) repeated: AtomicU64,
    pub(crate) corrected: AtomicU64,
    pub(crate) late: AtomicU64,
    /// Sent again after a kill took the answer away.
    pub(crate) retried: AtomicU64,
    /// Refused for now, under pressure.
    pub(crate) refused: AtomicU64,
    pub(crate) cut_off: AtomicU64,
    pub(crate) cut_off_and_there: AtomicU64,
    /// Asked for; most are killed under way.
    pub(crate) compactions: AtomicU64,
    pub(crate) compacted: AtomicU64,
    pub(crate) flushes: AtomicU64,
    pub(crate) merges: AtomicU64,
    pub(crate) queries: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, SeqCst);
}

/// One server's life under load, as its threads share it.
pub(crate) struct Life<'a> {
    pub(crate) address: &'a str,
    pub(crate) cycle: u64,
    /// The timestamp of request 0.
    pub(crate) start: i64,
    /// Set just before the kill: only from then on may an exchange fail.
    pub(crate) is_killed: AtomicBool,
    /// A writer's newest request that was begun, and the one that was acknowledged.
    pub(crate) begun: [AtomicU64; WRITERS as usize],
    pub(crate) done: [AtomicU64; WRITERS as usize],
    pub(crate) counts: &'a Counts,
}

impl Life<'_> {
    /// The reply, or `None` when the kill cut it off.
    pub(crate) fn reply<T>(&self, exchanged: io::Result<T>) -> Option<T> {
        match exchanged {
            Ok(reply) => Some(reply),
            Err(error) => {
                assert!(self.is_killed.load(SeqCst), "the server ended by itself: {error}");
                None
            }
        }
    }

    /// Which request to send, and the version of its values.
    pub(crate) fn choose(&self, writer: u64, sent: &mut Vec<Sent>, rng: &mut Rng) -> (usize, u64) {
        // Senders repeat what was not answered; here not always at once.
        let unanswered = sent.iter().rposition(|s| s.known.is_none()).filter(|_| rng.one_in(8));
        let known = rng.one_in(3) && !sent.is_empty();
        let Some(at) = unanswered.or_else(|| known.then(|| rng.within(0..sent.len() as u64) as usize)) else {
            let is_late = rng.one_in(4);
            let request = Request { id: sent.len() as u64 * WRITERS + writer, cycle: self.cycle, is_late };
            sent.push(Sent { request, known: None, pending: None });
            self.counts.late.fetch_add(u64::from(is_late), SeqCst);
            self.begun[writer as usize].store(request.id, SeqCst);
            return (sent.len() - 1, 0);
        };
        let version = match (sent[at].known, sent[at].pending) {
            (_, Some(pending)) => pending,
            (None, None) => {
                count(&self.counts.retried);
                0
            }
            (Some(known), None) if known + 1 < VERSIONS && rng.one_in(2) => {
                count(&self.counts.corrected);
                known + 1
            }
            (Some(known), None) => {
                count(&self.counts.repeated);
                known
            }
        };
        (at, version)
    }

    pub(crate) fn writes(
        &self,
        writer: u64,
        sent: &mut Vec<Sent>,
        mut rng: Rng,
        told: &Sender<()>,
        compact: &SyncSender<()>,
    ) {
        loop {
            let (at, version) = self.choose(writer, sent, &mut rng);
            let Sent { request, known, pending } = &mut sent[at];
            *pending = Some(version).filter(|v| Some(*v) != *known);
            let is_v2 = rng.one_in(2);
            let exchanged = write(self.address, &request.body(self.start, version, is_v2), is_v2);
            let Some((status, body)) = self.reply(exchanged) else { break };
            match status {
                204 => {
                    (*known, *pending) = (Some(version), None);
                    if request.cycle == self.cycle {
                        self.done[writer as usize].store(request.id, SeqCst);
                    }
                    count(&self.counts.acknowledged);
                    // The listener leaves at the kill.
                    let _ = told.send(());
                }
                429 | 503 => count(&self.counts.refused),
                _ => panic!("{status} {}", String::from_utf8_lossy(&body)),
            }
            if rng.one_in(30) {
                // One that waits is enough.
                let _ = compact.try_send(());
            }
        }
    }

    pub(crate) fn compacts(&self, wanted: &Receiver<()>) {
        while wanted.recv().is_ok() {
            count(&self.counts.compactions);
            let exchanged = exchange(self.address, "POST /api/v1/admin/tsdb/compact HTTP/1.0", b"");
            let Some((status, body)) = self.reply(exchanged) else { break };
            assert_eq!(status, 204, "{}", String::from_utf8_lossy(&body));
            count(&self.counts.compacted);
        }
    }

    /// Asks for requests being written, which are there whole or not at all, and for acknowledged ones.
    pub(crate) fn queries(&self, mut rng: Rng) {
        loop {
            let writer = rng.within(0..WRITERS) as usize;
            let must_be_there = rng.one_in(2);
            let id = if must_be_there { &self.done } else { &self.begun }[writer].load(SeqCst);
            let (cycle, start) = (self.cycle, self.start);
            let mut shown = 0;
            for is_late in [false, true] {
                let request = Request { id, cycle, is_late };
                // Before anything was sent, a time where nothing is.
                let end = if id == NONE { start - 2 * LATE_MS } else { request.timestamp(start, SAMPLES - 1) };
                let answer = samples(self.address, &format!("{{writer=\"{writer}\"}}"), "3s", end);
                let Some(answer) = self.reply(answer) else { return };
                shown += found(&answer, start, |i| (i == id).then_some(request)).len();
            }
            assert!(shown <= 1, "request {id} is there late and in time");
            assert!(!must_be_there || id == NONE || shown == 1, "request {id} was acknowledged and does not show");
            count(&self.counts.queries);
        }
    }

    /// Adds what the server says of its own work to the counts.
    pub(crate) fn notes_flushes(&self) {
        let (_, body) = get(self.address, "/metrics").unwrap();
        let text = String::from_utf8(body).unwrap();
        let names = [
            ("chronolith_flushes_total ", &self.counts.flushes),
            ("prometheus_tsdb_compactions_total ", &self.counts.merges),
        ];
        for (name, counter) in names {
            let number = text.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}: {text}"));
            counter.fetch_add(number.parse::<f64>().unwrap() as u64, SeqCst);
        }
    }

    /// Puts the server under load and kills it.
    pub(crate) fn run(&self, server: Server, sent: &mut [Vec<Sent>], rng: &mut Rng) -> String {
        let (told, acknowledged) = channel();
        let (compact, compact_wanted) = sync_channel(1);
        // In some cycles nothing is compacted, so that logs grow over several starts.
        let compacts = !rng.one_in(4);
        // Within the scope, so that a failure kills it, and its threads end.
        thread::scope(move |scope| {
            for (writer, sent) in sent.iter_mut().enumerate() {
                let (told, compact, rng) = (told.clone(), compact.clone(), Rng(rng.next()));
                scope.spawn(move || self.writes(writer as u64, sent, rng, &told, &compact));
            }
            if compacts {
                let _ = compact.try_send(());
                scope.spawn(move || self.compacts(&compact_wanted));
            }
            drop((told, compact));
            let queries = Rng(rng.next());
            scope.spawn(move || self.queries(queries));
            for _ in 0..rng.within(ACKNOWLEDGED) {
                acknowledged.recv_timeout(PATIENCE).expect("writes are acknowledged");
            }
            self.notes_flushes();
            // The kill comes at a chance moment, not always just after an acknowledgement.
            thread::sleep(Duration::from_micros(rng.within(0..3_000)));
            self.is_killed.store(true, SeqCst);
            server.kill()
        })
    }
}
