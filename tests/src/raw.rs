//! Requests byte by byte: for headers that no HTTP library would send, and for requests that hang
//! between being sent and being answered.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A request that was sent and not yet read the answer of.
#[derive(Debug)]
pub struct Sent(TcpStream);

impl Sent {
    /// The whole answer as it came, until the server closed the connection.
    pub fn answer(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // A server may close in the middle of a request that it refuses; what came before counts.
        let _ = self.0.read_to_end(&mut bytes);
        bytes
    }

    /// The status of the answer, or `None` if the server closed without one.
    pub fn status(self) -> Option<u16> {
        status_in(&self.answer())
    }
}

fn status_in(bytes: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(bytes.get(..12)?).ok()?;
    line.strip_prefix("HTTP/1.1 ")?.parse().ok()
}

/// Sends `head` (request line and headers, without the empty line; `Host` and `Connection: close`
/// are added) and `body`.
///
/// # Errors
/// When there is no connection to be had.
pub fn send(port: u16, head: &[u8], body: &[u8]) -> std::io::Result<Sent> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_nodelay(true)?;
    let rest = format!(
        "\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    // The server may refuse, and close, before it has read all: that is an answer, not an error.
    let _ = stream.write_all(&[head, rest.as_bytes(), body].concat());
    Ok(Sent(stream))
}

/// Sends exactly these bytes and nothing more, and gives what comes back until the server closes.
#[track_caller]
pub fn exchange(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).expect("a time-out");
    stream.write_all(bytes).expect("sending");
    Sent(stream).answer()
}

/// The status of a GET with one header of arbitrary bytes.
#[track_caller]
pub fn status_with_header(port: u16, path: &str, name: &str, value: &[u8]) -> Option<u16> {
    let head = [format!("GET {path} HTTP/1.1\r\n{name}: ").as_bytes(), value].concat();
    send(port, &head, b"").expect("a connection").status()
}

/// The status of a plain GET; `None` when nobody answers.
pub fn status_of(port: u16, path: &str) -> Option<u16> {
    send(port, format!("GET {path} HTTP/1.1").as_bytes(), b"")
        .ok()?
        .status()
}
