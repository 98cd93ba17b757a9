//! A client that shows every message.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// What every wait of a test ends after.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The number that asks for TLS.
pub(crate) const SSL_REQUEST: u32 = 80_877_103;
const CANCEL_REQUEST: u32 = 80_877_102;

/// A message of the server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: char,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// The texts of the body, each ended by a zero byte.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.body.split(|b| *b == 0).map(|text| String::from_utf8_lossy(text).into_owned()).collect()
    }

    /// A field of an error or a notice.
    pub(crate) fn field(&self, code: char) -> Option<String> {
        self.texts().into_iter().find_map(|text| text.strip_prefix(code).map(str::to_owned))
    }

    /// The values of a row; `None` is null.
    pub(crate) fn values(&self) -> Vec<Option<Vec<u8>>> {
        assert_eq!(self.kind, 'D');
        let mut rest = &self.body[2..];
        let mut values = Vec::new();
        while !rest.is_empty() {
            let length = i32::from_be_bytes(rest[..4].try_into().unwrap());
            rest = &rest[4..];
            if length < 0 {
                values.push(None);
            } else {
                let (value, after) = rest.split_at(usize::try_from(length).unwrap());
                values.push(Some(value.to_vec()));
                rest = after;
            }
        }
        assert_eq!(values.len(), usize::from(u16::from_be_bytes([self.body[0], self.body[1]])));
        values
    }

    /// Names, OIDs and formats of a row description.
    pub(crate) fn columns(&self) -> Vec<(String, u32, u16)> {
        assert_eq!(self.kind, 'T');
        let mut rest = &self.body[2..];
        let mut columns = Vec::new();
        while !rest.is_empty() {
            let end = rest.iter().position(|b| *b == 0).unwrap();
            let fixed = &rest[end + 1..end + 19];
            let oid = u32::from_be_bytes(fixed[6..10].try_into().unwrap());
            let format = u16::from_be_bytes(fixed[16..18].try_into().unwrap());
            columns.push((String::from_utf8(rest[..end].to_vec()).unwrap(), oid, format));
            rest = &rest[end + 19..];
        }
        columns
    }
}

/// A connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    /// What the server told after the login.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) key: Option<(i32, Vec<u8>)>,
}

/// A message's bytes.
pub(crate) fn message(kind: char, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(kind).unwrap()];
    bytes.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// A packet before the login.
pub(crate) fn packet(body: &[u8]) -> Vec<u8> {
    message('x', body)[1..].to_vec()
}

/// The packet that starts a session.
pub(crate) fn startup(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
    }
    body.push(0);
    packet(&body)
}

pub(crate) fn parse(name: &str, query: &str, types: &[u32]) -> Vec<u8> {
    let mut body = format!("{name}\0{query}\0").into_bytes();
    body.extend(u16::try_from(types.len()).unwrap().to_be_bytes());
    types.iter().for_each(|oid| body.extend(oid.to_be_bytes()));
    message('P', &body)
}

pub(crate) fn bind(
    portal: &str,
    statement: &str,
    formats: &[u16],
    values: &[Option<&[u8]>],
    results: &[u16],
) -> Vec<u8> {
    let mut body = format!("{portal}\0{statement}\0").into_bytes();
    let count = |body: &mut Vec<u8>, n: usize| body.extend(u16::try_from(n).unwrap().to_be_bytes());
    count(&mut body, formats.len());
    formats.iter().for_each(|format| body.extend(format.to_be_bytes()));
    count(&mut body, values.len());
    for value in values {
        match value {
            None => body.extend((-1_i32).to_be_bytes()),
            Some(value) => {
                body.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
                body.extend_from_slice(value);
            }
        }
    }
    count(&mut body, results.len());
    results.iter().for_each(|format| body.extend(format.to_be_bytes()));
    message('B', &body)
}

pub(crate) fn describe(kind: char, name: &str) -> Vec<u8> {
    message('D', format!("{kind}{name}\0").as_bytes())
}

