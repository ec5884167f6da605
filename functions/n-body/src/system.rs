//! The five bodies of the Computer Language Benchmarks Game, and the symplectic integrator that
//! moves them.
//!
//! Each axis of the coordinates has an array of its own, and distances are computed for all pairs
//! at once. The compiler can thus use vectors.

use std::f64::consts::PI;

const BODIES: usize = 5;
const PAIRS: usize = BODIES * (BODIES - 1) / 2;
const AXES: usize = 3;

const SOLAR_MASS: f64 = 4.0 * PI * PI;
const DAYS_A_YEAR: f64 = 365.24;

/// Sun, Jupiter, Saturn, Uranus and Neptune, in that order: positions in astronomical units,
/// velocities in astronomical units a day, masses in solar masses.
const POSITIONS: [[f64; AXES]; BODIES] = [
    [0.0, 0.0, 0.0],
    [
        4.841_431_442_464_72,
        -1.160_320_044_027_428_4,
        -0.103_622_044_471_123_11,
    ],
    [
        8.343_366_718_244_58,
        4.124_798_564_124_305,
        -0.403_523_417_114_321,
    ],
    [
        12.894_369_562_139_131,
        -15.111_151_401_698_631,
        -0.223_307_578_892_655_73,
    ],
    [
        15.379_697_114_850_917,
        -25.919_314_609_987_964,
        0.179_258_772_950_371_18,
    ],
];
const VELOCITIES: [[f64; AXES]; BODIES] = [
    [0.0, 0.0, 0.0],
    [
        0.001_660_076_642_744_037,
        0.007_699_011_184_197_404,
        -0.000_069_046_001_697_206_3,
    ],
    [
        -0.002_767_425_107_268_624,
        0.004_998_528_012_349_172,
        0.000_023_041_729_757_376_393,
    ],
    [
        0.002_964_601_375_647_616,
        0.002_378_471_739_594_809_5,
        -0.000_029_658_956_854_023_756,
    ],
    [
        0.002_680_677_724_903_893_3,
        0.001_628_241_700_382_423,
        -0.000_095_159_225_451_971_59,
    ],
];
const MASSES: [f64; BODIES] = [
    1.0,
    0.000_954_791_938_424_326_6,
    0.000_285_885_980_666_130_8,
    0.000_043_662_440_433_515_63,
    0.000_051_513_890_204_661_145,
];

/// The two bodies of every pair.
const LEFT: [usize; PAIRS] = [0, 0, 0, 0, 1, 1, 1, 2, 2, 3];
const RIGHT: [usize; PAIRS] = [1, 2, 3, 4, 2, 3, 4, 3, 4, 4];

/// The state of the system.
pub(crate) struct System {
    position: [[f64; BODIES]; AXES],
    velocity: [[f64; BODIES]; AXES],
    mass: [f64; BODIES],
}

impl System {
    /// The system at the start; the sun's momentum cancels the others'.
    pub(crate) fn jovian() -> System {
        let mut system = System {
            position: [[0.0; BODIES]; AXES],
            velocity: [[0.0; BODIES]; AXES],
            mass: MASSES.map(|mass| mass * SOLAR_MASS),
        };
        for axis in 0..AXES {
            let mut momentum = 0.0;
            for body in 0..BODIES {
                system.position[axis][body] = POSITIONS[body][axis];
                system.velocity[axis][body] = VELOCITIES[body][axis] * DAYS_A_YEAR;
                momentum += system.velocity[axis][body] * system.mass[body];
            }
            system.velocity[axis][0] = -momentum / SOLAR_MASS;
        }
        system
    }

    /// Kinetic and potential energy.
    pub(crate) fn energy(&self) -> f64 {
        let mut energy = 0.0;
        for body in 0..BODIES {
            let speed: f64 = self
                .velocity
                .iter()
                .map(|axis| axis[body] * axis[body])
                .sum();
            energy += 0.5 * self.mass[body] * speed;
        }
        let squares = squares(&self.differences());
        for pair in 0..PAIRS {
            energy -= self.mass[LEFT[pair]] * self.mass[RIGHT[pair]] / squares[pair].sqrt();
        }
        energy
    }

    /// Moves the bodies by one step.
    pub(crate) fn advance(&mut self, step: f64) {
        let differences = self.differences();
        let squares = squares(&differences);
        let mut magnitude = [0.0; PAIRS];
        for pair in 0..PAIRS {
            magnitude[pair] = step / (squares[pair] * squares[pair].sqrt());
        }
        for (velocity, difference) in self.velocity.iter_mut().zip(&differences) {
            for pair in 0..PAIRS {
                let (left, right) = (LEFT[pair], RIGHT[pair]);
                velocity[left] -= difference[pair] * self.mass[right] * magnitude[pair];
                velocity[right] += difference[pair] * self.mass[left] * magnitude[pair];
            }
        }
        for (position, velocity) in self.position.iter_mut().zip(&self.velocity) {
            for body in 0..BODIES {
                position[body] += step * velocity[body];
            }
        }
    }

    fn differences(&self) -> [[f64; PAIRS]; AXES] {
        let mut differences = [[0.0; PAIRS]; AXES];
        for (difference, position) in differences.iter_mut().zip(&self.position) {
            for pair in 0..PAIRS {
                difference[pair] = position[LEFT[pair]] - position[RIGHT[pair]];
            }
        }
        differences
    }
}

fn squares(differences: &[[f64; PAIRS]; AXES]) -> [f64; PAIRS] {
    let [x, y, z] = differences;
    let mut squares = [0.0; PAIRS];
    for pair in 0..PAIRS {
        squares[pair] = x[pair] * x[pair] + y[pair] * y[pair] + z[pair] * z[pair];
    }
    squares
}
