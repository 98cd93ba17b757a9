//! A client that asks one statement after the other, and takes values as texts.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::answers::{Answer, Column};

const PATIENCE: Duration = Duration::from_secs(60);
const VERSION: u32 = 196_608;

/// A connection.
pub(crate) struct Client(TcpStream);

impl Client {
    /// Logs in as `postgres`.
    pub(crate) fn connect(address: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(address).map_err(|e| e.to_string())?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(|e| e.to_string())?;
        let mut client = Self(stream);
        let mut body = VERSION.to_be_bytes().to_vec();
        body.extend(b"user\0postgres\0database\0postgres\0\0");
        let mut packet = u32::try_from(body.len() + 4).unwrap().to_be_bytes().to_vec();
        packet.extend(body);
        client.0.write_all(&packet).map_err(|e| e.to_string())?;
        loop {
            match client.message()? {
                ('Z', _) => return Ok(client),
                ('E', body) => return Err(String::from_utf8_lossy(&body).into_owned()),
                _ => {}
            }
        }
    }

    fn message(&mut self) -> Result<(char, Vec<u8>), String> {
        let mut head = [0; 5];
        self.0.read_exact(&mut head).map_err(|e| e.to_string())?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let mut body = vec![0; length as usize - 4];
        self.0.read_exact(&mut body).map_err(|e| e.to_string())?;
        Ok((char::from(head[0]), body))
    }

    /// The answer to a statement.
    pub(crate) fn ask(&mut self, statement: &str) -> Answer {
        self.exchange(statement).unwrap_or_else(|e| panic!("{e}: {statement}"))
    }

    fn exchange(&mut self, statement: &str) -> Result<Answer, String> {
        let mut packet = vec![b'Q'];
        packet.extend(u32::try_from(statement.len() + 5).unwrap().to_be_bytes());
        packet.extend(statement.as_bytes());
        packet.push(0);
        self.0.write_all(&packet).map_err(|e| e.to_string())?;
        let (mut columns, mut rows, mut failed) = (Vec::new(), Vec::new(), None);
        loop {
            match self.message()? {
                ('T', body) => columns = described(&body),
                ('D', body) => rows.push(values(&body)),
                ('E', body) => failed = Some(field(&body, b'C')),
                ('Z', _) => break,
                _ => {}
            }
        }
        Ok(match failed {
            Some(code) => Answer::Failed { code },
            None => Answer::Rows { columns, rows },
        })
    }
}

fn field(body: &[u8], code: u8) -> String {
    let found = body.split(|b| *b == 0).find(|text| text.first() == Some(&code));
    String::from_utf8_lossy(found.map_or(&[][..], |text| &text[1..])).into_owned()
}

fn described(body: &[u8]) -> Vec<Column> {
    let mut rest = &body[2..];
    let mut columns = Vec::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|b| *b == 0).unwrap();
        let fixed = &rest[end + 1..end + 19];
        let oid = u32::from_be_bytes(fixed[6..10].try_into().unwrap());
        columns.push(Column { name: String::from_utf8_lossy(&rest[..end]).into_owned(), oid });
        rest = &rest[end + 19..];
    }
    columns
}

fn values(body: &[u8]) -> Vec<Option<String>> {
    let mut rest = &body[2..];
    let mut values = Vec::new();
    while !rest.is_empty() {
        let length = i32::from_be_bytes(rest[..4].try_into().unwrap());
        rest = &rest[4..];
        values.push(usize::try_from(length).ok().map(|length| {
            let (value, after) = rest.split_at(length);
            rest = after;
            String::from_utf8_lossy(value).into_owned()
        }));
    }
    values
}
