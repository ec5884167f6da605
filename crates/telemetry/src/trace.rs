//! W3C trace context, level 1: the `traceparent` header.
//!
//! It identifies a request across programs. Spans are not recorded and nothing is exported. The
//! identifiers appear in the logs and in the function's own calls.

use http::{HeaderName, HeaderValue};

use crate::random::random;

/// The header's name.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The name of the header with vendors' additions; see [`crate::limit_tracestate`].
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Length of a header of version 00: `00-` trace (32) `-` parent (16) `-` flags (2).
const LENGTH: usize = 55;

/// The only flag that level 1 defines.
const SAMPLED: u8 = 1;

/// The trace of a request, and the identifier of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The whole trace. Never all zero.
    pub trace_id: [u8; 16],
    /// The caller's span. Never all zero.
    pub parent_id: [u8; 8],
    /// Whether the caller may have recorded the trace.
    pub sampled: bool,
}

impl TraceContext {
    /// Parses a `traceparent` header. `None` means that the specification says to ignore the
    /// header, and `tracestate` with it.
    pub fn parse(header: &[u8]) -> Option<Self> {
        let (known, rest) = header.split_at_checked(LENGTH)?;
        let [version] = decode(&known[..2])?;
        // A later version may append to level 1's fields, but only after another dash.
        let tail_is_valid = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.first().is_none_or(|first| *first == b'-'),
        };
        if !tail_is_valid || known[2] != b'-' || known[35] != b'-' || known[52] != b'-' {
            return None;
        }
        let trace_id = decode(&known[3..35])?;
        let parent_id = decode(&known[36..52])?;
        let [flags] = decode(&known[53..])?;
        if trace_id == [0; 16] || parent_id == [0; 8] {
            return None;
        }
        Some(Self {
            trace_id,
            parent_id,
            sampled: flags & SAMPLED != 0,
        })
    }

    /// Starts an unsampled trace.
    pub fn generate() -> Self {
        let mut trace_id = [0; 16];
        trace_id[..8].copy_from_slice(&random().to_be_bytes());
        trace_id[8..].copy_from_slice(&random().to_be_bytes());
        Self {
            trace_id,
            parent_id: random().to_be_bytes(),
            sampled: false,
        }
    }

    /// The same trace for a call that this request causes.
    #[must_use]
    pub fn child(self) -> Self {
        Self {
            parent_id: random().to_be_bytes(),
            ..self
        }
    }

    /// The header's value, in version 00.
    #[expect(
        clippy::missing_panics_doc,
        reason = "every text written here is a header's value"
    )]
    pub fn to_header(self) -> HeaderValue {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        encode(&self.trace_id, &mut text[3..35]);
        encode(&self.parent_id, &mut text[36..52]);
        text[54] = if self.sampled { b'1' } else { b'0' };
        HeaderValue::from_bytes(&text).expect("hexadecimal digits and dashes are a header's value")
    }
}

/// Prints the trace's identifier, the term for searches.
impl std::fmt::Display for TraceContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut digits = [0; 32];
        encode(&self.trace_id, &mut digits);
        f.write_str(str::from_utf8(&digits).map_err(|_| std::fmt::Error)?)
    }
}

/// Lower-case hexadecimal only: the specification forbids capitals.
fn decode<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    if digits.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let mut bytes = [0; N];
    // The only errors are a character or a length that the specification says to ignore.
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(bytes)
}

fn encode(bytes: &[u8], digits: &mut [u8]) {
    hex::encode_to_slice(bytes, digits).expect("there is room for two digits of each byte");
}

#[cfg(test)]
mod tests {
    use super::TraceContext;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    /// `expected` is the header to which the parsed context is written.
    fn check(header: &str, expected: Option<&str>) {
        let parsed = TraceContext::parse(header.as_bytes());
        let written = parsed.map(TraceContext::to_header);
        assert_eq!(
            written.as_ref().map(|value| value.to_str().unwrap()),
            expected,
            "{header}: {parsed:?}"
        );
    }

    #[test]
    fn version_00_is_read_strictly() {
        let unsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        check(VALID, Some(VALID));
        check(unsampled, Some(unsampled));
        // Flags that level 1 does not define are ignored and not passed on.
        check(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff",
            Some(VALID),
        );
        check(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02",
            Some(unsampled),
        );
        for refused in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01",
            "0g-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            " 0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-é1",
        ] {
            check(refused, None);
        }
    }

    #[test]
    fn later_versions_are_read_as_far_as_version_00_goes() {
        check(
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            Some(VALID),
        );
        check(
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what",
            Some(VALID),
        );
        check(
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            Some(VALID),
        );
        check(
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what",
            None,
        );
        check(
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            None,
        );
    }

    #[test]
    fn a_child_stays_in_its_trace() {
        let parent = TraceContext::parse(VALID.as_bytes()).unwrap();
        let child = parent.child();
        assert_eq!(child.trace_id, parent.trace_id);
        assert_eq!(child.sampled, parent.sampled);
        assert_ne!(child.parent_id, parent.parent_id);
        assert_eq!(child.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[test]
    fn generated_contexts_are_valid_and_differ() {
        let contexts: std::collections::HashSet<_> =
            (0..1000).map(|_| TraceContext::generate()).collect();
        assert_eq!(contexts.len(), 1000);
        for context in contexts {
            assert_eq!(
                TraceContext::parse(context.to_header().as_bytes()),
                Some(context)
            );
        }
    }
}
