//! Both servers with the same rows: ours in this process, a real PostgreSQL beside it.

use std::{
    net::{SocketAddr, TcpListener},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use chronolith::server::{Listen, Server, ServerConfig};
use chronolith_storage::engine::{Engine, EngineOptions};
use tokio::sync::oneshot;

use crate::{answers::Answer, dice::Dice, wire::Client};

const PATIENCE: Duration = Duration::from_secs(30);
/// PostgreSQL does not run as root; Debian has this user for it, others have one without rights.
const USERS: [&str; 2] = ["postgres", "nobody"];
const TABLES: [&str; 2] = ["a", "b"];
const COLUMNS: &str =
    "id INT PRIMARY KEY, i INT, j BIGINT, n NUMERIC(12,3), f DOUBLE PRECISION, t TEXT, p BOOLEAN, d DATE, ts TIMESTAMP";
const ROWS: i64 = 30;

/// Both servers, and a connection to each.
pub(crate) struct Pair {
    ours: Client,
    theirs: Client,
    _server: Ours,
    _postgres: Postgres,
}

impl Pair {
    pub(crate) fn start() -> Result<Self, String> {
        let postgres = Postgres::start()?;
        let server = Ours::start();
        let (mut ours, mut theirs) = (Client::connect(server.address)?, Client::connect(postgres.address)?);
        for table in TABLES {
            for client in [&mut ours, &mut theirs] {
                done(client, &format!("CREATE TABLE {table} ({COLUMNS})"));
            }
        }
        Ok(Self { ours, theirs, _server: server, _postgres: postgres })
    }

    /// Gives both other rows.
    pub(crate) fn load(&mut self, dice: &mut Dice) {
        for table in TABLES {
            let rows: Vec<String> = (1..=ROWS).map(|id| row(dice, id)).collect();
            for client in [&mut self.ours, &mut self.theirs] {
                done(client, &format!("DELETE FROM {table}"));
                done(client, &format!("INSERT INTO {table} VALUES {}", rows.join(", ")));
            }
        }
    }

    /// Both answers: ours, theirs.
    pub(crate) fn ask(&mut self, statement: &str) -> (Answer, Answer) {
        (self.ours.ask(statement), self.theirs.ask(statement))
    }
}

fn done(client: &mut Client, statement: &str) {
    let answer = client.ask(statement);
    assert!(matches!(answer, Answer::Rows { .. }), "{answer:?}: {statement}");
}

/// A row: nulls, values that are often equal, and some at the ends of their types.
fn row(dice: &mut Dice, id: i64) -> String {
    let mut cells = vec![id.to_string()];
    for column in 0..8 {
        cells.push(if dice.percent(15) { "NULL".to_owned() } else { cell(dice, column) });
    }
    format!("({})", cells.join(", "))
}

fn cell(dice: &mut Dice, column: usize) -> String {
    match column {
        0 => dice.between(-9, 9).to_string(),
        1 => match dice.below(8) {
            0 => "9223372036854775807".to_owned(),
            1 => "-9223372036854775808".to_owned(),
            _ => dice.between(-3_000_000_000, 3_000_000_000).to_string(),
        },
        2 => match dice.below(8) {
            0 => "99999.999".to_owned(),
            _ => format!("{}.{:03}", dice.between(-20, 20), dice.below(4) * 125),
        },
        3 => match dice.below(10) {
            0 => dice.pick(&["1e90", "-1e-90", "0.1", "1e15"]).to_owned(),
            _ => format!("{}", dice.between(-40, 40) as f64 / 4.0),
        },
        4 => dice
            .pick(&["''", "'a'", "'b'", "'ab'", "'A_b%c'", "'Zebra'", "'zebra'", "'x y'", "'10'", "'a''b'"])
            .to_owned(),
        5 => dice.pick(&["true", "false"]).to_owned(),
        6 => format!("'20{:02}-{:02}-{:02}'", dice.between(20, 25), dice.between(1, 12), dice.between(1, 28)),
        _ => format!(
            "'2024-{:02}-{:02} {:02}:{:02}:{}'",
            dice.between(1, 3),
            dice.between(1, 28),
            dice.between(0, 23),
            dice.between(0, 59),
            dice.pick(&["00", "30", "59.5", "07.123456"])
        ),
    }
}

struct Ours {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ours {
    fn start() -> Self {
        let engine = Engine::open(EngineOptions::in_memory()).unwrap();
        let mut config = ServerConfig { listen: vec![Listen::asked("127.0.0.1:0")], ..ServerConfig::default() };
        config.postgres.listen = vec![Listen::asked("127.0.0.1:0")];
        let server = Server::bind(config, engine).unwrap();
        let address = server.postgres_addrs().unwrap()[0];
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            server
                .run_blocking(async {
                    let _ = stopped.await;
                })
                .unwrap();
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.unwrap();
            }
        }
    }
}

