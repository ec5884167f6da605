//! Failures of requests to a cluster.
//!
//! The client's errors contain the texts of their causes, so most are shown without the chain.

use std::fmt::Display;
use std::time::Duration;

use http::StatusCode;
use kube::Error;
use kube::client::{AuthError, UpgradeConnectionError};
use kube::config::KubeconfigError;
use kube::core::Status;
use kube::runtime::watcher;

use super::{Failure, chain};
use crate::exit::Exit;

/// Advice for a cluster without Sampan.
const INSTALL: &str = "install Sampan there (docs/install.md): helm install sampan CHART -n sampan-system \
                       --create-namespace; or choose another cluster with --context";

/// The context of a request: the part of a message that the error does not contain.
#[derive(Clone, Debug)]
pub(crate) struct RequestContext<'a> {
    /// The address of the API server.
    pub(crate) server: &'a str,
    /// The action, after "cannot": `list functions`.
    pub(crate) action: String,
}

impl Failure {
    /// A request to the API server that failed.
    pub(crate) fn cluster(error: &Error, context: &RequestContext<'_>) -> Self {
        let RequestContext { server, action } = context;
        match error {
            Error::Api(status) => refused(status, context),
            Error::Service(cause) => unreachable(server, chain(cause.as_ref())),
            Error::HyperError(cause) => unreachable(server, chain(cause)),
            Error::ReadEvents(cause) => unreachable(server, chain(cause)),
            Error::Auth(error) => Self::credentials(error),
            Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(status)) => {
                switched(*status, context)
            }
            Error::UpgradeConnection(_) => Self::new(
                Exit::Cluster,
                format!("cannot {action}: {error}"),
                "a proxy between here and the API server may not let WebSockets through",
            ),
            Error::InferKubeconfig(error) => Self::kubeconfig(error),
            Error::RustlsTls(_) | Error::TlsRequired => Self::new(
                Exit::Kubeconfig,
                format!("no secure connection to {server} can be made: {error}"),
                "check the certificates that the kubeconfig names",
            ),
            Error::ProxyProtocolUnsupported { .. } | Error::ProxyProtocolDisabled { .. } => {
                Self::new(
                    Exit::Kubeconfig,
                    error.to_string(),
                    "check proxy-url in the kubeconfig, or HTTPS_PROXY; a proxy is http://, https:// or socks5://",
                )
            }
            _ => Self::new(
                Exit::Cluster,
                format!("cannot {action}: {error}"),
                "check that the address is that of a Kubernetes API server of a current version",
            ),
        }
    }

    /// A watch of a resource that failed.
    pub(crate) fn watch(error: &watcher::Error, context: &RequestContext<'_>) -> Self {
        match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => Self::cluster(error, context),
            watcher::Error::WatchError(status) => refused(status, context),
            watcher::Error::NoResourceVersion => Self::new(
                Exit::Cluster,
                format!("cannot {}: {error}", context.action),
                "check that the address is that of a Kubernetes API server",
            ),
        }
    }

    /// An API server that does not answer.
    pub(crate) fn silent(limit: Duration, context: &RequestContext<'_>) -> Self {
        Self::new(
            Exit::Cluster,
            format!(
                "cannot {}: {} did not answer within {limit:?}",
                context.action, context.server
            ),
            "check the cluster's control plane, and try again",
        )
    }

    /// A kubeconfig that cannot be used.
    pub(crate) fn kubeconfig(error: &KubeconfigError) -> Self {
        let help = match error {
            KubeconfigError::CurrentContextNotSet => {
                "choose one with --context, or with `kubectl config use-context`"
            }
            KubeconfigError::LoadContext(_) => "`kubectl config get-contexts` lists the contexts",
            KubeconfigError::ReadConfig(..) => {
                "check the path given with --kubeconfig or KUBECONFIG"
            }
            _ => "correct the kubeconfig; `kubectl config view` shows how it is understood",
        };
        Self::new(Exit::Kubeconfig, error.to_string(), help)
    }

    fn credentials(error: &AuthError) -> Self {
        let message = match error {
            // Its standard output contains credentials and is not shown.
            AuthError::AuthExecRun { cmd, out } => format!(
                "{cmd}, which the kubeconfig names for credentials, failed ({}): {}",
                out.status,
                String::from_utf8_lossy(&out.stderr)
            ),
            _ => format!("no credentials for the cluster can be had: {error}"),
        };
        Self::new(
            Exit::Kubeconfig,
            message,
            "log in to the cluster again, or check the user that the kubeconfig's context names",
        )
    }
}

