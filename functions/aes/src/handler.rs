//! The function `aes`: encrypts a random message and decrypts it again, as many times as requested.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use function::{Error, Generator, ParameterError, Request, Response, generator};
use rand::Rng as _;

use crate::cfb::{BLOCK, Cfb};

/// The greatest length of the message.
const MAX_LENGTH: usize = 65_536;

/// The most iterations.
const MAX_ITERATIONS: usize = 10_000;

/// The most letters of all iterations together: twelve megabytes of text.
const MAX_LETTERS: usize = 5_000_000;

/// The key is no secret: it only has to be the same in every build.
const KEY: [u8; 16] = *b"sampan-functions";

/// How many iterations are encrypted side by side.
const LANES: usize = 64;

const HEADING: &[u8] = b"CLEAR TEXT MESSAGE:";
const ENCRYPTED: &[u8] = b"\tENCRYPTED: ";
const DECRYPTED: &[u8] = b"\n\tDECRYPTED: ";

/// Answers a request.
pub(crate) fn handle(request: &Request<'_>) -> Result<Response, Error> {
    let query = request.query();
    let length = query.whole("length", 1..=MAX_LENGTH)?;
    let iterations = query.whole("iterations", 1..=MAX_ITERATIONS)?;
    if length * iterations > MAX_LETTERS {
        let expected = format!("at most {} with this length", MAX_LETTERS / length);
        return Err(ParameterError::combination("iterations", expected, iterations).into());
    }
    let mut random = generator(query)?;
    Ok(Response::text(report(length, iterations, &mut random)))
}

fn report(length: usize, iterations: usize, random: &mut Generator) -> Vec<u8> {
    let message = letters(length, random);
    let cipher = Cfb::new(&KEY);
    let record = BLOCK + length;
    let encoded = base64::encoded_len(record, false).unwrap_or_default();
    let iteration = ENCRYPTED.len() + encoded + DECRYPTED.len() + length + 2;
    let mut body = Vec::with_capacity(HEADING.len() + length + 2 + iterations * iteration);
    body.extend_from_slice(HEADING);
    body.extend_from_slice(&message);
    body.push(b'\n');
    let mut records = vec![0; iterations.min(LANES) * record];
    let mut clear = vec![0; length];
    let mut left = iterations;
    while left > 0 {
        let lanes = left.min(LANES);
        let records = &mut records[..lanes * record];
        for record in records.chunks_exact_mut(record) {
            random.fill_bytes(&mut record[..BLOCK]);
        }
        cipher.encrypt(&message, records);
        for record in records.chunks_exact(record) {
            cipher.decrypt(record, &mut clear);
            body.push(b'\n');
            body.extend_from_slice(ENCRYPTED);
            push_base64(record, encoded, &mut body);
            body.extend_from_slice(DECRYPTED);
            body.extend_from_slice(&clear);
            body.push(b'\n');
        }
        left -= lanes;
    }
    body
}

fn letters(length: usize, random: &mut Generator) -> Vec<u8> {
    const LETTERS: &[u8; 52] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    // A 32-bit number scaled to 52: the bias is negligible.
    let letter = |number: u32| LETTERS[((u64::from(number) * 52) >> 32) as usize];
    (0..length).map(|_| letter(random.next_u32())).collect()
}

fn push_base64(bytes: &[u8], encoded: usize, body: &mut Vec<u8>) {
    let start = body.len();
    body.resize(start + encoded, 0);
    STANDARD_NO_PAD
        .encode_slice(bytes, &mut body[start..])
        .expect("the length is that of the encoding");
}

#[cfg(test)]
mod tests {
    use function::testing::{Pure, Upstream, body, check_refused};

    use super::*;

    #[test]
    fn every_iteration_encrypts_and_decrypts_the_message() {
        fn check(length: usize, iterations: usize) {
            let target = format!("/?length={length}&iterations={iterations}");
            let body = body(&Pure(handle), &target, &Upstream::answering(500, ""));
            let (heading, rest) = body.split_once("\n\n").expect("a blank line");
            let message = heading
                .strip_prefix("CLEAR TEXT MESSAGE:")
                .expect("the heading");
            assert_eq!(message.len(), length);
            assert!(message.bytes().all(|letter| letter.is_ascii_alphabetic()));
            let records: Vec<&str> = rest.split("\n\n").collect();
            assert_eq!(records.len(), iterations);
            let mut vectors = std::collections::HashSet::new();
            for record in records {
                let (encrypted, decrypted) = record
                    .trim_end_matches('\n')
                    .split_once('\n')
                    .expect("two lines");
                assert_eq!(decrypted, format!("\tDECRYPTED: {message}"));
                let encoded = encrypted
                    .strip_prefix("\tENCRYPTED: ")
                    .expect("the first line");
                let bytes = STANDARD_NO_PAD
                    .decode(encoded)
                    .expect("base64 without padding");
                assert_eq!(bytes.len(), BLOCK + length);
                assert!(
                    vectors.insert(bytes[..BLOCK].to_vec()),
                    "a vector is used twice"
                );
                let mut clear = vec![0; length];
                Cfb::new(&KEY).decrypt(&bytes, &mut clear);
                assert_eq!(clear, message.as_bytes());
            }
        }
        check(1, 1);
        check(16, 2);
        check(33, 65);
        check(1000, 130);
    }

    #[test]
    fn parameters_are_checked() {
        for target in [
            "/?iterations=1",
            "/?length=0&iterations=1",
            "/?length=65537&iterations=1",
        ] {
            check_refused(&Pure(handle), target, "length");
        }
        for target in [
            "/?length=1",
            "/?length=1&iterations=0",
            "/?length=1&iterations=10001",
            "/?length=50000&iterations=101",
        ] {
            check_refused(&Pure(handle), target, "iterations");
        }
        check_refused(&Pure(handle), "/?length=1&iterations=1&seed=", "seed");
    }
}
