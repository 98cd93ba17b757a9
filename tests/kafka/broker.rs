//! A real Apache Kafka broker in one process, and a driver that does what its clients do.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

/// Who may log in, and how.
pub(crate) const USER: &str = "chronolith";
pub(crate) const PASSWORD: &str = "open sesame";

/// A broker gets this long to come up, on a machine that does other things too.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// Why the test cannot run here; `None` when it can.
pub(crate) fn is_missing() -> Option<String> {
    for (tool, version) in [("java", "-version"), ("mvn", "-v"), ("openssl", "version")] {
        let ran = Command::new(tool).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !ran.is_ok_and(|status| status.success()) {
            return Some(format!("{tool} is not there"));
        }
    }
    None
}

/// Where the broker's jars are; they are fetched once.
pub(crate) fn jars() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let jars = root.join("target/kafka/jars");
    let complete = root.join("target/kafka/complete");
    if !complete.exists() {
        let fetched = Command::new("mvn")
            .args(["-q", "-B", "dependency:copy-dependencies", "-f"])
            .arg(root.join("tests/kafka/pom.xml"))
            .arg(format!("-DoutputDirectory={}", jars.display()))
            .status();
        assert!(fetched.unwrap().success(), "Maven could not fetch the broker");
        fs::write(complete, "").unwrap();
    }
    jars
}

/// A broker.
pub(crate) struct Broker {
    dir: PathBuf,
    jars: PathBuf,
    child: Child,
    /// Ports without login, with login, encrypted.
    pub(crate) plain: u16,
    pub(crate) login: u16,
    pub(crate) tls: u16,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Broker {
    pub(crate) fn start(dir: &Path) -> Self {
        let jars = jars();
        let [plain, login, tls, controller] = std::array::from_fn(|_| free_port());
        certificate(dir);
        let mut config = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAIN://127.0.0.1:{plain},LOGIN://127.0.0.1:{login},TLS://127.0.0.1:{tls},\
             CONTROLLER://127.0.0.1:{controller}\ncontroller.listener.names=CONTROLLER\n\
             inter.broker.listener.name=PLAIN\n\
             listener.security.protocol.map=PLAIN:PLAINTEXT,LOGIN:SASL_PLAINTEXT,TLS:SASL_SSL,CONTROLLER:PLAINTEXT\n\
             log.dirs={dir}/log\nauto.create.topics.enable=false\nnum.network.threads=2\nnum.io.threads=2\n\
             offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\ntransaction.state.log.num.partitions=1\n\
             ssl.keystore.type=PEM\nssl.keystore.location={dir}/broker.pem\n",
            dir = dir.display()
        );
        let module = "org.apache.kafka.common.security";
        for listener in ["login", "tls"] {
            writeln!(
                config,
                "listener.name.{listener}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n\
                 listener.name.{listener}.plain.sasl.jaas.config={module}.plain.PlainLoginModule required \
                 user_{USER}=\"{PASSWORD}\";"
            )
            .unwrap();
            for mechanism in ["scram-sha-256", "scram-sha-512"] {
                writeln!(
                    config,
                    "listener.name.{listener}.{mechanism}.sasl.jaas.config={module}.scram.ScramLoginModule required;"
                )
                .unwrap();
            }
        }
        fs::write(dir.join("server.properties"), config).unwrap();
        let mut format = java(&jars, "kafka.tools.StorageTool");
        format.args(["format", "-t", "4L6g3nShT-eMCtK--X86sw", "-c"]).arg(dir.join("server.properties"));
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            format.args(["--add-scram", &format!("{mechanism}=[name={USER},password={PASSWORD}]")]);
        }
        let formatted = format.output().unwrap();
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
        let child = Self::spawn(dir, &jars);
        let broker = Self { dir: dir.to_owned(), jars, child, plain, login, tls };
        broker.wait();
        broker
    }

    fn spawn(dir: &Path, jars: &Path) -> Child {
        let log = fs::File::options().create(true).append(true).open(dir.join("broker.log")).unwrap();
        let mut command = java(jars, "kafka.Kafka");
        command.arg(dir.join("server.properties")).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    /// Waits until clients are answered.
    fn wait(&self) {
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.plain)).is_err() {
            let log = || fs::read_to_string(self.dir.join("broker.log")).unwrap_or_default();
            assert!(began.elapsed() < STARTS_WITHIN, "the broker does not come up: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn driver(&self) -> Driver {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/Driver.java");
        let mut command = Command::new("java");
        command.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]).arg(self.jars.join("*"));
        command.arg(source).arg(format!("127.0.0.1:{}", self.plain)).stderr(Stdio::null());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Driver { child, input, output }
    }

    /// Ends the broker as a power failure would; it comes back with what it has on disk.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn start_again(&mut self) {
        self.child = Self::spawn(&self.dir, &self.jars);
        self.wait();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn java(jars: &Path, class: &str) -> Command {
    let mut command = Command::new("java");
    command.args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]).arg(jars.join("*")).arg(class);
    command
}

/// Makes the broker's key and certificate: `broker.pem` has both, `ca.pem` what clients trust.
fn certificate(dir: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key.pem", "-out", "ca.pem"])
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let read = |file: &str| fs::read_to_string(dir.join(file)).unwrap();
    fs::write(dir.join("broker.pem"), read("key.pem") + &read("ca.pem")).unwrap();
}

/// Kafka's own clients, as one process.
pub(crate) struct Driver {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Driver {
    /// Has a command done and gives the answer.
    pub(crate) fn run(&mut self, command: &[&str]) -> String {
        writeln!(self.input, "{}", command.join("\t")).unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        let done = answer.trim_end().strip_prefix("ok");
        done.unwrap_or_else(|| panic!("{command:?}: {answer}")).trim().to_owned()
    }

    /// Sends the messages of these numbers, evenly to so many partitions.
    pub(crate) fn numbers(&mut self, topic: &str, codec: &str, partitions: u32, numbers: std::ops::Range<u64>) {
        let (from, to) = (numbers.start.to_string(), numbers.end.to_string());
        self.run(&["numbers", topic, codec, &partitions.to_string(), &from, &to]);
    }

    /// Where the partitions end, summed.
    pub(crate) fn ends(&mut self, topic: &str, partitions: u32) -> u64 {
        self.run(&["ends", topic, &partitions.to_string()]).parse().unwrap()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
