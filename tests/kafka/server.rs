//! The server as a process, and what its tables hold once it ended.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use arrow_array::{Array as _, ArrayRef, cast::AsArray as _, types::Int64Type};
use chronolith::{
    Db,
    storage::table::{ColumnKey, Kind, TableSnapshot},
};

/// Nothing is waited for longer.
const PATIENCE: Duration = Duration::from_secs(90);

/// A server process.
pub(crate) struct Server {
    child: Child,
    address: String,
    log: Option<JoinHandle<String>>,
}

impl Server {
    /// Starts a server on this directory whose configuration file ends with this text.
    pub(crate) fn start(dir: &Path, config: &str) -> Self {
        let file = dir.join("chronolith.toml");
        let data = dir.join("data");
        // So little memory that it flushes while it reads.
        let own =
            format!("listen = \"127.0.0.1:0\"\ndata-dir = {data:?}\nmemory-budget = \"20MB\"\nlog-level = \"info\"\n");
        fs::write(&file, own + config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_chronolith"));
        command.env_remove("CHRONOLITH_LISTEN").arg("serve").arg("--config").arg(file);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let before = said.len();
            assert!(stderr.read_line(&mut said).unwrap() > 0, "ended before it listened: {said}");
            if let Some(address) = said[before..].trim_end().strip_prefix("listening on http://") {
                break address.to_owned();
            }
        };
        let log = thread::spawn(move || {
            let mut rest = Vec::new();
            let _ = stderr.read_to_end(&mut rest);
            said + &String::from_utf8_lossy(&rest)
        });
        Self { child, address, log: Some(log) }
    }

    /// Its metrics of a family, summed over this topic's partitions. `None` when there is none.
    pub(crate) fn metric(&self, family: &str, topic: &str) -> Option<u64> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\nhost: test\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let of_topic = format!("topic=\"{topic}\"");
        let lines = text.lines().filter(|l| l.starts_with(&format!("{family}{{")) && l.contains(&of_topic));
        let values: Vec<u64> = lines.map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// Waits until the next offsets of the topic's partitions sum up to this.
    pub(crate) fn reaches(&self, topic: &str, next: u64) {
        self.waits_for(&format!("offset {next} of {topic}"), || {
            self.metric("chronolith_kafka_next_offset", topic).is_some_and(|n| n >= next)
        });
    }

    pub(crate) fn waits_for(&self, what: &str, is_so: impl Fn() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < PATIENCE, "never came to {what}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills it with SIGKILL and gives what it said.
    pub(crate) fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log.take().unwrap().join().unwrap()
    }

    /// Ends it in good order and gives what it said.
    pub(crate) fn terminate(mut self) -> String {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        let said = self.log.take().unwrap().join().unwrap();
        assert!(status.success(), "{status}: {said}");
        said
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(log) = self.log.take() else { return };
        // Only a failed test comes here.
        let _ = self.child.kill();
        let _ = self.child.wait();
        println!("the server said: {}", log.join().unwrap_or_default());
    }
}

/// The tables of a directory that nobody serves now.
pub(crate) struct Tables(Db);

impl Tables {
    pub(crate) fn of(dir: &Path) -> Self {
        Self(Db::open_read_only(dir.join("data")).unwrap())
    }

    fn column(&self, table: &str, key: impl Fn(&TableSnapshot) -> ColumnKey, take: &mut dyn FnMut(&ArrayRef, usize)) {
        let view = self.0.engine().tables();
        let Some(table) = view.table(table) else { return };
        let key = key(table);
        for part in table.parts.iter() {
            for block in 0..part.blocks() {
                let (ids, values) = (part.row_ids(block).unwrap(), part.read(&key, block).unwrap());
                for (row, id) in ids.values().iter().enumerate() {
                    if !table.deleted.contains(*id) {
                        take(&values, row);
                    }
                }
            }
        }
    }

    /// How often each number is there as the field `n` of a dynamic table; rows without one count as -1.
    pub(crate) fn numbers(&self, table: &str) -> BTreeMap<i64, u32> {
        let mut numbers = BTreeMap::new();
        self.column(table, |_| ColumnKey::new("n", Kind::Int64), &mut |values, row| {
            let number = values.is_valid(row).then(|| values.as_primitive::<Int64Type>().value(row));
            *numbers.entry(number.unwrap_or(-1)).or_default() += 1;
        });
        numbers
    }

    /// The texts of a declared column, sorted.
    pub(crate) fn texts(&self, table: &str, column: &str) -> Vec<String> {
        let mut texts = Vec::new();
        let key = |t: &TableSnapshot| t.definition.column_named(column).unwrap().key().unwrap();
        self.column(table, key, &mut |values, row| {
            let values = values.as_string_view();
            texts.push(if values.is_valid(row) { values.value(row).to_owned() } else { "nothing".to_owned() });
        });
        texts.sort();
        texts
    }
}
