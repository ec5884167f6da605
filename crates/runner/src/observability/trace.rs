//! Propagates the client's trace context to the function.
//!
//! A trace of the client continues. The runner starts none, because it records no spans of its own;
//! logs use the request's identifier.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue};
use sampan_telemetry::{TRACEPARENT, TRACESTATE, TraceContext, limit_tracestate};

/// Derives a child of the client's trace context. Removes headers that the specification says to
/// ignore, so that the function does not receive them either.
pub(crate) fn continue_trace(headers: &mut HeaderMap) -> Option<TraceContext> {
    let given = headers.get(TRACEPARENT)?;
    let parsed = TraceContext::parse(given.as_bytes());
    let single = headers.get_all(TRACEPARENT).iter().nth(1).is_none();
    let Some(context) = parsed.filter(|_| single) else {
        headers.remove(TRACEPARENT);
        headers.remove(TRACESTATE);
        return None;
    };
    let context = context.child();
    headers.insert(TRACEPARENT, context.to_header());
    limit_state(headers);
    Some(context)
}

/// Passes the vendors' additions on, within the limits of the specification. Removes additions that
/// are no text, as the specification says of those that cannot be parsed.
fn limit_state(headers: &mut HeaderMap) {
    let mut values = headers.get_all(TRACESTATE).iter();
    let Some(first) = values.next() else { return };
    let rest: Vec<_> = values.map(HeaderValue::to_str).collect();
    let joined: Result<String, _> = std::iter::once(first.to_str())
        .chain(rest)
        .collect::<Result<Vec<_>, _>>()
        .map(|v| v.join(","));
    let limited = joined
        .ok()
        .and_then(|state| match limit_tracestate(&state) {
            Some(Cow::Borrowed(_)) => Some(state),
            Some(Cow::Owned(shorter)) => Some(shorter),
            None => None,
        });
    match limited.map(HeaderValue::try_from) {
        Some(Ok(state)) => drop(headers.insert(TRACESTATE, state)),
        _ => drop(headers.remove(TRACESTATE)),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::continue_trace;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    /// `state` is the expected `tracestate`; `goes_on` says whether the trace continues.
    fn check(given: &[(&'static str, &str)], goes_on: bool, state: Option<&str>) {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let context = continue_trace(&mut headers);
        assert_eq!(context.is_some(), goes_on, "{given:?}");
        let parent = headers
            .get("traceparent")
            .map(|parent| parent.to_str().unwrap());
        assert_eq!(
            parent.is_some_and(|parent| parent.starts_with(&PARENT[..36])),
            goes_on
        );
        assert_ne!(parent, Some(PARENT), "a child has its own identifier");
        let left = headers
            .get("tracestate")
            .map(|state| state.to_str().unwrap());
        assert_eq!(left, state, "{given:?}");
    }

    #[test]
    fn a_valid_trace_continues_and_an_invalid_one_is_removed() {
        check(&[], false, None);
        check(&[("traceparent", PARENT)], true, None);
        check(
            &[("traceparent", PARENT), ("tracestate", "a=1")],
            true,
            Some("a=1"),
        );
        let two = [
            ("traceparent", PARENT),
            ("tracestate", "a=1"),
            ("tracestate", "b=2"),
        ];
        check(&two, true, Some("a=1,b=2"));
        check(
            &[("traceparent", "00-what"), ("tracestate", "a=1")],
            false,
            None,
        );
        check(
            &[("traceparent", PARENT), ("traceparent", PARENT)],
            false,
            None,
        );
        let long = format!("a=1,b={}", "x".repeat(600));
        check(
            &[("traceparent", PARENT), ("tracestate", &long)],
            true,
            Some("a=1"),
        );
    }
}
