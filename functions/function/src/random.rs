//! Randomness for one request: bytes of WASI or the operating system seed a fast generator.
//!
//! It is not for secrets. A `seed` parameter makes a request repeatable, with the same numbers in
//! both builds.

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

use crate::{Error, Query};

/// The generator of one request.
pub type Generator = Xoshiro256PlusPlus;

/// Seeds a generator: from the parameter `seed` if there is one, or else with fresh randomness.
pub fn generator(query: Query<'_>) -> Result<Generator, Error> {
    match query.optional_whole("seed", 0..=u64::MAX)? {
        Some(seed) => Ok(Generator::seed_from_u64(seed)),
        None => Ok(Generator::from_seed(fresh()?)),
    }
}

#[cfg(target_family = "wasm")]
fn fresh() -> Result<[u8; 32], Error> {
    let bytes = wasip2::random::random::get_random_bytes(32);
    bytes.try_into().map_err(|bytes: Vec<u8>| {
        Error::Randomness(format!(
            "the host gave {} bytes in place of 32",
            bytes.len()
        ))
    })
}

#[cfg(not(target_family = "wasm"))]
fn fresh() -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::Randomness(error.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use rand::Rng as _;

    use super::*;

    #[test]
    fn only_a_seed_repeats_the_numbers() {
        fn check(left: &str, right: &str, same: bool) {
            let first = |query| generator(Query::new(query)).expect("seeded").next_u64();
            assert_eq!(first(left) == first(right), same, "{left} {right}");
        }
        check("seed=7", "n=1&seed=7", true);
        check("seed=7", "seed=8", false);
        check("", "", false);
    }

    #[test]
    fn a_seed_is_a_whole_number() {
        assert!(generator(Query::new("seed=x")).is_err());
        assert!(generator(Query::new("seed=-1")).is_err());
    }
}
