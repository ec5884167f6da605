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

/// The identifier of a request: text that may go into logs, headers and other programs unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// Takes the identifier from the head of a request. In the head, a new one replaces a client's
    /// that is not safe. Of several only the first one stays.
    pub(crate) fn take(headers: &mut HeaderMap) -> Self {
        let mut given = headers.get_all(REQUEST_ID).iter();
        if let Some(first) = given.next()
            && is_safe(first.as_bytes())
        {
            let first = first.clone();
            if given.next().is_some() {
                headers.insert(REQUEST_ID, first.clone());
            }
            return Self(first);
        }
        let fresh = fresh();
        headers.insert(REQUEST_ID, fresh.clone());
        Self(fresh)
    }

    /// The identifier as text.
    pub(crate) fn as_str(&self) -> &str {
        self.0
            .to_str()
            .expect("an identifier has only letters, digits and signs of ASCII")
    }

    /// The value of the header [`REQUEST_ID`].
    pub(crate) fn into_header(self) -> HeaderValue {
        self.0
    }
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

    use super::{LENGTH, REQUEST_ID, RequestId};

    #[test]
    fn a_safe_identifier_is_kept_and_any_other_replaced() {
        fn check(given: &[u8], kept: bool) {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(given).unwrap());
            let identifier = RequestId::take(&mut headers);
            assert_eq!(identifier.as_str().as_bytes() == given, kept, "{given:?}");
            assert!(!identifier.as_str().is_empty());
            let fields: Vec<_> = headers.get_all(REQUEST_ID).iter().collect();
            assert_eq!(fields, [&identifier.into_header()]);
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
    fn of_several_identifiers_the_first_one_stays() {
        let mut headers = HeaderMap::new();
        for given in ["a", "b b"] {
            headers.append(REQUEST_ID, HeaderValue::from_static(given));
        }
        assert_eq!(RequestId::take(&mut headers).as_str(), "a");
        let fields: Vec<_> = headers.get_all(REQUEST_ID).iter().collect();
        assert_eq!(fields, ["a"]);
    }

    #[test]
    fn new_identifiers_differ() {
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            let identifier = RequestId::take(&mut HeaderMap::new());
            assert_eq!(identifier.as_str().len(), LENGTH);
            assert!(seen.insert(identifier));
        }
    }
}
