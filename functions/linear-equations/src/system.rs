//! Solves a system of linear equations by LU decomposition with partial pivoting.
//!
//! Columns are eliminated four at a time. The rest of the matrix, where nearly all the work is, is
//! thus read and written a quarter as often.
//!
//! Most steps are not inlined into others. A compiler of components allocates registers for a whole
//! function at once, and has enough of them only for one step.
//!
//! The matrix is padded to whole tiles with equations of the form x = 0, which affect no other.

/// The count of columns that are eliminated at once, and of columns that are updated at once.
const TILE: usize = 4;

type Tile = [f64; TILE];

/// Equations in as many unknowns: rows of a square matrix, each followed by a tile that begins with
/// its right-hand side.
pub(crate) struct System {
    unknowns: usize,
    size: usize,
    numbers: Vec<f64>,
}

impl System {
    /// A system from its rows, each followed by its right-hand side.
    pub(crate) fn new(unknowns: usize, rows: &[f64]) -> System {
        let size = unknowns.next_multiple_of(TILE);
        let width = size + TILE;
        let mut numbers = vec![0.0; size * width];
        for (padded, row) in numbers
            .chunks_exact_mut(width)
            .zip(rows.chunks_exact(unknowns + 1))
        {
            padded[..unknowns].copy_from_slice(&row[..unknowns]);
            padded[size] = row[unknowns];
        }
        for index in unknowns..size {
            numbers[index * width + index] = 1.0;
        }
        System {
            unknowns,
            size,
            numbers,
        }
    }

    /// The solution, or `None` if there is not exactly one.
    pub(crate) fn solve(mut self) -> Option<Vec<f64>> {
        let mut columns = vec![[[0.0; TILE]; TILE]; self.width() / TILE];
        for first in (0..self.size).step_by(TILE) {
            for column in first..first + TILE {
                self.pivot(column)?;
                self.factor(column, first + TILE);
            }
            self.reduce_pivots(first);
            self.eliminate(first, &mut columns);
        }
        Some(self.substitute())
    }

    fn width(&self) -> usize {
        self.size + TILE
    }

    /// Moves the largest number of `column`, from the diagonal down, to the diagonal.
    #[inline(never)]
    fn pivot(&mut self, column: usize) -> Option<()> {
        let width = self.width();
        let mut largest = (0.0, column);
        for (index, row) in self.numbers.chunks_exact(width).enumerate().skip(column) {
            let number = row[column].abs();
            if number > largest.0 {
                largest = (number, index);
            }
        }
        let (number, row) = largest;
        if number == 0.0 {
            return None;
        }
        if row > column {
            let (above, below) = self.numbers.split_at_mut(row * width);
            above[column * width..][..width].swap_with_slice(&mut below[..width]);
        }
        Some(())
    }

    /// Replaces `column` below the diagonal by its factors, and eliminates it from the columns up
    /// to `end`.
    #[inline(never)]
    fn factor(&mut self, column: usize, end: usize) {
        let width = self.width();
        let (above, below) = self.numbers.split_at_mut((column + 1) * width);
        let pivot = &above[column * width..][column..end];
        let reciprocal = 1.0 / pivot[0];
        for row in below.chunks_exact_mut(width) {
            let row = &mut row[column..end];
            row[0] *= reciprocal;
            let factor = row[0];
            for (number, pivot) in row.iter_mut().zip(pivot).skip(1) {
                *number -= factor * pivot;
            }
        }
    }

    /// Eliminates the columns of a tile from its own rows, right of the tile.
    #[inline(never)]
    fn reduce_pivots(&mut self, first: usize) {
        let width = self.width();
        let pivots = &mut self.numbers[first * width..][..TILE * width];
        for index in 1..TILE {
            let (done, row) = pivots.split_at_mut(index * width);
            for (k, done) in done.chunks_exact(width).enumerate() {
                let factor = row[first + k];
                let numbers = row[first + TILE..width].iter_mut();
                for (number, pivot) in numbers.zip(&done[first + TILE..]) {
                    *number -= factor * pivot;
                }
            }
        }
    }

