//! Request identifiers: the client's if it is safe to log, otherwise a new one.
//!
//! New identifiers are slices of a shared block, so that a request does not allocate for its own.

use std::cell::Cell;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use sampan_telemetry::random;

/// The header's name, in requests and responses.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest accepted identifier of a client, in characters.
const MAX_LENGTH: usize = 128;

/// Hexadecimal digits of a new identifier.
const LENGTH: usize = 16;

/// New identifiers in one block.
const BLOCK_SIZE: usize = 64;

thread_local! {
    static FRESH: Cell<Bytes> = const { Cell::new(Bytes::new()) };
}

/// Returns the request's identifier. A new one replaces a client's that must not be logged.
pub(crate) fn identify(headers: &mut HeaderMap) -> HeaderValue {
    if let Some(given) = headers.get(REQUEST_ID)
        && is_safe(given.as_bytes())
    {
        return given.clone();
    }
    let fresh = fresh();
    headers.insert(REQUEST_ID, fresh.clone());
    fresh
}

/// Whether the value may go into logs, headers and other programs unchanged.
fn is_safe(value: &[u8]) -> bool {
    let safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.=+/:".contains(byte);
    (1..=MAX_LENGTH).contains(&value.len()) && value.iter().all(safe)
}

fn fresh() -> HeaderValue {
    FRESH.with(|cell| {
        let mut block = cell.take();
        if block.is_empty() {
            block = new_block();
        }
        let fresh = block.split_to(LENGTH);
        cell.set(block);
        HeaderValue::from_maybe_shared(fresh).expect("hexadecimal digits are a header's value")
    })
}

fn new_block() -> Bytes {
    use std::fmt::Write;
    let mut text = String::with_capacity(BLOCK_SIZE * LENGTH);
    for _ in 0..BLOCK_SIZE {
        // Writing to a string cannot fail.
        let _ = write!(text, "{:016x}", random());
    }
    Bytes::from(text)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use http::{HeaderMap, HeaderValue};

    use super::{LENGTH, REQUEST_ID, identify};

    #[test]
    fn a_safe_identifier_is_kept_and_any_other_replaced() {
        fn check(given: &[u8], kept: bool) {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(given).unwrap());
            let identifier = identify(&mut headers);
            assert_eq!(identifier.as_bytes() == given, kept, "{given:?}");
            assert_eq!(
                headers.get_all(REQUEST_ID).iter().collect::<Vec<_>>(),
                [&identifier]
            );
            assert!(!identifier.is_empty());
        }
        check(b"a", true);
        check(b"0b4a2f3e-8f0c-4f3d-9d0f-1a2b3c4d5e6f", true);
        check(b"Root=1-67891233-abcdef01", true);
        check(&[b'x'; 128], true);
        check(&[b'x'; 129], false);
        check(b"", false);
        check(b"a b", false);
        check(b"a\"b", false);
        check("é".as_bytes(), false);
    }

    #[test]
    fn new_identifiers_differ() {
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            let identifier = identify(&mut HeaderMap::new());
            assert_eq!(identifier.len(), LENGTH);
            assert!(seen.insert(identifier));
        }
    }
}
