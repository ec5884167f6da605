//! The two ends of the socket between the supervisor and a child.
//!
//! Messages are JSON, a line each; a descriptor may come with one. A native program closes the stream when it is
//! executed, so its end means that the program runs.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::messages::Message;

/// The largest message; longer ones are refused.
const MOST: usize = 1 << 20;

/// The child's end.
#[derive(Debug)]
pub(crate) struct ChildSocket {
    stream: StdStream,
}

impl ChildSocket {
    pub(crate) fn new(stream: StdStream) -> Self {
        Self { stream }
    }

    /// Reads what the supervisor sends: the request, and later answers. It sends one at a time.
    ///
    /// # Errors
    ///
    /// When it is something else, or the supervisor is gone.
    pub(crate) fn request<T: for<'de> Deserialize<'de>>(&self) -> io::Result<T> {
        let mut line = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(&self.stream), &mut line)?;
        Ok(serde_json::from_str(&line)?)
    }

    /// Says something.
    ///
    /// # Errors
    ///
    /// When the supervisor is gone.
    pub(crate) fn send(&self, message: &Message) -> io::Result<()> {
        let line = line_of(message)?;
        io::Write::write_all(&mut &self.stream, &line)
    }

    /// Says something and hands over a descriptor.
    ///
    /// # Errors
    ///
    /// When the supervisor is gone.
    pub(crate) fn send_with(&self, message: &Message, fd: BorrowedFd<'_>) -> io::Result<()> {
        let line = line_of(message)?;
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let fds = [fd];
        ancillary.push(SendAncillaryMessage::ScmRights(&fds));
        let sent = sendmsg(
            &self.stream,
            &[IoSlice::new(&line)],
            &mut ancillary,
            SendFlags::empty(),
        )?;
        io::Write::write_all(&mut &self.stream, &line[sent..])
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn line_of<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// The supervisor's end.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    stream: UnixStream,
    buffer: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl ControlSocket {
    /// A pair: this end, and the one to start a child with.
    ///
    /// # Errors
    ///
    /// When there are no descriptors left.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = StdStream::pair()?;
        ours.set_nonblocking(true)?;
        let link = Self {
            stream: UnixStream::from_std(ours)?,
            buffer: Vec::new(),
            fds: Vec::new(),
        };
        Ok((link, theirs.into()))
    }

    /// Sends the request, or an answer.
    ///
    /// # Errors
    ///
    /// When the child is gone.
    pub(crate) async fn ask<T: Serialize>(&mut self, request: &T) -> io::Result<()> {
        let line = line_of(request)?;
        tokio::io::AsyncWriteExt::write_all(&mut self.stream, &line).await
    }

    /// The next message; `None` when there will be none.
    ///
    /// # Errors
    ///
    /// When what comes is no message.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Message>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            if self.buffer.len() > MOST {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.stream.readable().await?;
            let mut chunk = [0; 4096];
            let (buffer, fds, stream) = (&mut self.buffer, &mut self.fds, &self.stream);
            let read = stream.try_io(Interest::READABLE, || {
                receive(stream.as_fd(), &mut chunk, fds)
            });
            match read {
                Ok(0) => return Ok(None),
                Ok(count) => buffer.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The other process was killed before it read all messages.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// A descriptor that came with a message.
    pub(crate) fn take_fd(&mut self) -> Option<OwnedFd> {
        self.fds.pop()
    }
}

fn receive(stream: BorrowedFd<'_>, chunk: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        stream,
        &mut [IoSliceMut::new(chunk)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    Ok(received.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_and_descriptors_arrive_and_the_end_is_seen() {
        let (mut link, theirs) = ControlSocket::pair().expect("a pair");
        let child = ChildSocket::new(theirs.into());
        link.ask(&vec!["a\nb"]).await.expect("asked");
        assert_eq!(child.request::<Vec<String>>().expect("a request"), ["a\nb"]);
        child
            .send(&Message::Failed {
                cause: "line\nbreak".to_owned(),
            })
            .expect("said");
        let (pipe, _other) = rustix::pipe::pipe().expect("a pipe");
        child
            .send_with(&Message::Executed { pid: 7 }, pipe.as_fd())
            .expect("said");
        drop(child);
        let Some(Message::Failed { cause }) = link.next().await.expect("a message") else {
            panic!("another message");
        };
        assert_eq!(cause, "line\nbreak");
        let message = link.next().await.expect("a message");
        assert!(matches!(message, Some(Message::Executed { pid: 7 })));
        assert!(link.take_fd().is_some());
        assert!(link.next().await.expect("the end").is_none());
    }
}
