//! A connection that reads HTTP/1.1 answers whole and discards their bodies.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

use super::REQUEST_TIMEOUT;

/// The most bytes of a head, and of a line between chunks.
const MAX_HEAD_LENGTH: usize = 64 * 1024;
/// The most fields of a head.
const MAX_FIELDS: usize = 64;

/// A connection with its unread bytes.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// How the body of an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Length(u64),
    Chunked,
    UntilClosed,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, REQUEST_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
        Ok(Self {
            stream,
            unread: Vec::new(),
        })
    }

    /// Sends a request, reads the answer to its end, and returns the status.
    pub(crate) fn ask(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request)?;
        let (status, body, head) = loop {
            if let Some(found) = head(&self.unread)? {
                break found;
            }
            if self.unread.len() > MAX_HEAD_LENGTH {
                return Err(bad("the head of the answer is too long"));
            }
            self.more()?;
        };
        self.unread.drain(..head);
        match body {
            Body::Length(length) => self.skip(length)?,
            Body::Chunked => while self.skip_chunk()? {},
            Body::UntilClosed => while self.fill()? > 0 {},
        }
        Ok(status)
    }

    /// Waits until the server has closed, and resets the rest of the connection. Otherwise
    /// thousands of requests a second would fill the node's connection tracking with lingering
    /// entries, and new connections would fail.
    pub(crate) fn close(mut self) -> io::Result<()> {
        while self.fill()? > 0 {
            self.unread.clear();
        }
        Ok(set_socket_linger(&self.stream, Some(Duration::ZERO))?)
    }

    fn skip(&mut self, mut length: u64) -> io::Result<()> {
        loop {
            let here = self
                .unread
                .len()
                .min(usize::try_from(length).unwrap_or(usize::MAX));
            self.unread.drain(..here);
            length -= here as u64;
            if length == 0 {
                return Ok(());
            }
            self.more()?;
        }
    }

    /// Skips a chunk; whether there was one before the end.
    fn skip_chunk(&mut self) -> io::Result<bool> {
        let line = self.line()?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| bad("a chunk has no length"))?;
        if size > 0 {
            self.skip(size)?;
            self.line()?;
            return Ok(true);
        }
        while !self.line()?.is_empty() {}
        Ok(false)
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\r\n") {
                let line = String::from_utf8_lossy(&self.unread[..end]).into_owned();
                self.unread.drain(..end + 2);
                return Ok(line);
            }
            if self.unread.len() > MAX_HEAD_LENGTH {
                return Err(bad("a line is too long"));
            }
            self.more()?;
        }
    }

    fn more(&mut self) -> io::Result<()> {
        match self.fill()? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 16 * 1024];
        let read = self.stream.read(&mut buffer)?;
        self.unread.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

/// Parses a head: the status, the end of the body and the length of the head. `None` while it is
/// incomplete.
fn head(bytes: &[u8]) -> io::Result<Option<(u16, Body, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut answer = httparse::Response::new(&mut fields);
    let parsed = answer.parse(bytes).map_err(io::Error::other)?;
    let httparse::Status::Complete(end) = parsed else {
        return Ok(None);
    };
    let field = |name: &str| {
        let mut fields = answer.headers.iter();
        let found = fields.find(|field| field.name.eq_ignore_ascii_case(name));
        found.map(|field| String::from_utf8_lossy(field.value))
    };
    let body = match (field("transfer-encoding"), field("content-length")) {
        (Some(_), _) => Body::Chunked,
        (None, Some(length)) => Body::Length(length.trim().parse().map_err(|_| bad("no length"))?),
        (None, None) => Body::UntilClosed,
    };
    let status = answer.code.ok_or_else(|| bad("no status"))?;
    Ok(Some((status, body, end)))
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Shutdown, TcpListener};
    use std::thread;

    use super::*;

    #[test]
    fn a_head_says_how_its_body_ends() {
        fn check(text: &str, expected: Option<(u16, Body)>) {
            let found = head(text.as_bytes()).unwrap();
            assert_eq!(
                found.map(|(status, body, _)| (status, body)),
                expected,
                "{text}"
            );
        }
        check(
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            Some((200, Body::Length(5))),
        );
        check(
            "HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n",
            Some((503, Body::Chunked)),
        );
        check("HTTP/1.0 200 OK\r\n\r\n", Some((200, Body::UntilClosed)));
        check("HTTP/1.1 200 OK\r\ncontent-le", None);
        assert!(head(b"SSH-2.0\r\n\r\n").is_err());
    }

    #[test]
    fn answers_on_one_connection_are_separated_however_they_arrive() {
        let answers = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc\
                       HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nT: x\r\n\r\n\
                       HTTP/1.1 201 Made\r\n\r\nto the end";
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            for byte in answers.bytes() {
                stream.write_all(&[byte]).unwrap();
            }
            // Unread bytes at the close of a socket would reset the connection, which is what the
            // client does at its end.
            stream.shutdown(Shutdown::Write).unwrap();
            let ended = io::copy(&mut stream, &mut io::sink());
            assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        });
        let mut connection = Connection::open(address).unwrap();
        for expected in [200, 404, 201] {
            assert_eq!(connection.ask(b"GET / HTTP/1.1\r\n\r\n").unwrap(), expected);
        }
        connection.close().unwrap();
        server.join().unwrap();
    }
}
