//! The function `linear-equations`: solves a random normal system.

use function::{Error, Generator, Request, Response, generator, normal_numbers, push_number};

use crate::system::System;

/// The largest system: eight megabytes, and a fraction of a second.
const LARGEST: usize = 1_000;

/// The usual maximum of bytes of a number and its line end. The body grows if that is not enough.
const NUMBER: usize = 22;

/// Answers a request.
pub(crate) fn handle(request: &Request<'_>) -> Result<Response, Error> {
    let query = request.query();
    let unknowns = query.whole("unknowns", 1..=LARGEST)?;
    let mut random = generator(query)?;
    let solution = loop {
        // A random matrix is almost never singular. If one is, the next is not.
        if let Some(solution) = normal_system(unknowns, &mut random).solve() {
            break solution;
        }
    };
    let mut body = Vec::with_capacity(unknowns * NUMBER);
    for number in &solution {
        push_number(&mut body, *number);
        body.push(b'\n');
    }
    Ok(Response::text(body))
}

fn normal_system(unknowns: usize, random: &mut Generator) -> System {
    System::new(unknowns, &normal_numbers(unknowns * (unknowns + 1), random))
}

#[cfg(test)]
mod tests {
    use function::testing::{Pure, Upstream, body, check_refused};

    use super::*;

    #[test]
    fn a_number_a_line() {
        fn check(unknowns: usize) {
            let target = format!("/?unknowns={unknowns}");
            let body = body(&Pure(handle), &target, &Upstream::answering(500, ""));
            assert!(
                body.lines()
                    .all(|line| line.parse::<f64>().is_ok_and(f64::is_finite)),
                "{body}"
            );
            assert_eq!(body.lines().count(), unknowns);
        }
        check(1);
        check(2);
        check(128);
    }

    #[test]
    fn only_a_seed_repeats_the_answer() {
        fn check(target: &str, same: bool) {
            let [one, two] =
                [0, 1].map(|_| body(&Pure(handle), target, &Upstream::answering(500, "")));
            assert_eq!(one == two, same, "{target}");
        }
        check("/?unknowns=9&seed=1", true);
        check("/?unknowns=9", false);
    }

    #[test]
    fn parameters_are_checked() {
        for target in ["/", "/?unknowns=0", "/?unknowns=1001", "/?unknowns=x"] {
            check_refused(&Pure(handle), target, "unknowns");
        }
        check_refused(&Pure(handle), "/?unknowns=2&seed=x", "seed");
    }
}
