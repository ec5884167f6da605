//! `sampan invoke`: sends one request to a pod of a function, through a port that the API server
//! forwards.
//!
//! The Service's proxy would change responses and require rights on Services; a forwarded port
//! carries bytes unchanged. Redirects are not followed, requests are not retried, and a response in
//! text format is streamed.

mod request;
mod response;

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
use tokio::time::{Instant, timeout, timeout_at};

use super::function::ClusterFunction;
use super::serving_pods::ServingPods;
use super::{Cluster, block_on, end, pods};
use crate::arguments::{Invoke, Output};
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::output::{pretty_json, print, print_part};
use response::JsonResponse;

/// Time limit for the API server's error after a failed port forward.
const FORWARD_ERROR_TIMEOUT: Duration = Duration::from_secs(1);

/// The most fields in the head of a response.
const MAX_FIELDS: usize = 2_000;

/// Calls a function.
pub(crate) fn invoke(arguments: &Invoke) -> Result<ExitCode, Failure> {
    match block_on(run(arguments)) {
        // Standard output already has the response.
        Ok(Some(failure)) => Err(failure),
        outcome => end(outcome.map(drop), arguments.output),
    }
}

/// Sends the request and prints the response. Returns a failure for a response that counts as one.
async fn run(arguments: &Invoke) -> Result<Option<Failure>, Failure> {
    let begun = Instant::now();
    let deadline = begun + arguments.timeout;
    let cluster = Cluster::find(&arguments.cluster).await?;
    let function = cluster.function(&arguments.name).await?;
    let serving = ServingPods::of(&function);
    let mut found = serving.list(&cluster).await?;
    pods::by_age(&mut found);
    let pod = found
        .iter()
        .rev()
        .find(|pod| pods::is_ready(pod))
        .ok_or_else(|| no_ready_pod(&function))?;
    let (name, port) = (pods::name(pod), serving.port(pod));
    let action = format!("reach port {port} of pod {name}");
    let api = cluster.pods(&function.namespace);
    let mut forwarder = cluster
        .request(action, api.portforward(name, &[port]))
        .await?;
    let stream = forwarder.take_stream(port);
    let reason = forwarder.take_error(port);
    let Some((stream, reason)) = stream.zip(reason) else {
        return Err(connection_broke(&function, "the port was not forwarded"));
    };
    let request = request::build(arguments, &function).await?;
    let late = || {
        Failure::new(
            Exit::Timeout,
            format!(
                "{} did not answer within {:?}",
                function.name, arguments.timeout
            ),
            "give it more time with --timeout; `sampan logs` shows what it does",
        )
    };
    let answered = async {
        let (mut sender, connection) = http1::Builder::new()
            .max_headers(MAX_FIELDS)
            .handshake(TokioIo::new(stream))
            .await?;
        // The connection ends with the response, which reports its errors as well.
        tokio::spawn(connection);
        sender.send_request(request).await
    };
    let response = match timeout_at(deadline, answered).await {
        Err(_) => return Err(late()),
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            // The node's error says more than a closed connection.
            let why = timeout(FORWARD_ERROR_TIMEOUT, reason).await.ok().flatten();
            return Err(connection_broke(
                &function,
                &why.unwrap_or_else(|| chain(&error)),
            ));
        }
    };
    let status = response.status();
    let shown = async {
        match arguments.output {
            Output::Text => write_response(response, arguments.include, &function).await,
            Output::Json => {
                let answer = JsonResponse::read(response, name, begun).await;
                let answer = answer.map_err(|error| error.failure(&function.name))?;
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
            format!("{} answers {status}", function.name),
            format!("sampan logs {} shows what it printed", function.name),
        )));
    }
    if !arguments.include && arguments.output == Output::Text {
        // Standard output has only the response itself; this shows its status to the user.
        let _ = writeln!(io::stderr(), "{} answers {status}", function.name);
    }
    Ok(None)
}

/// Writes a response as it arrives.
async fn write_response(
    response: Response<Incoming>,
    include: bool,
    function: &ClusterFunction,
) -> Result<(), Failure> {
    let (head, mut body) = response.into_parts();
    if include {
        print(&response::head(&head))?;
    }
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| connection_broke(function, &chain(&error)))?;
        let data: Option<Bytes> = frame.into_data().ok();
        if let Some(data) = data
            && print_part(&data)? == ControlFlow::Break(())
        {
            return Ok(());
        }
    }
    Ok(())
}

fn no_ready_pod(function: &ClusterFunction) -> Failure {
    let why = function
        .complaint()
        .map_or_else(String::new, |(reason, message)| {
            format!(": {reason}: {message}")
        });
    let (name, namespace) = (&function.name, &function.namespace);
    if function.is_pooled() {
        return Failure::new(
            Exit::NoAnswer,
            format!("no pod of the pool in namespace {namespace} is ready{why}"),
            format!("kubectl -n {namespace} describe pods -l sampan.dev/pool shows why"),
        );
    }
    Failure::new(
        Exit::NoAnswer,
        format!("no pod of {name} is ready{why}"),
        format!(
            "`sampan list` shows its state; to scale it up: kubectl scale wfn {name} --replicas 1"
        ),
    )
}

fn connection_broke(function: &ClusterFunction, why: &str) -> Failure {
    Failure::new(
        Exit::NoAnswer,
        format!("the connection to {} broke: {why}", function.name),
        format!("sampan logs {} shows what it printed", function.name),
    )
}

#[cfg(test)]
mod tests {
    use sampan_crd::Placement;

    use super::*;
    use crate::cluster::function::tests::function;

    #[test]
    fn a_function_without_pods_has_a_cause() {
        let zero = function(
            1,
            &[("Ready", "False", "ScaledToZero", "no pod is requested", 1)],
        );
        let failure = no_ready_pod(&zero);
        assert_eq!(failure.exit, Exit::NoAnswer);
        assert!(
            failure.message.contains("ScaledToZero: no pod"),
            "{failure:?}"
        );
        assert!(
            failure.help.contains("kubectl scale wfn hello"),
            "{failure:?}"
        );
        let mut pooled = zero;
        pooled.status.placement = Some(Placement::Pooled);
        let failure = no_ready_pod(&pooled);
        assert!(failure.message.contains("the pool in namespace shop"));
    }
}
