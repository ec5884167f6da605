//! The function `n-body`: the energy of the Jovian planets before and after `n` steps.

use function::{Error, Request, Response};

use crate::system::System;

/// The length of a step, in days.
const STEP: f64 = 0.01;

/// The default count of steps.
const STEPS: u32 = 1_000;

/// The largest `n`: about a second.
const MAX_STEPS: u32 = 10_000_000;

/// Answers a request.
pub(crate) fn handle(request: &Request<'_>) -> Result<Response, Error> {
    let steps = request
        .query()
        .optional_whole("n", 0..=MAX_STEPS)?
        .unwrap_or(STEPS);
    let mut system = System::jovian();
    let before = system.energy();
    for _ in 0..steps {
        system.advance(STEP);
    }
    Ok(Response::text(format!(
        "{before:.9}\n{:.9}\n",
        system.energy()
    )))
}

#[cfg(test)]
mod tests {
    use function::testing::{Pure, Upstream, body, check_refused};

    use super::*;

    #[test]
    fn energies_are_those_of_the_benchmark() {
        fn check(target: &str, after: &str) {
            let body = body(&Pure(handle), target, &Upstream::answering(500, ""));
            assert_eq!(body, format!("-0.169075164\n{after}\n"), "{target}");
        }
        check("/", "-0.169087605");
        check("/any/path?n=1000", "-0.169087605");
        check("/?n=0", "-0.169075164");
        check("/?n=50000", "-0.169078071");
        check("/?n=500000", "-0.169096567");
    }

    #[test]
    fn n_is_bounded() {
        for target in ["/?n=", "/?n=-1", "/?n=10000001", "/?n=many"] {
            check_refused(&Pure(handle), target, "n");
        }
    }
}
