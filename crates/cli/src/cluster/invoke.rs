//! `sampan invoke`: one request to a pod of a function, through a port that the API server forwards.
//!
//! Not through the Service's proxy, which rewrites answers and asks for rights on Services; a forwarded port
//! carries bytes as they are. Refuses to follow redirects, to try again, and to hold an answer that is only
//! passed on.

mod answer;
mod request;

use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use sampan_crd::{CONTAINER, PORT};
use tokio::time::{Instant, timeout, timeout_at};

use super::seen::Seen;
use super::{Cluster, block_on, end, pods};
use crate::arguments::{Invoke, Output};
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::output::{pretty_json, print, print_on};
use answer::Answer;

/// How long the API server has to say why it could not forward.
const REASON: Duration = Duration::from_secs(1);

/// Calls a function.
pub(crate) fn invoke(arguments: &Invoke) -> Result<ExitCode, Failure> {
    match block_on(run(arguments)) {
        // Standard output has the answer already.
        Ok(Some(failure)) => Err(failure),
        outcome => end(outcome.map(drop), arguments.output),
    }
}

/// Calls, and shows the answer; what is handed back is an answer that counts as a failure.
async fn run(arguments: &Invoke) -> Result<Option<Failure>, Failure> {
    let begun = Instant::now();
    let deadline = begun + arguments.timeout;
    let cluster = Cluster::find(&arguments.cluster).await?;
    let seen = cluster.function(&arguments.name).await?;
    let mut found = cluster.pods_of(&seen.namespace, &seen.name).await?;
    pods::by_age(&mut found);
    let pod = found
        .iter()
        .rev()
        .find(|pod| pods::is_ready(pod))
        .ok_or_else(|| nobody(&seen))?;
    let (name, port) = (pods::name(pod), port(pod));
    let action = format!("reach port {port} of pod {name}");
    let api = cluster.pods(&seen.namespace);
    let mut forwarder = cluster.ask(action, api.portforward(name, &[port])).await?;
    let stream = forwarder.take_stream(port);
    let reason = forwarder.take_error(port);
    let Some((stream, reason)) = stream.zip(reason) else {
        return Err(broken(&seen, "the port was not forwarded"));
    };
    let request = request::build(arguments, &seen).await?;
    let late = || {
        Failure::new(
            Exit::Timeout,
            format!(
                "{} did not answer within {:?}",
                seen.name, arguments.timeout
            ),
            "give it more time with --timeout; `sampan logs` shows what it does",
        )
    };
    let answered = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the answer; what goes wrong there, the answer tells as well.
        tokio::spawn(connection);
        sender.send_request(request).await
    };
    let response = match timeout_at(deadline, answered).await {
        Err(_) => return Err(late()),
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            // The node's own words are worth more than a connection that has ended.
            let why = timeout(REASON, reason).await.ok().flatten();
            return Err(broken(&seen, &why.unwrap_or_else(|| chain(&error))));
        }
    };
    let status = response.status();
    let shown = async {
        match arguments.output {
            Output::Text => pass_on(response, arguments.include, &seen).await,
            Output::Json => {
                let answer = Answer::read(response, name, begun).await;
                let answer = answer.map_err(|error| error.failure(&seen.name))?;
                print(&pretty_json(&answer)?)
            }
        }
    };
    timeout_at(deadline, shown)
        .await
        .unwrap_or_else(|_| Err(late()))?;
    if status.as_u16() < 400 {
        return Ok(None);
    }
    if arguments.fail {
        return Ok(Some(Failure::new(
            Exit::FailedAnswer,
            format!("{} answers {status}", seen.name),
            format!("sampan logs {} shows what it printed", seen.name),
        )));
    }
    if !arguments.include && arguments.output == Output::Text {
        // The answer itself is on standard output; this is for a person who sees only a few words of it.
        let _ = writeln!(io::stderr(), "{} answers {status}", seen.name);
    }
    Ok(None)
}

/// Writes an answer as it comes.
async fn pass_on(response: Response<Incoming>, include: bool, seen: &Seen) -> Result<(), Failure> {
    let (head, mut body) = response.into_parts();
    if include {
        print(&answer::head(&head))?;
    }
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(seen, &chain(&error)))?;
        let data: Option<Bytes> = frame.into_data().ok();
        if let Some(data) = data
            && print_on(&data)? == ControlFlow::Break(())
        {
            return Ok(());
        }
    }
    Ok(())
}

/// Where the function's container listens.
fn port(pod: &Pod) -> u16 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let own = containers.filter(|container| container.name == CONTAINER);
    let mut ports = own.flat_map(|container| container.ports.iter().flatten());
    let http = ports.find(|port| port.name.as_deref() == Some("http"));
    http.and_then(|port| u16::try_from(port.container_port).ok())
        .unwrap_or(PORT)
}

fn nobody(seen: &Seen) -> Failure {
    let why = seen
        .complaint()
        .map_or_else(String::new, |(reason, message)| {
            format!(": {reason}: {message}")
        });
    Failure::new(
        Exit::NoAnswer,
        format!("no pod of {} is ready{why}", seen.name),
        format!(
            "`sampan list` shows how it stands; to scale it up: kubectl scale wfn {} --replicas 1",
            seen.name
        ),
    )
}

fn broken(seen: &Seen, why: &str) -> Failure {
    Failure::new(
        Exit::NoAnswer,
        format!("the connection to {} broke: {why}", seen.name),
        format!("sampan logs {} shows what it printed", seen.name),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::seen::tests::seen;

    #[test]
    fn the_port_is_the_one_named_http() {
        let check = |containers, expected| {
            let pod = json!({ "metadata": {}, "spec": { "containers": containers } });
            let pod: Pod = serde_json::from_value(pod).expect("a pod");
            assert_eq!(port(&pod), expected);
        };
        check(json!([{ "name": "function" }]), PORT);
        let ports = json!([{ "name": "admin", "containerPort": 1 }, { "name": "http", "containerPort": 9000 }]);
        check(json!([{ "name": "function", "ports": ports }]), 9000);
        check(
            json!([{ "name": "sidecar", "ports": ports }, { "name": "function" }]),
            PORT,
        );
    }

    #[test]
    fn a_function_without_pods_says_why() {
        let zero = seen(
            1,
            &[("Ready", "False", "ScaledToZero", "no pod is asked for", 1)],
        );
        let failure = nobody(&zero);
        assert_eq!(failure.exit, Exit::NoAnswer);
        assert!(
            failure.message.contains("ScaledToZero: no pod"),
            "{failure:?}"
        );
        assert!(
            failure.help.contains("kubectl scale wfn hello"),
            "{failure:?}"
        );
    }
}