/// A PostgreSQL in a directory of its own.
struct Postgres {
    address: SocketAddr,
    process: Child,
    directory: PathBuf,
}

/// Where `initdb` and `postgres` are.
fn programs() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    places.extend(versions.map(|version| version.path().join("bin")));
    let found = places.into_iter().find(|place| place.join("initdb").exists() && place.join("postgres").exists());
    found.ok_or_else(|| "initdb and postgres are neither in PATH nor in /usr/lib/postgresql".to_owned())
}

/// The numbers of a user and its group.
fn user(name: &str) -> Option<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn command(program: &Path, own: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = own {
        command.uid(user).gid(group);
    }
    // Where it starts must be a place that the user may enter.
    command.current_dir("/").env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::null());
    command
}

impl Postgres {
    fn start() -> Result<Self, String> {
        let programs = programs()?;
        let root = std::fs::metadata("/proc/self").is_ok_and(|of| std::os::unix::fs::MetadataExt::uid(&of) == 0);
        let own = if root { USERS.iter().find_map(|name| user(name)) } else { None };
        // A directory of root's own would be closed to the other user.
        let place = if own.is_some() { PathBuf::from("/tmp") } else { std::env::temp_dir() };
        let directory = place.join(format!("chronolith-random-sql-{}", std::process::id()));
        std::fs::create_dir_all(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        if let Some((user, group)) = own {
            std::os::unix::fs::chown(&directory, Some(user), Some(group)).map_err(|e| e.to_string())?;
        }
        let data = directory.join("data");
        let made = command(&programs.join("initdb"), own)
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .output()
            .map_err(|e| e.to_string())?;
        if !made.status.success() {
            return Err(format!("initdb: {}", String::from_utf8_lossy(&made.stderr)));
        }
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).map_err(|e| e.to_string())?;
        let settings =
            ["fsync=off", "timezone=UTC", "listen_addresses=127.0.0.1", "unix_socket_directories=", "jit=off"];
        let mut server = command(&programs.join("postgres"), own);
        server.arg("-D").arg(&data).arg("-p").arg(address.port().to_string()).stderr(Stdio::null());
        settings.iter().for_each(|setting| _ = server.arg("-c").arg(setting));
        let process = server.spawn().map_err(|e| e.to_string())?;
        let mut postgres = Self { address, process, directory };
        postgres.wait()?;
        Ok(postgres)
    }

    fn wait(&mut self) -> Result<(), String> {
        let end = Instant::now() + PATIENCE;
        loop {
            match Client::connect(self.address) {
                Ok(_) => return Ok(()),
                Err(e) if Instant::now() > end => return Err(format!("PostgreSQL does not answer: {e}")),
                Err(_) => {}
            }
            if let Ok(Some(status)) = self.process.try_wait() {
                return Err(format!("PostgreSQL ended: {status}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // It is a process of this test alone, with nothing that anybody keeps.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
