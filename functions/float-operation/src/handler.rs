//! The function `float-operation`: sine, cosine and square root of `n`.

use function::{Error, Request, Response};

/// Answers a request.
pub(crate) fn handle(request: &Request<'_>) -> Result<Response, Error> {
    let n = request.query().finite("n")?;
    // Not the platform's functions, because components and native programs must print the same
    // digits.
    let (sin, cos, sqrt) = (libm::sin(n), libm::cos(n), libm::sqrt(n));
    let body = format!("Number: {n:.6}\nSin: {sin:.6}\nCos: {cos:.6}\nSqrt: {sqrt:.6}\n");
    Ok(Response::text(body))
}

#[cfg(test)]
mod tests {
    use function::testing::{Pure, Upstream, body, check_refused};

    use super::*;

    #[test]
    fn four_lines_with_six_decimals() {
        fn check(n: &str, expected: [&str; 4]) {
            let upstream = Upstream::answering(500, "");
            let body = body(&Pure(handle), &format!("/?n={n}"), &upstream);
            let [number, sin, cos, sqrt] = expected;
            assert_eq!(
                body,
                format!("Number: {number}\nSin: {sin}\nCos: {cos}\nSqrt: {sqrt}\n")
            );
        }
        check(
            "10000000",
            ["10000000.000000", "0.420548", "-0.907270", "3162.277660"],
        );
        check("0", ["0.000000", "0.000000", "1.000000", "0.000000"]);
        check("1e3", ["1000.000000", "0.826880", "0.562379", "31.622777"]);
        check("-4", ["-4.000000", "0.756802", "-0.653644", "NaN"]);
        check("0.5", ["0.500000", "0.479426", "0.877583", "0.707107"]);
    }

    #[test]
    fn n_is_required_and_finite() {
        for target in ["/", "/?n=", "/?n=inf", "/?n=nan", "/?n=1e999", "/?n=x"] {
            check_refused(&Pure(handle), target, "n");
        }
    }
}
