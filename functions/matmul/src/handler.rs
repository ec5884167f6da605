//! The function `matmul`: the product of two random normal square matrices.

use function::{Error, Request, Response, generator, normal_numbers, push_number};

use crate::product::product;

/// The largest matrix: its product is twenty megabytes of text.
const LARGEST: usize = 1_000;

/// The usual maximum of bytes of a number and its separator. The body grows if that is not enough.
const NUMBER: usize = 21;

/// Answers a request.
pub(crate) fn handle(request: &Request<'_>) -> Result<Response, Error> {
    let query = request.query();
    let dimensions = query.whole("dimensions", 1..=LARGEST)?;
    let mut random = generator(query)?;
    let left = normal_numbers(dimensions * dimensions, &mut random);
    let right = normal_numbers(dimensions * dimensions, &mut random);
    Ok(Response::text(rows(
        dimensions,
        &product(dimensions, &left, &right),
    )))
}

fn rows(dimensions: usize, matrix: &[f64]) -> Vec<u8> {
    let mut body = Vec::with_capacity(matrix.len() * NUMBER);
    for row in matrix.chunks_exact(dimensions) {
        for (column, number) in row.iter().enumerate() {
            if column > 0 {
                body.push(b' ');
            }
            push_number(&mut body, *number);
        }
        body.push(b'\n');
    }
    body
}

#[cfg(test)]
mod tests {
    use function::Generator;
    use function::testing::{Pure, Upstream, body, check_refused};
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn a_row_of_numbers_a_line() {
        fn check(dimensions: usize) {
            let target = format!("/?dimensions={dimensions}&seed=3");
            let body = body(&Pure(handle), &target, &Upstream::answering(500, ""));
            let mut random = Generator::seed_from_u64(3);
            let left = normal_numbers(dimensions * dimensions, &mut random);
            let right = normal_numbers(dimensions * dimensions, &mut random);
            let expected = product(dimensions, &left, &right);
            let mut numbers = Vec::new();
            for line in body.lines() {
                let row = line
                    .split(' ')
                    .map(|number| number.parse::<f64>().expect("a number"));
                numbers.extend(row);
                assert_eq!(line.split(' ').count(), dimensions);
            }
            assert_eq!(numbers, expected);
        }
        check(1);
        check(2);
        check(50);
    }

    #[test]
    fn parameters_are_checked() {
        for target in ["/", "/?dimensions=0", "/?dimensions=1001", "/?dimensions=x"] {
            check_refused(&Pure(handle), target, "dimensions");
        }
        check_refused(&Pure(handle), "/?dimensions=2&seed=x", "seed");
    }
}
