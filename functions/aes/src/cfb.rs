//! Encrypts and decrypts many records by AES-128 in cipher feedback mode (CFB), under one key.
//!
//! A record is an initialisation vector with the ciphertext after it, so that each block's
//! predecessor is right before it. Encryption is a chain within a record, but the chains of several
//! records advance side by side. That fills the pipeline of AES instructions, or the vectors of the
//! software cipher where there are no such instructions.

use crate::blocks::Blocks;

/// The size of a block, in bytes.
pub(crate) const BLOCK: usize = 16;

/// How many blocks of a record are decrypted side by side.
const DECRYPTED: usize = 64;

/// The cipher with its key.
pub(crate) struct Cfb {
    cipher: Blocks,
}

impl Cfb {
    /// The cipher with this key.
    pub(crate) fn new(key: &[u8; BLOCK]) -> Cfb {
        Cfb {
            cipher: Blocks::new(key),
        }
    }

    /// Encrypts `message` into every record, each of which begins with its vector.
    pub(crate) fn encrypt(&self, message: &[u8], records: &mut [u8]) {
        let record = BLOCK + message.len();
        let mut lanes = vec![[0; BLOCK]; records.len() / record];
        for (index, clear) in message.chunks(BLOCK).enumerate() {
            let before = index * BLOCK;
            for (lane, record) in lanes.iter_mut().zip(records.chunks_exact(record)) {
                lane.copy_from_slice(&record[before..before + BLOCK]);
            }
            self.cipher.encrypt(&mut lanes);
            let ciphertexts = records
                .chunks_exact_mut(record)
                .map(|record| &mut record[before + BLOCK..]);
            let lanes = lanes.iter().zip(ciphertexts);
            // With a known length, the copy is a few instructions.
            if let Some(clear) = clear.as_array::<BLOCK>() {
                lanes.for_each(|(lane, ciphertext)| xor(lane, clear, &mut ciphertext[..BLOCK]));
            } else {
                lanes.for_each(|(lane, ciphertext)| xor(lane, clear, ciphertext));
            }
        }
    }

    /// Decrypts a record.
    pub(crate) fn decrypt(&self, record: &[u8], message: &mut [u8]) {
        let mut lanes = [[0; BLOCK]; DECRYPTED];
        let ciphertexts = record[BLOCK..].chunks(DECRYPTED * BLOCK);
        let befores = record.chunks(DECRYPTED * BLOCK);
        for ((message, ciphertext), before) in message
            .chunks_mut(DECRYPTED * BLOCK)
            .zip(ciphertexts)
            .zip(befores)
        {
            let lanes = &mut lanes[..message.len().div_ceil(BLOCK)];
            let bytes = lanes.as_flattened_mut();
            bytes.copy_from_slice(&before[..bytes.len()]);
            self.cipher.encrypt(lanes);
            xor(lanes.as_flattened(), ciphertext, message);
        }
    }
}

/// The XOR of two texts, up to the length of the shortest of the three.
fn xor(left: &[u8], right: &[u8], sum: &mut [u8]) {
    for ((sum, left), right) in sum.iter_mut().zip(left).zip(right) {
        *sum = left ^ right;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hexadecimal: &str) -> Vec<u8> {
        let byte =
            |index| u8::from_str_radix(&hexadecimal[index..index + 2], 16).expect("hexadecimal");
        (0..hexadecimal.len()).step_by(2).map(byte).collect()
    }

    /// NIST SP 800-38A, F.3.13: CFB128-AES128.
    #[test]
    fn known_answers_are_met() {
        fn check(length: usize, lanes: usize) {
            let key = bytes("2b7e151628aed2a6abf7158809cf4f3c");
            let vector = bytes("000102030405060708090a0b0c0d0e0f");
            let message = bytes(concat!(
                "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51",
                "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
            ));
            let ciphertext = bytes(concat!(
                "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b",
                "26751f67a3cbb140b1808cf187a4f4dfc04b05357c5d1c0eeac4c66f9ff7f2e6",
            ));
            let message = &message[..length];
            let expected = [&vector[..], &ciphertext[..length]].concat();
            let cfb = Cfb::new(&key.try_into().expect("sixteen bytes"));
            let mut records = [&vector[..], &vec![0; length]].concat().repeat(lanes);
            cfb.encrypt(message, &mut records);
            assert_eq!(
                records,
                expected.repeat(lanes),
                "{length} bytes, {lanes} lanes"
            );
            let mut clear = vec![0; length];
            cfb.decrypt(&expected, &mut clear);
            assert_eq!(clear, message, "{length} bytes");
        }
        for length in [1, 15, 16, 17, 63, 64] {
            for lanes in [1, 2, 7, 8, 9, 100] {
                check(length, lanes);
            }
        }
    }

    #[test]
    fn long_messages_come_back() {
        fn check(length: usize) {
            let message: Vec<u8> = (0..length)
                .map(|index| u8::try_from(index % 251).expect("small"))
                .collect();
            let cfb = Cfb::new(&[7; BLOCK]);
            let mut record = vec![1; BLOCK + length];
            cfb.encrypt(&message, &mut record);
            let mut clear = vec![0; length];
            cfb.decrypt(&record, &mut clear);
            assert_eq!(clear, message, "{length}");
        }
        for length in [1, 1000, 1023, 1024, 1025, 4096, 10_001] {
            check(length);
        }
    }
}