/// A request for a WebSocket that the API server did not upgrade. Only the status is known.
fn switched(status: StatusCode, context: &RequestContext<'_>) -> Failure {
    let RequestContext { action, .. } = context;
    let message = format!("cannot {action}: the API server answers {status}");
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::new(
            Exit::Forbidden,
            message,
            "ask for a role that allows it; `sampan help COMMAND` says what a command needs",
        ),
        StatusCode::NOT_FOUND => Failure::new(
            Exit::Absent,
            message,
            "the pod has gone in this moment: try again",
        ),
        _ => Failure::new(
            Exit::Cluster,
            message,
            "check that the API server reaches the pod's node, and that no proxy refuses WebSockets",
        ),
    }
}

fn unreachable(server: &str, cause: impl Display) -> Failure {
    Failure::new(
        Exit::Cluster,
        format!("the cluster at {server} cannot be reached: {cause}"),
        "check that it runs, and that --context and --kubeconfig choose the right one",
    )
}

/// A request that the API server rejected. Codes and reasons decide: they are the server's
/// interface.
fn refused(status: &Status, context: &RequestContext<'_>) -> Failure {
    let RequestContext { server, action } = context;
    let said = &status.message;
    let details = status.details.as_ref();
    let failure = |exit, help: &str| Failure::new(exit, format!("cannot {action}: {said}"), help);
    match status.code {
        401 => Failure::new(
            Exit::Forbidden,
            format!("cannot {action}: {server} does not accept the credentials"),
            "log in to the cluster again, or check the user that the kubeconfig's context names",
        ),
        403 => failure(
            Exit::Forbidden,
            "ask for a role that allows it; `sampan help COMMAND` says what a command needs",
        ),
        404 if details.is_some_and(|details| details.kind == "namespaces") => failure(
            Exit::Absent,
            "choose a namespace with -n, or make it: kubectl create namespace NAME",
        ),
        404 if details.is_some_and(|details| !details.name.is_empty()) => failure(
            Exit::Absent,
            "`sampan list -A` shows the functions of all namespaces",
        ),
        // No such kind of resource, so the name does not matter.
        404 => Failure::new(
            Exit::NoSampan,
            format!(
                "cannot {action}: {server} has no WasmFunctions, so Sampan is not installed there"
            ),
            INSTALL,
        ),
        409 => {
            let conflict = |details: &kube::core::response::StatusDetails| {
                let mut causes = details.causes.iter();
                causes.any(|cause| cause.reason == "FieldManagerConflict")
            };
            if details.is_some_and(conflict) {
                failure(
                    Exit::Refused,
                    "leave these fields to their manager, or take them over with --force-conflicts",
                )
            } else {
                failure(
                    Exit::Refused,
                    "another client changed it at the same time: try again",
                )
            }
        }
        400 | 413 | 422 => failure(
            Exit::Refused,
            "correct the value that is named; `kubectl explain wfn.spec` says what it takes",
        ),
        429 | 500.. => failure(
            Exit::Cluster,
            if details.is_some_and(|details| details.retry_after_seconds > 0) {
                "the cluster is busy: try again in a moment"
            } else {
                "check the cluster's control plane, and try again"
            },
        ),
        _ => failure(
            Exit::Cluster,
            "check that the address is that of a Kubernetes API server",
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(status: Value, exit: Exit, message: &str, help: &str) {
        let status: Status = serde_json::from_value(status).expect("a status");
        let context = RequestContext {
            server: "https://k.example",
            action: "deploy hello".to_owned(),
        };
        let failure = Failure::cluster(&Error::Api(Box::new(status)), &context);
        assert_eq!(failure.exit, exit, "{failure:?}");
        assert!(failure.message.contains(message), "{failure:?}");
        assert!(failure.help.contains(help), "{failure:?}");
    }

    #[test]
    fn each_no_of_a_cluster_has_its_code_and_its_advice() {
        let status = |code: u16, reason: &str, message: &str, details: Value| json!({ "code": code, "reason": reason, "message": message, "details": details });
        check(
            status(401, "Unauthorized", "Unauthorized", Value::Null),
            Exit::Forbidden,
            "credentials",
            "log in",
        );
        check(
            status(403, "Forbidden", "User \"me\" cannot patch", Value::Null),
            Exit::Forbidden,
            "cannot deploy hello: User",
            "role",
        );
        check(
            status(
                404,
                "NotFound",
                "namespaces \"x\" not found",
                json!({ "kind": "namespaces", "name": "x" }),
            ),
            Exit::Absent,
            "namespaces \"x\"",
            "create namespace",
        );
        check(
            status(
                404,
                "NotFound",
                "wasmfunctions.sampan.dev \"hello\" not found",
                json!({ "kind": "wasmfunctions", "group": "sampan.dev", "name": "hello" }),
            ),
            Exit::Absent,
            "\"hello\" not found",
            "sampan list",
        );
        check(
            json!({ "code": 404, "message": "404 page not found", "reason": "Failed to parse error data" }),
            Exit::NoSampan,
            "not installed",
            "helm",
        );
        check(
            status(
                409,
                "Conflict",
                "Apply failed with 1 conflict: conflict with \"kubectl\": .spec.image",
                json!({ "causes": [{ "reason": "FieldManagerConflict", "field": ".spec.image" }] }),
            ),
            Exit::Refused,
            ".spec.image",
            "--force-conflicts",
        );
        check(
            status(409, "Conflict", "the object has been modified", Value::Null),
            Exit::Refused,
            "modified",
            "try again",
        );
        check(
            status(
                422,
                "Invalid",
                "spec.replicas: Invalid value\u{1b}",
                Value::Null,
            ),
            Exit::Refused,
            "value\\u{1b}",
            "kubectl explain",
        );
        check(
            status(
                429,
                "TooManyRequests",
                "slow down",
                json!({ "retryAfterSeconds": 1 }),
            ),
            Exit::Cluster,
            "slow down",
            "in a moment",
        );
        check(
            status(503, "ServiceUnavailable", "etcd", Value::Null),
            Exit::Cluster,
            "etcd",
            "control plane",
        );
    }

    #[test]
    fn a_credential_helper_is_quoted_without_its_output() {
        let out = std::process::Command::new("sh")
            .args(["-c", "echo secret; echo expired >&2; exit 3"])
            .output()
            .expect("a shell");
        let error = AuthError::AuthExecRun {
            cmd: "login-helper".to_owned(),
            out: Box::new(out),
        };
        let failure = Failure::credentials(&error);
        assert_eq!(failure.exit, Exit::Kubeconfig);
        assert!(failure.message.contains("login-helper"), "{failure:?}");
        assert!(failure.message.contains("expired"), "{failure:?}");
        assert!(!failure.message.contains("secret"), "{failure:?}");
    }

    #[test]
    fn a_refused_upgrade_names_the_action() {
        let check = |status, exit| {
            let error = UpgradeConnectionError::ProtocolSwitch(status);
            let context = RequestContext {
                server: "https://k.example",
                action: "reach hello-1".to_owned(),
            };
            let failure = Failure::cluster(&Error::UpgradeConnection(error), &context);
            assert_eq!(failure.exit, exit);
            assert!(failure.message.contains("reach hello-1"), "{failure:?}");
        };
        check(StatusCode::FORBIDDEN, Exit::Forbidden);
        check(StatusCode::NOT_FOUND, Exit::Absent);
        check(StatusCode::BAD_GATEWAY, Exit::Cluster);
    }

    #[test]
    fn a_cluster_that_is_not_there_is_named() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let context = RequestContext {
            server: "https://k.example",
            action: String::new(),
        };
        let failure = Failure::cluster(&Error::Service(refused.into()), &context);
        assert_eq!(failure.exit, Exit::Cluster);
        assert!(failure.message.contains("https://k.example"), "{failure:?}");
        assert!(failure.message.contains("refused"), "{failure:?}");
    }
}
