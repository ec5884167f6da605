//! Multiplies two square matrices, row after row.
//!
//! Both are first rearranged into strips of four rows and of four columns. The innermost loop then
//! reads memory in order and keeps its sixteen sums in registers. They are vectors of two, which
//! generic x86-64 and WebAssembly both have.

/// The count of rows and columns of the product that are computed at once.
const TILE: usize = 4;

type Strip = Vec<[f64; TILE]>;

/// `left` times `right`.
pub(crate) fn product(dimensions: usize, left: &[f64], right: &[f64]) -> Vec<f64> {
    let rows = row_strips(dimensions, left);
    let columns = column_strips(dimensions, right);
    let mut product = vec![0.0; dimensions * dimensions];
    for (column, column_strip) in columns.chunks_exact(dimensions).enumerate() {
        for (row, row_strip) in rows.chunks_exact(dimensions).enumerate() {
            let sums = tile(row_strip, column_strip);
            let lines = product[row * TILE * dimensions..].chunks_exact_mut(dimensions);
            for (line, sums) in lines.zip(&sums) {
                for (place, sum) in line[column * TILE..].iter_mut().zip(sums) {
                    *place = *sum;
                }
            }
        }
    }
    product
}

/// The products of four rows with four columns.
fn tile(rows: &[[f64; TILE]], columns: &[[f64; TILE]]) -> [[f64; TILE]; TILE] {
    let mut sums = [[0.0; TILE]; TILE];
    for (left, right) in rows.iter().zip(columns) {
        for (sums, left) in sums.iter_mut().zip(left) {
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum += left * right;
            }
        }
    }
    sums
}

/// Four rows after another; within them, column after column. Zeros follow the last row.
fn row_strips(dimensions: usize, matrix: &[f64]) -> Strip {
    let mut strips = vec![[0.0; TILE]; dimensions.div_ceil(TILE) * dimensions];
    for (index, row) in matrix.chunks_exact(dimensions).enumerate() {
        let strip = &mut strips[index / TILE * dimensions..][..dimensions];
        for (place, number) in strip.iter_mut().zip(row) {
            place[index % TILE] = *number;
        }
    }
    strips
}

/// Four columns after another; within them, row after row. Zeros follow the last column.
fn column_strips(dimensions: usize, matrix: &[f64]) -> Strip {
    let mut strips = vec![[0.0; TILE]; dimensions.div_ceil(TILE) * dimensions];
    for (index, row) in matrix.chunks_exact(dimensions).enumerate() {
        for (strip, numbers) in row.chunks(TILE).enumerate() {
            strips[strip * dimensions + index][..numbers.len()].copy_from_slice(numbers);
        }
    }
    strips
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_the_definition() {
        fn check(dimensions: usize) {
            // Whole numbers, so that the order of the additions makes no difference.
            let number = |index: usize, by: usize| {
                f64::from(u8::try_from(index * by % 17).expect("small")) - 8.0
            };
            let left: Vec<f64> = (0..dimensions * dimensions)
                .map(|index| number(index, 7))
                .collect();
            let right: Vec<f64> = (0..dimensions * dimensions)
                .map(|index| number(index, 5))
                .collect();
            let mut expected = Vec::new();
            for row in 0..dimensions {
                for column in 0..dimensions {
                    expected.push(
                        (0..dimensions)
                            .map(|k| left[row * dimensions + k] * right[k * dimensions + column])
                            .sum::<f64>(),
                    );
                }
            }
            assert_eq!(product(dimensions, &left, &right), expected, "{dimensions}");
        }
        for dimensions in (1..=13).chain([50, 63]) {
            check(dimensions);
        }
    }
}
