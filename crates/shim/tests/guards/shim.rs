//! A container under the shim.

use containerd_shim::api::{ExecProcessRequest, StartRequest, WaitRequest};
use containerd_shim::protos::protobuf::well_known_types::any::Any;
use containerd_shim::protos::ttrpc;
use containerd_shim::protos::ttrpc::context::Context;

use crate::bundle;
use crate::facts::{Facts, Outcome, drain};
use crate::support::bundle::Bundle;
use crate::support::{Node, Shim};

/// The name of a process that is added.
const ADDED: &str = "added";

/// Runs the probe: as the container's first process, or added to one that waits.
pub(crate) async fn run(node: &Node, bundle: &Bundle, added: bool) -> Outcome {
    let shim = node.start(bundle).await;
    let outcome = match shim.create(bundle).await {
        Err(error) => Outcome::Refused(message(error)),
        Ok(_) => start(&shim, bundle, added).await,
    };
    shim.shut_down().await;
    outcome
}

async fn start(shim: &Shim, bundle: &Bundle, added: bool) -> Outcome {
    let (stdout, stderr) = (bundle.reader("stdout"), bundle.reader("stderr"));
    let outcome = match shim.start_task(bundle.id()).await {
        Err(error) => Outcome::Refused(message(error)),
        Ok(_) if added => add(shim, bundle).await,
        Ok(_) => {
            shim.wait(bundle.id()).await.expect("ended");
            Outcome::Ran(Facts::parse(
                &drain(stdout).await,
                &drain(stderr).await,
                bundle.id(),
            ))
        }
    };
    if added {
        shim.kill(bundle.id(), 9).await.expect("killed");
        shim.wait(bundle.id()).await.expect("ended");
    }
    shim.delete(bundle.id()).await.expect("deleted");
    outcome
}

async fn add(shim: &Shim, bundle: &Bundle) -> Outcome {
    let (out, errors) = pipes(bundle);
    let (stdout, stderr) = (bundle.reader("added-stdout"), bundle.reader("added-stderr"));
    let process = Any {
        type_url: "types.containerd.io/opencontainers/runtime-spec/1/Process".to_owned(),
        value: serde_json::to_vec(&bundle::added(bundle)).expect("JSON"),
        ..Any::default()
    };
    let request = ExecProcessRequest {
        id: bundle.id().to_owned(),
        exec_id: ADDED.to_owned(),
        stdout: out,
        stderr: errors,
        spec: Some(process).into(),
        ..ExecProcessRequest::default()
    };
    let client = shim.client();
    client
        .exec(Context::default(), &request)
        .await
        .expect("added");
    let start = StartRequest {
        id: bundle.id().to_owned(),
        exec_id: ADDED.to_owned(),
        ..StartRequest::default()
    };
    if let Err(error) = client.start(Context::default(), &start).await {
        return Outcome::Refused(message(error));
    }
    let wait = WaitRequest {
        id: bundle.id().to_owned(),
        exec_id: ADDED.to_owned(),
        ..WaitRequest::default()
    };
    let ended = client.wait(Context::default(), &wait).await.expect("ended");
    let (text, errors) = (drain(stdout).await, drain(stderr).await);
    assert_eq!(ended.exit_status, 0, "{errors}");
    Outcome::Ran(Facts::parse(&text, &errors, bundle.id()))
}

/// Named pipes for an added process.
pub(crate) fn pipes(bundle: &Bundle) -> (String, String) {
    let pipe = |name: &str| {
        let path = bundle.path().join(name);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        path.display().to_string()
    };
    (pipe("added-stdout"), pipe("added-stderr"))
}

fn message(error: ttrpc::Error) -> String {
    crate::support::message::<()>(Err(error))
}
