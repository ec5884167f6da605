//! A container under the shim.

use containerd_shim::protos::ttrpc;

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
    let process = bundle::added(bundle);
    let streams = [out.as_str(), errors.as_str()];
    let added = shim.add(bundle.id(), ADDED, streams, &process).await;
    added.expect("added");
    if let Err(error) = shim.start_added(bundle.id(), ADDED).await {
        return Outcome::Refused(message(error));
    }
    let ended = shim.wait_added(bundle.id(), ADDED).await.expect("ended");
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
