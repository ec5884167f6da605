//! The function `prime-numbers`: lists the primes up to and including `n`, by trial division of the
//! odd numbers.

use std::num::NonZeroU32;

use function::{Error, Request, Response};

/// The largest `n`: about 80,000 primes, half a megabyte of text.
const LARGEST: u32 = 1_000_000;

/// Answers a request.
pub(crate) fn handle(request: &Request<'_>) -> Result<Response, Error> {
    let n = request.query().whole("n", 0..=LARGEST)?;
    Ok(Response::text(listing(&primes(n))))
}

fn primes(n: u32) -> Vec<u32> {
    let mut primes = Vec::new();
    if n >= 2 {
        primes.push(2);
    }
    let root = n.isqrt();
    // The odd primes up to the root of `n`. Those up to the root of the candidate are tried.
    let mut divisors: Vec<NonZeroU32> = Vec::new();
    let mut tried = 0;
    for candidate in (3..=n).step_by(2) {
        while divisors
            .get(tried)
            .is_some_and(|next| next.get().pow(2) <= candidate)
        {
            tried += 1;
        }
        if divisors[..tried]
            .iter()
            .all(|divisor| candidate % *divisor != 0)
        {
            primes.push(candidate);
            if candidate <= root {
                divisors.extend(NonZeroU32::new(candidate));
            }
        }
    }
    primes
}

fn listing(primes: &[u32]) -> Vec<u8> {
    // A number takes at most six digits, a comma and a space.
    let mut body = Vec::with_capacity(24 + primes.len() * 8);
    body.extend_from_slice(b"The value is: [");
    let mut digits = itoa::Buffer::new();
    for (index, prime) in primes.iter().enumerate() {
        if index > 0 {
            body.extend_from_slice(b", ");
        }
        body.extend_from_slice(digits.format(*prime).as_bytes());
    }
    body.push(b']');
    body
}

#[cfg(test)]
mod tests {
    use function::testing::{Pure, Upstream, body, check_refused};

    use super::*;

    #[test]
    fn primes_are_listed_up_to_and_including_n() {
        fn check(n: u32, expected: &str) {
            let upstream = Upstream::answering(500, "");
            let body = body(&Pure(handle), &format!("/?n={n}"), &upstream);
            assert_eq!(body, format!("The value is: [{expected}]"), "{n}");
        }
        check(0, "");
        check(1, "");
        check(2, "2");
        check(3, "2, 3");
        check(4, "2, 3");
        check(25, "2, 3, 5, 7, 11, 13, 17, 19, 23");
        check(
            100,
            "2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97",
        );
    }

    #[test]
    fn there_are_as_many_as_there_should_be() {
        fn check(n: u32, expected: usize) {
            assert_eq!(primes(n).len(), expected, "{n}");
        }
        check(9, 4);
        check(1_000, 168);
        // Squares of primes, where the first divisor is the last one tried.
        check(961, 162);
        check(10_000, 1_229);
        check(LARGEST, 78_498);
    }

    #[test]
    fn n_is_required_and_bounded() {
        for target in ["/", "/?n=", "/?n=-1", "/?n=1000001", "/?n=ten", "/?n=1.5"] {
            check_refused(&Pure(handle), target, "n");
        }
    }
}
