//! The part of a `WasmFunction` that concerns a pool, parsed once from what the API server sends.

use std::fmt;
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::core::DeserializeGuard;
use sampan_crd::{MOVE_DRAIN, POOL_PORTS, Placement, WasmFunction, WasmFunctionSpec};
use serde::{Deserialize, Serialize};

/// The UID of a resource: another resource with the same name has another one.
pub(crate) type Uid = String;

/// A function that a pool serves.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// The UID.
    pub uid: String,
    /// The name.
    pub name: String,
    /// The generation of `spec`.
    pub generation: i64,
    /// Its port in the pool's pods.
    pub port: u16,
    /// What the user asks for.
    pub spec: WasmFunctionSpec,
}

/// Its specification may contain secrets.
impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resource")
            .field("uid", &self.uid)
            .field("name", &self.name)
            .field("generation", &self.generation)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// A resource as a watch sees it.
#[derive(Clone, Debug)]
pub enum Seen {
    /// This pool serves it.
    Served {
        /// The function.
        resource: Box<Resource>,
        /// How long it is still served after its move to pods of its own; zero if that time is over.
        /// `None` if it is pooled.
        leaves_in: Option<Duration>,
    },
    /// It is not this pool's.
    Elsewhere {
        /// Its UID.
        uid: String,
    },
    /// It exists, and cannot be parsed.
    Unreadable {
        /// Its UID.
        uid: String,
        /// Its generation.
        generation: i64,
        /// What cannot be parsed.
        message: String,
    },
}

impl Seen {
    /// Parses a resource. `now` decides how long one that has moved away is served.
    pub fn of(found: DeserializeGuard<WasmFunction>, now: Timestamp) -> Self {
        match found {
            DeserializeGuard(Ok(function)) => Self::of_function(function, now),
            DeserializeGuard(Err(invalid)) => Self::Unreadable {
                uid: invalid.metadata.uid.unwrap_or_default(),
                generation: invalid.metadata.generation.unwrap_or_default(),
                message: invalid.error,
            },
        }
    }

    fn of_function(function: WasmFunction, now: Timestamp) -> Self {
        let WasmFunction {
            metadata,
            spec,
            status,
        } = function;
        let (uid, status) = (metadata.uid.unwrap_or_default(), status.unwrap_or_default());
        let ports = |port: &u16| POOL_PORTS.contains(port);
        let Some(port) = status.pool_port.filter(ports) else {
            return Self::Elsewhere { uid };
        };
        // With the placement Auto, the operator takes the port away when the function leaves.
        let stays = spec.placement.unwrap_or_default().uses_pool();
        let leaves_in = if stays || status.placement == Some(Placement::Pooled) {
            None
        } else {
            let moved = status.moved_at.as_ref();
            Some(moved.map_or(Duration::ZERO, |moved| drain_left(moved.0, now)))
        };
        Self::Served {
            resource: Box::new(Resource {
                uid,
                name: metadata.name.unwrap_or_default(),
                generation: metadata.generation.unwrap_or_default(),
                port,
                spec,
            }),
            leaves_in,
        }
    }

    /// The UID.
    pub fn uid(&self) -> &str {
        match self {
            Self::Served { resource, .. } => &resource.uid,
            Self::Elsewhere { uid } | Self::Unreadable { uid, .. } => uid,
        }
    }
}

/// How long a function that has moved at a time is still served. A time in the future, of a clock
/// that differs, counts as now.
fn drain_left(moved: Timestamp, now: Timestamp) -> Duration {
    let since = now.duration_since(moved).max(SignedDuration::ZERO);
    MOVE_DRAIN.saturating_sub(since.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn seen(spec: &Value, status: &Value) -> Seen {
        let function = json!({
            "apiVersion": "sampan.dev/v1alpha1",
            "kind": "WasmFunction",
            "metadata": { "name": "hello", "uid": "u", "generation": 3 },
            "spec": spec,
            "status": status,
        });
        let now = "2026-01-01T00:00:10Z".parse().unwrap();
        Seen::of(serde_json::from_value(function).unwrap(), now)
    }

    #[test]
    fn a_pool_serves_what_is_placed_there_or_has_just_left() {
        #[derive(Debug, PartialEq)]
        enum Serves {
            No,
            Always,
            ForSeconds(u64),
        }
        fn check(spec: Option<&str>, status: &Value, expected: &Serves) {
            let mut wanted = json!({ "image": "r.example/a:1" });
            if let Some(placement) = spec {
                wanted["placement"] = placement.into();
            }
            let found = match seen(&wanted, status) {
                Seen::Served {
                    resource,
                    leaves_in,
                } => {
                    assert_eq!(
                        (
                            resource.uid.as_str(),
                            resource.name.as_str(),
                            resource.generation
                        ),
                        ("u", "hello", 3)
                    );
                    leaves_in.map_or(Serves::Always, |left| Serves::ForSeconds(left.as_secs()))
                }
                Seen::Elsewhere { .. } => Serves::No,
                Seen::Unreadable { message, .. } => panic!("{message}"),
            };
            assert_eq!(&found, expected, "{spec:?} {status}");
        }
        let pooled = Some("Pooled");
        check(None, &json!({}), &Serves::No);
        check(pooled, &json!({}), &Serves::No);
        check(pooled, &json!({ "poolPort": 10_000 }), &Serves::Always);
        check(pooled, &json!({ "poolPort": 9_999 }), &Serves::No);
        check(pooled, &json!({ "poolPort": 30_000 }), &Serves::No);
        check(None, &json!({ "poolPort": 10_000 }), &Serves::ForSeconds(0));
        let comes = json!({ "poolPort": 10_000, "placement": "Pod" });
        check(Some("Auto"), &comes, &Serves::Always);
        check(Some("Auto"), &json!({ "placement": "Pod" }), &Serves::No);
        let still = json!({ "poolPort": 10_000, "placement": "Pooled" });
        check(Some("Pod"), &still, &Serves::Always);
        let moved = |at: &str| json!({ "poolPort": 10_000, "placement": "Pod", "movedAt": at });
        check(None, &moved("2026-01-01T00:00:00Z"), &Serves::ForSeconds(5));
        check(None, &moved("2025-12-31T23:59:55Z"), &Serves::ForSeconds(0));
        check(
            None,
            &moved("2026-01-01T00:01:00Z"),
            &Serves::ForSeconds(15),
        );
    }

    #[test]
    fn an_unreadable_resource_still_exists() {
        let found = seen(&json!({ "image": "a", "imagee": "b" }), &json!({}));
        let Seen::Unreadable {
            uid,
            generation,
            message,
        } = found
        else {
            panic!("{found:?}");
        };
        assert_eq!((uid.as_str(), generation), ("u", 3));
        assert!(message.contains("imagee"), "{message}");
    }

    #[test]
    fn a_resource_is_shown_without_its_specification() {
        let spec = json!({ "image": "r.example/a:1", "placement": "Pooled", "env": [{ "name": "A", "value": "hidden" }] });
        let shown = format!("{:?}", seen(&spec, &json!({ "poolPort": 10_000 })));
        assert!(
            shown.contains("hello") && !shown.contains("hidden"),
            "{shown}"
        );
    }
}
