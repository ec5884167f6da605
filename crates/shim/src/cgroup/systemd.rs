//! systemd's manager over D-Bus: starting a scope and changing its properties
//! ([org.freedesktop.systemd1(5)](https://www.freedesktop.org/software/systemd/man/latest/org.freedesktop.systemd1.html)).
//!
//! The manager is reached by the message bus. Its own socket for root would standby the bus, but it signs its messages with
//! a name that `zbus` takes for none.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::timeout;
use zbus::connection::Builder;
use zbus::zvariant::{OwnedObjectPath, Value};
use zbus::{Connection, MessageStream};

use super::unit::Property;

const NAME: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// The error for a name that another unit has.
const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";

/// Signals of jobs that have ended.
const JOB_REMOVED: &str =
    "type='signal',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";

/// How long a job may take, as with runc.
const JOB_TIMEOUT: Duration = Duration::from_secs(30);

/// systemd does not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SystemdError {
    /// There is no systemd to ask.
    #[error("cgroupsPath asks for a scope of systemd's, and systemd cannot be reached: {0}")]
    Connect(#[source] Box<zbus::Error>),
    /// It refuses.
    #[error("systemd refuses to {doing} {unit}: {source}")]
    Refused {
        doing: &'static str,
        unit: String,
        source: Box<zbus::Error>,
    },
    /// The job of the unit's start ended in another way than `done`.
    #[error("systemd could not start {unit}: its job ended with {result:?}")]
    Job { unit: String, result: String },
    /// The job takes too long.
    #[error("systemd has not started {unit} within {} seconds", JOB_TIMEOUT.as_secs())]
    Timeout { unit: String },
}

/// A connection to the manager.
pub(super) struct Systemd {
    connection: Connection,
}

impl Systemd {
    /// Connects.
    pub(super) async fn connect() -> Result<Self, SystemdError> {
        let builder = Builder::system().map_err(connect)?;
        // Its state is ten kilobytes, which the stack would have several times.
        let connection = Box::pin(builder.method_timeout(JOB_TIMEOUT).build()).await;
        Ok(Self {
            connection: connection.map_err(connect)?,
        })
    }

    async fn call<B>(&self, method: &str, body: &B) -> zbus::Result<zbus::Message>
    where
        B: serde::Serialize + zbus::zvariant::DynamicType,
    {
        self.connection
            .call_method(Some(NAME), PATH, Some(MANAGER), method, body)
            .await
    }

    /// The manager's version, such as 252.
    pub(super) async fn version(&self) -> Result<u32, SystemdError> {
        let read = async || {
            let interface = Some("org.freedesktop.DBus.Properties");
            let body = (MANAGER, "Version");
            let answer = self
                .connection
                .call_method(Some(NAME), PATH, interface, "Get", &body);
            let answer = answer.await?;
            let body = answer.body();
            let value: Value<'_> = body.deserialize()?;
            Ok(version(&String::try_from(value)?))
        };
        read().await.map_err(connect)
    }

    /// Starts a scope; the process among its properties is in it afterwards.
    ///
    /// # Errors
    ///
    /// [`SystemdError`]. The unit may be there all the same if the job takes too long.
    pub(super) async fn start_scope(
        &self,
        unit: &str,
        properties: &[Property],
    ) -> Result<(), SystemdError> {
        let refused = |source| SystemdError::Refused {
            doing: "start",
            unit: unit.to_owned(),
            source: Box::new(source),
        };
        // The manager sends signals of jobs only when it is asked to.
        self.call("Subscribe", &()).await.map_err(refused)?;
        // From before the job begins, so that its end is not missed.
        let ended = MessageStream::for_match_rule(JOB_REMOVED, &self.connection, None).await;
        let mut ended = ended.map_err(refused)?;
        let auxiliary: &[(&str, &[Property])] = &[];
        let body = (unit, "fail", properties, auxiliary);
        let mut started = self.call("StartTransientUnit", &body).await;
        if started.as_ref().is_err_and(|error| is(error, UNIT_EXISTS)) {
            // It may be what has failed before and was not cleared away.
            let reset = self.call("ResetFailedUnit", &unit).await;
            reset.map_err(refused)?;
            started = self.call("StartTransientUnit", &body).await;
        }
        let job: OwnedObjectPath = started
            .and_then(|answer| answer.body().deserialize())
            .map_err(refused)?;
        let result = timeout(JOB_TIMEOUT, async {
            while let Some(message) = ended.next().await {
                let message = message?;
                let body = message.body();
                let (_, removed, _, result): (u32, OwnedObjectPath, String, String) =
                    body.deserialize()?;
                if removed == job {
                    return Ok(Some(result));
                }
            }
            Ok(None)
        });
        let timeout = || SystemdError::Timeout {
            unit: unit.to_owned(),
        };
        match result.await.map_err(|_| timeout())?.map_err(refused)? {
            Some(result) if result == "done" => Ok(()),
            Some(result) => Err(SystemdError::Job {
                unit: unit.to_owned(),
                result,
            }),
            None => Err(timeout()),
        }
    }

    /// Changes properties of a unit until the machine is started again.
    pub(super) async fn set_properties(
        &self,
        unit: &str,
        properties: &[Property],
    ) -> Result<(), SystemdError> {
        let body = (unit, true, properties);
        let set = self.call("SetUnitProperties", &body).await;
        set.map(drop).map_err(|source| SystemdError::Refused {
            doing: "change",
            unit: unit.to_owned(),
            source: Box::new(source),
        })
    }
}

fn connect(error: zbus::Error) -> SystemdError {
    SystemdError::Connect(Box::new(error))
}

fn is(error: &zbus::Error, name: &str) -> bool {
    matches!(error, zbus::Error::MethodError(found, _, _) if found.as_str() == name)
}

/// The number in a version such as `252.38-1~deb12u1` or `v257-1`; 0 if there is none.
fn version(text: &str) -> u32 {
    let text = text.trim_start_matches('v');
    let end = text.find(|letter: char| !letter.is_ascii_digit());
    text[..end.unwrap_or(text.len())].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn the_version_is_the_number_that_it_begins_with() {
        let check = |text, expected| assert_eq!(version(text), expected, "{text}");
        check("252.38-1~deb12u1", 252);
        check("v257-1.fc42", 257);
        check("239", 239);
        check("unknown", 0);
    }
}
