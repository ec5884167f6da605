//! Generates normally distributed numbers, for the random matrices.

use rand_distr::{Distribution as _, StandardNormal};

use crate::Generator;

/// Numbers of mean 0 and variance 1.
pub fn normal_numbers(count: usize, random: &mut Generator) -> Vec<f64> {
    let mut numbers = vec![0.0; count];
    for number in &mut numbers {
        *number = StandardNormal.sample(random);
    }
    numbers
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn mean_and_variance_are_those_of_the_normal_distribution() {
        let numbers = normal_numbers(40_000, &mut Generator::seed_from_u64(5));
        let count = 40_000.0;
        let mean = numbers.iter().sum::<f64>() / count;
        let variance = numbers.iter().map(|number| number * number).sum::<f64>() / count;
        assert!(
            mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03,
            "{mean} {variance}"
        );
    }
}
