//! Classifies errors of a watch as transient or permanent, by status codes.

use kube::Error;
use kube::runtime::watcher;

/// The class of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatchFailure {
    /// The connection failed, or the server is busy.
    Transient,
    /// It is forbidden, or does not exist.
    Permanent,
}

/// Classifies the error of a watch.
pub(crate) fn classify(error: &watcher::Error) -> WatchFailure {
    let code = match error {
        watcher::Error::InitialListFailed(Error::Api(status))
        | watcher::Error::WatchStartFailed(Error::Api(status))
        | watcher::Error::WatchFailed(Error::Api(status))
        | watcher::Error::WatchError(status) => status.code,
        _ => return WatchFailure::Transient,
    };
    match code {
        // 410: the resource version is too old, and the watch restarts.
        410 | 429 | 500.. => WatchFailure::Transient,
        _ => WatchFailure::Permanent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_transient_failures_are_retried() {
        let check = |code, expected| {
            let status = kube::core::Status::failure("", "").with_code(code);
            assert_eq!(
                classify(&watcher::Error::WatchError(Box::new(status))),
                expected,
                "{code}"
            );
        };
        check(403, WatchFailure::Permanent);
        check(404, WatchFailure::Permanent);
        check(410, WatchFailure::Transient);
        check(429, WatchFailure::Transient);
        check(503, WatchFailure::Transient);
        assert_eq!(
            classify(&watcher::Error::NoResourceVersion),
            WatchFailure::Transient
        );
    }
}