pub(crate) fn execute(portal: &str, rows: u32) -> Vec<u8> {
    let mut body = format!("{portal}\0").into_bytes();
    body.extend(rows.to_be_bytes());
    message('E', &body)
}

pub(crate) fn sync() -> Vec<u8> {
    message('S', &[])
}

impl Client {
    /// A connection on which nothing was said.
    pub(crate) fn silent(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, settings: Vec::new(), key: None }
    }

    /// A session without a password.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &[("user", "tester"), ("database", "events")])
    }

    /// A session with these parameters.
    pub(crate) fn connect_with(address: SocketAddr, parameters: &[(&str, &str)]) -> Self {
        let mut client = Self::silent(address);
        client.send(&startup(3 << 16, parameters));
        client.begin();
        client
    }

    /// Reads what comes between the login and the first statement.
    pub(crate) fn begin(&mut self) -> Vec<Message> {
        let messages = self.until_ready();
        for message in &messages {
            match message.kind {
                'S' => {
                    let texts = message.texts();
                    self.settings.push((texts[0].clone(), texts[1].clone()));
                }
                'K' => {
                    let process = i32::from_be_bytes(message.body[..4].try_into().unwrap());
                    self.key = Some((process, message.body[4..].to_vec()));
                }
                _ => {}
            }
        }
        messages
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next message; `None` when the server closed the connection.
    pub(crate) fn next(&mut self) -> Option<Message> {
        let mut head = [0; 5];
        if let Err(error) = self.stream.read_exact(&mut head) {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the server does not answer");
            return None;
        }
        let length = u32::from_be_bytes(head[1..].try_into().unwrap());
        let mut body = vec![0; usize::try_from(length).unwrap() - 4];
        self.stream.read_exact(&mut body).unwrap();
        Some(Message { kind: char::from(head[0]), body })
    }

    /// Messages up to the one that says that the next may come.
    pub(crate) fn until_ready(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            let message = self.next().unwrap_or_else(|| panic!("closed after {messages:?}"));
            let is_last = message.kind == 'Z';
            messages.push(message);
            if is_last {
                return messages;
            }
        }
    }

    /// Messages until the server closes the connection.
    pub(crate) fn until_closed(&mut self) -> Vec<Message> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Sends bytes and reads up to the next readiness.
    pub(crate) fn ask(&mut self, bytes: &[Vec<u8>]) -> Vec<Message> {
        self.send(&bytes.concat());
        self.until_ready()
    }

    /// Runs a text of the simple protocol.
    pub(crate) fn query(&mut self, text: &str) -> Vec<Message> {
        self.ask(&[message('Q', format!("{text}\0").as_bytes())])
    }

    /// Cancels what the connection with this key runs.
    pub(crate) fn cancel(address: SocketAddr, key: &(i32, Vec<u8>)) {
        let mut body = CANCEL_REQUEST.to_be_bytes().to_vec();
        body.extend(key.0.to_be_bytes());
        body.extend_from_slice(&key.1);
        let mut client = Self::silent(address);
        client.send(&packet(&body));
        assert_eq!(client.until_closed(), []);
    }
}

/// The kinds of messages, one letter each.
pub(crate) fn kinds(messages: &[Message]) -> String {
    messages.iter().map(|message| message.kind).collect()
}

/// The codes of the errors among messages.
pub(crate) fn errors(messages: &[Message]) -> Vec<String> {
    messages.iter().filter(|m| m.kind == 'E').map(|m| m.field('C').unwrap()).collect()
}

/// The tags of commands that were completed.
pub(crate) fn tags(messages: &[Message]) -> Vec<String> {
    messages.iter().filter(|m| m.kind == 'C').map(|m| m.texts()[0].clone()).collect()
}

/// The rows, values joined by `|`.
pub(crate) fn rows(messages: &[Message]) -> Vec<String> {
    let shown = |value: Option<Vec<u8>>| value.map_or("NULL".to_owned(), |v| String::from_utf8(v).unwrap());
    let row = |message: &Message| message.values().into_iter().map(shown).collect::<Vec<_>>().join("|");
    messages.iter().filter(|m| m.kind == 'D').map(row).collect()
}
