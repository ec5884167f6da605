//! AES-128 by permuting the bytes of vectors, an instruction that WebAssembly has.
//!
//! It needs no AES instructions, tables in memory or bit slices. No time here depends on the key or
//! the message.
//!
//! Source: Mike Hamburg, "Accelerating AES with Vector Permute Instructions", CHES 2009. A byte is
//! an element of GF((2^4)^2), where the inverse takes a few look-ups of nibbles. Between rounds the
//! state stays in a basis of that field. Rows are not shifted: each round looks up its bytes at the
//! positions to which the shifts so far have moved them.

use crate::vector::Vector;

/// The rounds except for the last, which does not mix columns.
const MIXING: usize = 9;

/// The constant of the S-box, which is a part of the round keys here.
const AFFINE: u8 = 0x63;

/// The count of blocks that go side by side: enough that the processor never waits for a result,
/// and few enough for the registers.
const LANES: usize = 4;

/// The inverse of each nibble. The inverse of zero is outside of the field, where every look-up
/// gives zero.
const INVERSE: Vector = table(0x0407_0309_0a0b_0c02, 0x0e05_060f_0d08_0180);
/// The constant of the field's polynomial, divided by each nibble.
const INVERSE_A: Vector = table(0x030d_0e0c_0205_0809, 0x0104_0a06_0f0b_0780);

/// A map that is linear over the bits of a byte, as the images of its low and its high nibble.
#[derive(Clone, Copy)]
struct Map(Vector, Vector);

/// Into the basis of the field.
const INTO: Map = Map(
    table(0xcaba_e090_5222_7808, 0xc2b2_e898_5a2a_7000),
    table(0xcd80_b1fc_b0fd_cc81, 0x4c01_307d_317c_4d00),
);
/// From an inverse to the S-box, within the basis.
const SBOX: Map = Map(
    table(0xa5df_7a6e_142a_f544, 0xb19b_e18f_cb50_3e00),
    table(0x3bf7_ccc1_0d2e_d9ef, 0x3618_d415_fae2_2300),
);
/// From an inverse to twice the S-box, within the basis.
const TWICE: Map = Map(
    table(0x5eb7_e955_bc98_2fcd, 0xe27a_93c6_0b71_2400),
    table(0xc2a1_63c8_ab82_234a, 0x69eb_8840_0ae1_2900),
);
/// From an inverse to the S-box, out of the basis.
const OUT: Map = Map(
    table(0x15aa_bf7a_c502_a878, 0xd0d2_6d17_6fbd_c700),
    table(0x8e1e_90d1_412b_35fa, 0xcfe4_74a5_5fbb_6a00),
);

const fn table(high: u64, low: u64) -> Vector {
    Vector::new((high as u128) << 64 | low as u128)
}

/// The cipher with its key.
pub(crate) struct Blocks {
    first: Vector,
    mixing: [Mixing; MIXING],
    /// The positions of the result's bytes.
    result: Vector,
    last: Vector,
}

/// A round that mixes columns.
#[derive(Clone, Copy)]
struct Mixing {
    /// The position of the next byte of each byte's column.
    next: Vector,
    /// The position of the previous byte of each byte's column.
    before: Vector,
    key: Vector,
}

