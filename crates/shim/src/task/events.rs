//! Publishes events of tasks to containerd, in order, and goes on after a restart of containerd.

use std::time::Duration;

use containerd_shim::event::Event;
use containerd_shim::protos::protobuf::Message;
use containerd_shim::protos::shim::event::Envelope;
use containerd_shim::protos::shim::events::ForwardRequest;
use containerd_shim::protos::shim_async::{Client, EventsClient};
use containerd_shim::protos::ttrpc;
use containerd_shim::util::timestamp;
use tokio::sync::mpsc;

use super::type_url::{EVENTS, pack};

/// Events that wait while containerd is away. Without containerd nothing begins, so few things end.
const WAITING: usize = 1024;

/// The longest pause between two attempts.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(2);

/// How long containerd may take for one event.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);

/// Takes events from anywhere. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Events {
    namespace: String,
    queue: mpsc::Sender<Envelope>,
}

/// Delivers them.
pub(crate) struct Publisher {
    address: String,
    queue: mpsc::Receiver<Envelope>,
    client: Option<EventsClient>,
}

impl Events {
    /// Events of a namespace of containerd's, for the ttrpc socket at this address.
    pub(crate) fn new(namespace: &str, address: String) -> (Self, Publisher) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let events = Self {
            namespace: namespace.to_owned(),
            queue: sender,
        };
        let publisher = Publisher {
            address,
            queue: receiver,
            client: None,
        };
        (events, publisher)
    }

    /// Publishes an event after all that were published before.
    pub(crate) fn publish<E: Event + Message>(&self, event: &E) {
        let topic = event.topic();
        let envelope = timestamp().and_then(|timestamp| {
            let mut envelope = Envelope::new();
            envelope.set_timestamp(timestamp);
            envelope.set_namespace(self.namespace.clone());
            envelope.set_topic(topic.clone());
            envelope.set_event(pack(EVENTS, event)?);
            Ok(envelope)
        });
        match envelope {
            Ok(envelope) => {
                if self.queue.try_send(envelope).is_err() {
                    tracing::error!(topic, "an event is lost: containerd has been away for long");
                }
            }
            Err(error) => tracing::error!(topic, %error, "an event cannot be written"),
        }
    }
}

impl Publisher {
    /// Delivers until every [`Events`] is gone and nothing waits.
    pub(crate) async fn run(mut self) {
        while let Some(envelope) = self.queue.recv().await {
            let mut request = ForwardRequest::new();
            request.set_envelope(envelope);
            let mut pause = Duration::from_millis(50);
            while !self.forward(&request).await {
                self.client = None;
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MAX_RETRY_DELAY);
            }
        }
    }

    /// Whether the event is done with.
    async fn forward(&mut self, request: &ForwardRequest) -> bool {
        if self.client.is_none() {
            match Client::connect(&self.address).await {
                Ok(client) => self.client = Some(EventsClient::new(client)),
                Err(error) => {
                    tracing::debug!(%error, "containerd is away");
                    return false;
                }
            }
        }
        let Some(client) = &self.client else {
            return false;
        };
        let nanoseconds = i64::try_from(PUBLISH_TIMEOUT.as_nanos()).unwrap_or(i64::MAX);
        let context = ttrpc::context::with_timeout(nanoseconds);
        match client.forward(context, request).await {
            Ok(_) => true,
            Err(ttrpc::Error::RpcStatus(status)) => {
                let topic = &request.envelope().topic;
                tracing::error!(
                    topic,
                    status = status.message(),
                    "containerd refused an event"
                );
                true
            }
            Err(error) => {
                tracing::debug!(%error, "an event was not delivered; trying again");
                false
            }
        }
    }
}
