//! A connection from its login to its end: takes messages one by one and answers them.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use chronolith_sql::{Canceller, Session, TransactionStatus};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{error::Elapsed, timeout},
};

use super::{
    Postgres,
    cells::Style,
    channel::{Channel, ChannelLimits, RawMessage},
    counters::count,
    extended::{Portal, Statement},
    failure::{Failure, Result, Severity},
    settings::{self, Told},
    startup::{self, Login},
};
use crate::ingest::postgres::frontend::Message;

/// A session's connection.
pub(crate) struct Connection {
    pub(crate) server: Arc<Postgres>,
    pub(crate) channel: Channel,
    pub(crate) session: Session,
    told: Told,
    pub(crate) statements: HashMap<String, Arc<Statement>>,
    pub(crate) portals: HashMap<String, Portal>,
    /// Whether the open transaction was begun for the statements of one message or series, not by the client.
    pub(crate) is_implicit: bool,
    /// After an error in the extended protocol messages do not count until the next Sync.
    is_skipping: bool,
}

/// Serves a connection to its end.
pub(crate) async fn serve(server: Arc<Postgres>, stream: TcpStream, stop: watch::Receiver<bool>, is_full: bool) {
    let limits = &server.app.config.limits;
    let channel_limits = ChannelLimits {
        message_bytes: server.app.config.postgres.max_message_bytes,
        message_timeout: limits.body_timeout,
        send_timeout: limits.send_timeout,
        idle_timeout: server.app.config.postgres.idle_timeout,
    };
    let memory = Arc::clone(&server.app.work.bodies);
    let mut channel = Channel::new(Box::new(stream), channel_limits, memory, stop);
    let opened = timeout(limits.head_timeout, Box::pin(startup::open(&server, &mut channel, is_full))).await;
    let ended = match opened.unwrap_or_else(|_: Elapsed| Err(Failure::stalled())) {
        Ok(Some(login)) => return Box::pin(serve_session(server, channel, login)).await,
        Ok(None) => Failure::Ended,
        Err(failure) => failure,
    };
    end(&server, channel, &ended).await;
}

async fn serve_session(server: Arc<Postgres>, mut channel: Channel, login: Login) {
    let mut session = server.sql.session(&login.user, &login.database);
    for (name, value) in &login.settings {
        if let Err(failure) = settings::apply(&mut session, name, value, &mut channel.out) {
            return end(&server, channel, &failure).await;
        }
    }
    let told = Told::begin(&session, &mut channel.out);
    let canceller = session.canceller();
    let process = session.pid();
    let secret = server.keys.register(process, canceller.clone());
    let _registered = Registered { server: Arc::clone(&server), process, canceller };
    channel.out.backend_key(process, secret);
    let mut connection = Connection {
        server: Arc::clone(&server),
        channel,
        session,
        told,
        statements: HashMap::new(),
        portals: HashMap::new(),
        is_implicit: false,
        is_skipping: false,
    };
    let ended = match connection.ready().await {
        Ok(()) => connection.run().await,
        Err(failure) => failure,
    };
    let Connection { channel, .. } = connection;
    end(&server, channel, &ended).await;
}

/// A connection that can be cancelled. When it goes, so does what it runs.
struct Registered {
    server: Arc<Postgres>,
    process: i32,
    canceller: Canceller,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.server.keys.forget(self.process);
        self.canceller.cancel();
    }
}

/// Tells the client why the connection ends, if it can be told, and ends it.
async fn end(server: &Postgres, mut channel: Channel, why: &Failure) {
    tracing::debug!(%why, "a PostgreSQL connection ends");
    match why {
        Failure::Fatal(error) | Failure::Statement(error) => {
            count(&server.app.postgres.errors);
            channel.out.error(Severity::Fatal, error);
            if channel.flush().await.is_err() {
                return;
            }
        }
        Failure::Broken(_) => return,
        Failure::Ended => {}
    }
    channel.close().await;
}

impl Connection {
    /// Answers messages until the connection ends, and says why it does.
    async fn run(&mut self) -> Failure {
        loop {
            let message = match self.channel.message().await {
                Ok(message) => message,
                Err(failure) => return failure,
            };
            if let Err(failure) = self.answer(&message).await {
                return failure;
            }
        }
    }