impl Blocks {
    pub(crate) fn new(key: &[u8; 16]) -> Blocks {
        let keys = expand(key);
        let inside = |key: [u8; 16]| {
            let (low, high) = load(&key).nibbles();
            INTO.of(low, high)
        };
        let mut places = [0_u8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        let mixing = std::array::from_fn(|index| {
            places = shifted(places);
            let mut key = [0; 16];
            let mut next = [0; 16];
            let mut before = [0; 16];
            for (place, &at) in places.iter().enumerate() {
                let in_column = |row: usize| places[place / 4 * 4 + row % 4];
                key[usize::from(at)] = keys[index + 1][place] ^ AFFINE;
                next[usize::from(at)] = in_column(place + 1);
                before[usize::from(at)] = in_column(place + 3);
            }
            Mixing {
                next: load(&next),
                before: load(&before),
                key: inside(key),
            }
        });
        Blocks {
            first: inside(keys[0]),
            mixing,
            result: load(&shifted(places)),
            last: load(&keys[MIXING + 1].map(|byte| byte ^ AFFINE)),
        }
    }

    pub(crate) fn encrypt(&self, blocks: &mut [[u8; 16]]) {
        let (groups, rest) = blocks.as_chunks_mut::<LANES>();
        for group in groups {
            *group = self.encrypted(*group);
        }
        for block in rest {
            [*block] = self.encrypted([*block]);
        }
    }

    #[inline]
    fn encrypted<const LANES: usize>(&self, blocks: [[u8; 16]; LANES]) -> [[u8; 16]; LANES] {
        let mut states = blocks.map(|block| {
            let (low, high) = load(&block).nibbles();
            INTO.of(low, high).xor(self.first)
        });
        for round in &self.mixing {
            states = states.map(|state| {
                let (one, other) = inverse(state);
                let once = SBOX.of(one, other);
                let twice = TWICE.of(one, other);
                // A column's byte becomes the sum of twice itself, three times the next, and the
                // two after that.
                let sum = once.at(round.next).xor(twice);
                let rest = once.at(round.before).xor(round.key);
                sum.at(round.next).xor(sum).xor(rest)
            });
        }
        states.map(|state| {
            let (one, other) = inverse(state);
            let substituted = OUT.of(one, other);
            store(substituted.at(self.result).xor(self.last))
        })
    }
}

impl Map {
    #[inline]
    fn of(self, low: Vector, high: Vector) -> Vector {
        self.0.at(low).xor(self.1.at(high))
    }
}

/// The inverse of each byte, as the two nibbles that the maps of the S-box take.
#[inline]
fn inverse(bytes: Vector) -> (Vector, Vector) {
    let (low, high) = bytes.nibbles();
    let sum = high.xor(low);
    let constant = INVERSE_A.at(low);
    let one = INVERSE.at(high).xor(constant);
    let other = INVERSE.at(sum).xor(constant);
    (INVERSE.at(one).xor(sum), INVERSE.at(other).xor(high))
}

/// The positions of bytes after one more shift of their rows.
fn shifted(places: [u8; 16]) -> [u8; 16] {
    std::array::from_fn(|place| {
        let row = place % 4;
        let column = (place / 4 + row) % 4;
        places[4 * column + row]
    })
}

/// The round keys, by FIPS 197, 5.2.
fn expand(key: &[u8; 16]) -> [[u8; 16]; MIXING + 2] {
    let mut keys = [*key; MIXING + 2];
    let mut constant = 1;
    for round in 1..keys.len() {
        let before = keys[round - 1];
        let (low, high) = load(&before).nibbles();
        let (one, other) = inverse(INTO.of(low, high));
        let substituted = store(OUT.of(one, other)).map(|byte| byte ^ AFFINE);
        let mut word = [13, 14, 15, 12].map(|place| substituted[place]);
        word[0] ^= constant;
        for place in 0..16 {
            word[place % 4] ^= before[place];
            keys[round][place] = word[place % 4];
        }
        constant = (constant << 1) ^ if constant & 0x80 == 0 { 0 } else { 0x1b };
    }
    keys
}

#[inline]
fn load(bytes: &[u8; 16]) -> Vector {
    Vector::new(u128::from_le_bytes(*bytes))
}

#[inline]
fn store(vector: Vector) -> [u8; 16] {
    vector.bytes().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks;

    /// FIPS 197, appendices A.1, B and C.1.
    #[test]
    fn the_standards_answers_are_met() {
        fn check(key: u128, clear: u128, expected: u128) {
            let mut blocks = [clear.to_be_bytes(); LANES + 1];
            Blocks::new(&key.to_be_bytes()).encrypt(&mut blocks);
            assert_eq!(blocks, [expected.to_be_bytes(); LANES + 1], "{key:x}");
        }
        check(
            0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c,
            0x3243_f6a8_885a_308d_3131_98a2_e037_0734,
            0x3925_841d_02dc_09fb_dc11_8597_196a_0b32,
        );
        check(
            0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f,
            0x0011_2233_4455_6677_8899_aabb_ccdd_eeff,
            0x69c4_e0d8_6a7b_0430_d8cd_b780_70b4_c55a,
        );
        let keys = expand(&0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c_u128.to_be_bytes());
        let last = 0xd014_f9a8_c9ee_2589_e13f_0cc8_b663_0ca6_u128;
        assert_eq!(keys[MIXING + 1], last.to_be_bytes());
    }

    /// Every byte in every position, under keys of all kinds. The reference is the native program's
    /// cipher.
    #[test]
    fn both_builds_encrypt_alike() {
        for number in 0..=u8::MAX {
            let key = std::array::from_fn(|place| {
                number
                    .rotate_left(1)
                    .wrapping_mul(u8::try_from(place).expect("small") | 1)
            });
            let mut one: Vec<[u8; 16]> = (0..=u8::MAX)
                .map(|byte| {
                    std::array::from_fn(|place| {
                        byte.wrapping_add(17 * u8::try_from(place).expect("small"))
                    })
                })
                .collect();
            let mut other = one.clone();
            Blocks::new(&key).encrypt(&mut one);
            blocks::Blocks::new(&key).encrypt(&mut other);
            assert!(one == other, "{key:?}");
        }
    }
}
