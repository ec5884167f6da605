//! Whether a watch that broke is worth another attempt.
//!
//! Refuses to go by the text of an error.

use kube::Error;
use kube::runtime::watcher;

/// Whether it makes sense to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The connection, or a server that is busy.
    ForNow,
    /// It is not allowed, or not there.
    ForGood,
}

/// Judges why changes of a resource could not be followed.
pub(crate) fn broken(error: &watcher::Error) -> Broken {
    let code = match error {
        watcher::Error::InitialListFailed(Error::Api(status))
        | watcher::Error::WatchStartFailed(Error::Api(status))
        | watcher::Error::WatchFailed(Error::Api(status))
        | watcher::Error::WatchError(status) => status.code,
        _ => return Broken::ForNow,
    };
    match code {
        // 410: what was to be gone on from is too old, and it begins anew.
        410 | 429 | 500.. => Broken::ForNow,
        _ => Broken::ForGood,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let check = |code, expected| {
            let status = kube::core::Status::failure("", "").with_code(code);
            assert_eq!(
                broken(&watcher::Error::WatchError(Box::new(status))),
                expected,
                "{code}"
            );
        };
        check(403, Broken::ForGood);
        check(404, Broken::ForGood);
        check(410, Broken::ForNow);
        check(429, Broken::ForNow);
        check(503, Broken::ForNow);
        assert_eq!(broken(&watcher::Error::NoResourceVersion), Broken::ForNow);
    }
}
