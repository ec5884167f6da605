//! The function `hello`, which does nothing. It is not one of the nine, and only measures the cost
//! of a call.

use function::{Error, Request, Response};

/// Answers a request.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the shape of every function's handler"
)]
pub(crate) fn handle(_request: &Request<'_>) -> Result<Response, Error> {
    Ok(Response::text("Hello!\n"))
}

#[cfg(test)]
mod tests {
    use function::testing::{Pure, Upstream, body};

    use super::*;

    #[test]
    fn the_answer_is_always_the_same() {
        let upstream = Upstream::answering(500, "");
        for target in ["/", "/any/path?n=1"] {
            assert_eq!(body(&Pure(handle), target, &upstream), "Hello!\n");
        }
    }
}
