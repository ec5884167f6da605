//! The usual course of a container: it is started, ends by itself or is stopped, and is deleted.

use super::bundle::{Bundle, drain};
use super::{Node, Shim};

impl Node {
    /// Starts the shim of a bundle, and its container.
    pub(crate) async fn run(&self, bundle: &Bundle) -> Shim {
        let shim = self.start(bundle).await;
        shim.run(bundle).await;
        shim
    }

    /// Runs a container to its end, which must be a success. Returns what it writes to standard output.
    pub(crate) async fn output_of(&self, bundle: Bundle) -> String {
        let bundle = bundle.with_pipes().finish();
        let (stdout, stderr) = (bundle.reader("stdout"), bundle.reader("stderr"));
        let shim = self.run(&bundle).await;
        let code = shim.ended(bundle.id()).await;
        let (text, errors) = (drain(stdout), drain(stderr));
        assert_eq!(code, 0, "{text}{errors}");
        shim.shut_down().await;
        text
    }
}

impl Shim {
    /// Makes and starts a container. Returns the number of its first process.
    pub(crate) async fn run(&self, bundle: &Bundle) -> u32 {
        self.create(bundle).await.expect("created");
        self.start_task(bundle.id()).await.expect("started")
    }

    /// Waits for the end of a container, and deletes it. Returns its exit code.
    pub(crate) async fn ended(&self, id: &str) -> u32 {
        let exit = self.wait(id).await.expect("ended");
        self.delete(id).await.expect("deleted");
        exit.exit_status
    }

    /// Sends a container a signal that ends it, and deletes it. Returns its exit code.
    pub(crate) async fn stop(&self, id: &str, signal: u32) -> u32 {
        self.kill(id, signal).await.expect("sent");
        self.ended(id).await
    }
}
