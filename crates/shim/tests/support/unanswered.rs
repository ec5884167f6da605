//! Calls of a client that does not wait for the answers, as frames of the ttrpc protocol.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use containerd_shim::api::Status;
use containerd_shim::protos::protobuf::Message;
use containerd_shim::protos::ttrpc::{self, MessageHeader, Request};

use super::{Shim, WAIT_TIMEOUT, code};

/// Why an answer is not awaited.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Departure {
    /// containerd ends: its connection closes.
    Close,
    /// The call's deadline passes.
    Deadline,
}

impl Shim {
    /// Sends a call of the task service by a connection of its own. Returns the connection, where that stays open.
    pub(crate) fn send(
        &self,
        method: &str,
        message: &impl Message,
        departure: Departure,
    ) -> Option<UnixStream> {
        let request = Request {
            service: "containerd.task.v3.Task".to_owned(),
            method: method.to_owned(),
            payload: message.write_to_bytes().expect("encoded"),
            timeout_nano: match departure {
                Departure::Close => 0,
                Departure::Deadline => 1,
            },
            ..Request::default()
        };
        let payload = request.write_to_bytes().expect("encoded");
        let length = u32::try_from(payload.len()).expect("a short message");
        let mut frame: Vec<u8> = MessageHeader::new_request(1, length).into();
        frame.extend(payload);
        let path = self.address.strip_prefix("unix://").expect("a socket");
        let mut stream = UnixStream::connect(path).expect("the shim listens");
        stream.write_all(&frame).expect("sent");
        matches!(departure, Departure::Deadline).then_some(stream)
    }

    /// Waits until a task has a status; `None` when it is gone.
    pub(crate) async fn until_status(&self, id: &str, expected: Option<Status>) {
        let begun = Instant::now();
        loop {
            let state = self.state(id).await;
            let status = if let Ok(state) = &state {
                Some(state.status.enum_value().expect("a known status"))
            } else {
                assert_eq!(code(&state), Some(ttrpc::Code::NOT_FOUND));
                None
            };
            if status == expected {
                return;
            }
            assert!(begun.elapsed() < WAIT_TIMEOUT, "{id}: {status:?}");
            tokio::task::yield_now().await;
        }
    }
}