    async fn answer(&mut self, message: &RawMessage) -> Result<()> {
        if self.is_skipping && !matches!(message.kind, b'S' | b'X') {
            return Ok(());
        }
        let handled = match Message::decode(message.kind, &message.body) {
            Ok(decoded) => self.handle(decoded).await,
            Err(malformed) => Err(malformed.into()),
        };
        match handled {
            Err(Failure::Statement(error)) => {
                count(&self.server.app.postgres.errors);
                self.session.fail_transaction();
                self.channel.out.error(Severity::Error, &error);
                if matches!(message.kind, b'Q' | b'F') {
                    self.end_implicit(false).await?;
                    return self.ready().await;
                }
                self.is_skipping = message.kind != b'S';
                self.channel.flush().await
            }
            other => other,
        }
    }

    async fn handle(&mut self, message: Message<'_>) -> Result<()> {
        match message {
            Message::Query(text) => {
                self.simple_query(text).await?;
                self.ready().await
            }
            Message::Parse { name, query, types } => self.parse(name, query, types).await,
            Message::Bind(bind) => self.bind(&bind),
            Message::Describe(target) => self.describe(target).await,
            Message::Execute { portal, rows } => self.execute(portal, rows).await,
            Message::Close(target) => {
                self.close(target);
                Ok(())
            }
            Message::Flush => self.channel.flush().await,
            Message::Sync => self.sync().await,
            Message::Terminate => Err(Failure::Ended),
            Message::FunctionCall => {
                Err(Failure::statement(b"0A000", "function calls by OID are not supported: use SELECT function(...)"))
            }
            // What is left of a COPY that failed.
            Message::CopyData(_) | Message::CopyDone | Message::CopyFail(_) => Ok(()),
            Message::Password(_) => Err(Failure::fatal(b"08P01", "a password was sent that nobody asked for")),
        }
    }

    /// Ends a series of messages.
    async fn sync(&mut self) -> Result<()> {
        let is_good = !std::mem::take(&mut self.is_skipping);
        if let Err(failure) = self.end_implicit(is_good).await {
            let Failure::Statement(error) = failure else { return Err(failure) };
            count(&self.server.app.postgres.errors);
            self.channel.out.error(Severity::Error, &error);
        }
        self.ready().await
    }

    /// Tells that the next message may come, and sends everything.
    pub(crate) async fn ready(&mut self) -> Result<()> {
        self.told.report(&self.session, &mut self.channel.out);
        let status = self.session.transaction_status();
        if status == TransactionStatus::Idle {
            // Portals live as long as the transaction that they were made in.
            self.portals.clear();
        }
        self.channel.out.ready(status);
        self.channel.flush_and_rest().await
    }

    /// Begins a transaction for the statements of one message or series, if none is open.
    pub(crate) async fn begin_implicit(&mut self) -> Result<()> {
        if self.session.transaction_status() == TransactionStatus::Idle {
            self.channel.watch(self.session.run("BEGIN")).await??;
            self.is_implicit = true;
        }
        Ok(())
    }

    /// Makes the transaction that was begun so the client's own, who says BEGIN.
    pub(crate) fn adopt_implicit(&mut self, begin: &str) -> Result<()> {
        let is_plain = |word: &str| {
            let word = word.trim_end_matches(';');
            ["", "BEGIN", "START", "TRANSACTION", "WORK"].iter().any(|plain| word.eq_ignore_ascii_case(plain))
        };
        if !begin.split_whitespace().all(is_plain) {
            let message =
                "options of BEGIN are not supported when statements came before it in the same message or series";
            return Err(Failure::statement(b"0A000", message));
        }
        self.is_implicit = false;
        self.channel.out.command_complete("BEGIN");
        Ok(())
    }

    /// Ends the transaction that was begun so, if one was.
    pub(crate) async fn end_implicit(&mut self, is_good: bool) -> Result<()> {
        if std::mem::take(&mut self.is_implicit) {
            let end = if is_good { "COMMIT" } else { "ROLLBACK" };
            self.channel.watch(self.session.run(end)).await??;
        }
        Ok(())
    }

    /// How texts of values are written now.
    pub(crate) fn style(&mut self) -> Style {
        self.told.style(&self.session)
    }

    /// Ends a command that gave rows.
    pub(crate) fn complete_rows(&mut self, tag: &str, rows: usize) {
        self.server.app.postgres.rows_sent.fetch_add(u64::try_from(rows).unwrap_or(0), Relaxed);
        // Only commands that are about rows tell how many.
        match tag {
            "SHOW" | "EXPLAIN" => self.channel.out.command_complete(tag),
            _ => self.channel.out.command_complete(&format!("{tag} {rows}")),
        }
    }
}
