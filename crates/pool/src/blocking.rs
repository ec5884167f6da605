//! Futures that compute for long between their waits, on threads for blocking work: they would hold
//! up requests on the threads of the runtime.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

/// Runs a future on a thread for blocking work. Dropping this drops it, at its next wait.
///
/// # Panics
///
/// When the future panics, and outside a tokio runtime.
pub(crate) async fn run_blocking<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> T {
    let (_caller, dropped) = oneshot::channel::<()>();
    let runtime = Handle::current();
    let run = async move {
        tokio::select! {
            biased;
            _ = dropped => None,
            done = future => Some(done),
        }
    };
    match spawn_blocking(move || runtime.block_on(run)).await {
        Ok(Some(done)) => done,
        // Only a caller that is gone would see this.
        Ok(None) => std::future::pending().await,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and this with it.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_future_runs_on_another_thread_and_waits_as_usual() {
        let here = std::thread::current().id();
        let (sender, receiver) = oneshot::channel();
        let run = run_blocking(async move {
            let number: u32 = receiver.await.expect("it is sent");
            (number, std::thread::current().id())
        });
        let (sent, (number, there)) = tokio::join!(async { sender.send(7) }, run);
        assert_eq!((sent, number), (Ok(()), 7));
        assert_ne!(here, there);
    }

    #[tokio::test]
    async fn a_future_ends_with_its_caller() {
        let (held, mut ended) = oneshot::channel::<()>();
        let (begun, begins) = oneshot::channel();
        let run = run_blocking(async move {
            let _held = held;
            begun.send(()).expect("it is awaited");
            std::future::pending::<()>().await;
        });
        let mut run = Box::pin(run);
        tokio::select! {
            () = &mut run => panic!("it does not end"),
            begins = begins => begins.expect("it begins"),
        }
        assert!((&mut ended).now_or_never().is_none());
        drop(run);
        let ended = timeout(Duration::from_mins(1), ended).await;
        assert!(ended.expect("it ends").is_err());
    }

    #[tokio::test]
    async fn a_panic_reaches_the_caller() {
        let run = run_blocking(async { panic!("a fault of the test") });
        let caught = std::panic::AssertUnwindSafe(run).catch_unwind().await;
        assert!(caught.is_err_and(|panic| panic.is::<&str>()));
    }
}
