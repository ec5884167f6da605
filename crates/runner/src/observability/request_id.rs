//! Takes or makes the identifiers of requests: the client's if it is safe to log, otherwise a new one.
//!
//! New identifiers are slices of a shared block, so that a request does not allocate for its own.

use std::cell::Cell;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use sampan_engine::RequestId;
use sampan_telemetry::random;

/// The header's name, in requests and responses.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Hexadecimal digits of a new identifier.
const LENGTH: usize = 16;

/// New identifiers in one block.
const BLOCK_SIZE: usize = 64;

thread_local! {
    static FRESH: Cell<Bytes> = const { Cell::new(Bytes::new()) };
}

/// Takes the identifier from the head of a request. In the head, a new one replaces a client's that
/// is not safe. Of several only the first one stays.
pub(crate) fn take(headers: &mut HeaderMap) -> RequestId {
    let mut given = headers.get_all(REQUEST_ID).iter();
    // A copy, because the field is a slice of the connection's buffer, which an idle instance would keep.
    let copy = |given: &HeaderValue| {
        HeaderValue::from_bytes(given.as_bytes()).expect("it was a header's value before")
    };
    let first = given.next().map(copy);
    if let Some(first) = first.and_then(RequestId::new) {
        if given.next().is_some() {
            headers.insert(REQUEST_ID, first.clone().into_header());
        }
        return first;
    }
    let fresh = fresh();
    headers.insert(REQUEST_ID, fresh.clone().into_header());
    fresh
}

fn fresh() -> RequestId {
    FRESH.with(|cell| {
        let mut block = cell.take();
        if block.is_empty() {
            block = new_block();
        }
        let fresh = block.split_to(LENGTH);
        cell.set(block);
        let value = HeaderValue::from_maybe_shared(fresh);
        let value = value.expect("hexadecimal digits are a header's value");
        RequestId::new(value).expect("hexadecimal digits are an identifier")
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

    use super::{LENGTH, REQUEST_ID, take};

    #[test]
    fn a_safe_identifier_is_kept_and_any_other_replaced() {
        fn check(given: &[u8], kept: bool) {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(given).unwrap());
            let identifier = take(&mut headers);
            assert_eq!(identifier.as_str().as_bytes() == given, kept, "{given:?}");
            assert!(!identifier.as_str().is_empty());
            let fields: Vec<_> = headers.get_all(REQUEST_ID).iter().collect();
            assert_eq!(fields, [&identifier.into_header()]);
        }
        check(b"a", true);
        check(b"", false);
        check(b"a b", false);
    }

    #[test]
    fn of_several_identifiers_the_first_one_stays() {
        let mut headers = HeaderMap::new();
        for given in ["a", "b b"] {
            headers.append(REQUEST_ID, HeaderValue::from_static(given));
        }
        assert_eq!(take(&mut headers).as_str(), "a");
        let fields: Vec<_> = headers.get_all(REQUEST_ID).iter().collect();
        assert_eq!(fields, ["a"]);
    }

    #[test]
    fn new_identifiers_differ() {
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            let identifier = take(&mut HeaderMap::new());
            assert_eq!(identifier.as_str().len(), LENGTH);
            assert!(seen.insert(identifier));
        }
    }
}
