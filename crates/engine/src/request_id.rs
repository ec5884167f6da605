//! The identifier of a request.

use http::HeaderValue;

/// The longest identifier, in characters.
const MAX_LENGTH: usize = 128;

/// The identifier of a request: 1 to 128 letters, digits and signs of ASCII that may go into logs, headers and other
/// programs unchanged. A clone shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// Checks a header's value. `None` if it is not an identifier.
    pub fn new(value: HeaderValue) -> Option<Self> {
        let safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.=+/:".contains(byte);
        let bytes = value.as_bytes();
        let accepted = (1..=MAX_LENGTH).contains(&bytes.len()) && bytes.iter().all(safe);
        accepted.then_some(Self(value))
    }

    /// The identifier as text.
    ///
    /// # Panics
    ///
    /// Never: all its characters are visible ones of ASCII.
    pub fn as_str(&self) -> &str {
        self.0
            .to_str()
            .expect("an identifier has only letters, digits and signs of ASCII")
    }

    /// The identifier as the value of a header.
    pub fn into_header(self) -> HeaderValue {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::RequestId;

    #[test]
    fn an_identifier_has_a_limited_length_and_only_safe_characters() {
        fn check(given: &[u8], accepted: bool) {
            let value = HeaderValue::from_bytes(given).expect("a value of a header");
            let identifier = RequestId::new(value.clone());
            assert_eq!(identifier.is_some(), accepted, "{given:?}");
            if let Some(identifier) = identifier {
                assert_eq!(identifier.as_str().as_bytes(), given);
                assert_eq!(identifier.into_header(), value);
            }
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
}