    /// Eliminates the columns of a tile from all rows below it, two at a time. `columns` is space
    /// for its rows, tile after tile, so that they are read in order.
    fn eliminate(&mut self, first: usize, columns: &mut [[Tile; TILE]]) {
        let width = self.width();
        let (above, below) = self.numbers.split_at_mut((first + TILE) * width);
        let columns = &mut columns[..(width - first) / TILE - 1];
        for (k, pivot) in above[first * width..].chunks_exact(width).enumerate() {
            let (pivot, _) = pivot[first + TILE..].as_chunks();
            for (column, pivot) in columns.iter_mut().zip(pivot) {
                column[k] = *pivot;
            }
        }
        for rows in below.chunks_exact_mut(2 * width) {
            subtract(columns, rows, first);
        }
    }

    /// Solves the remaining triangle, from its last row up.
    #[inline(never)]
    fn substitute(&self) -> Vec<f64> {
        let mut solution = vec![0.0; self.unknowns];
        let rows = self.numbers.chunks_exact(self.width()).take(self.unknowns);
        for (index, row) in rows.enumerate().rev() {
            let known = &row[index + 1..self.unknowns];
            let sum: f64 = known
                .iter()
                .zip(&solution[index + 1..])
                .map(|(a, x)| a * x)
                .sum();
            solution[index] = (row[self.size] - sum) / row[index];
        }
        solution
    }
}

/// Eliminates the columns of a tile, which begin at `first`, from two rows.
///
/// Most of the time is spent here. It works on copies of tiles, so that every compiler can prove
/// that they do not overlap and can use vectors.
#[inline(never)]
fn subtract(columns: &[[Tile; TILE]], rows: &mut [f64], first: usize) {
    let (one, two) = rows.split_at_mut(rows.len() / 2);
    let ([one_factors, one @ ..], [two_factors, two @ ..]) =
        (tiles(&mut one[first..]), tiles(&mut two[first..]))
    else {
        return;
    };
    let (one_factors, two_factors) = (*one_factors, *two_factors);
    for ((column, one), two) in columns.iter().zip(one).zip(two) {
        let (mut one_now, mut two_now) = (*one, *two);
        for (k, pivot) in column.iter().enumerate() {
            for (index, pivot) in pivot.iter().enumerate() {
                one_now[index] -= one_factors[k] * pivot;
                two_now[index] -= two_factors[k] * pivot;
            }
        }
        (*one, *two) = (one_now, two_now);
    }
}

fn tiles(row: &mut [f64]) -> &mut [Tile] {
    row.as_chunks_mut().0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solutions_solve_the_system() {
        fn check(unknowns: usize) {
            // A permutation of a dominant diagonal, so that pivoting is needed and the system is
            // well conditioned.
            let number = |row: usize, column: usize| {
                let noise = f64::from(u8::try_from((row * 31 + column * 17) % 101).expect("small"));
                let dominant = (row + 1) % unknowns == column;
                noise / 101.0 - 0.5 + if dominant { 60.0 } else { 0.0 }
            };
            let row = |row| (0..=unknowns).map(move |column| number(row, column));
            let rows: Vec<f64> = (0..unknowns).flat_map(row).collect();
            let solution = System::new(unknowns, &rows).solve().expect("not singular");
            for (index, row) in rows.chunks_exact(unknowns + 1).enumerate() {
                let left: f64 = row.iter().zip(&solution).map(|(a, x)| a * x).sum();
                let residual = (left - row[unknowns]).abs();
                assert!(
                    residual < 1e-10,
                    "{unknowns} unknowns, row {index}: {residual}"
                );
            }
        }
        for unknowns in (1..=13).chain([128, 131]) {
            check(unknowns);
        }
    }

    #[test]
    fn systems_without_one_solution_are_detected() {
        fn check(unknowns: usize, rows: &[f64], expected: Option<&[f64]>) {
            let solution = System::new(unknowns, rows).solve();
            assert_eq!(solution.as_deref(), expected);
        }
        check(1, &[2.0, 6.0], Some(&[3.0]));
        check(1, &[0.0, 6.0], None);
        check(2, &[0.0, 1.0, 5.0, 1.0, 0.0, 7.0], Some(&[7.0, 5.0]));
        check(2, &[1.0, 2.0, 3.0, 2.0, 4.0, 6.0], None);
    }
}
