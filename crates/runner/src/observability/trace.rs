//! Propagates the client's trace context to the function.
//!
//! A trace of the client continues. The runner starts none, because it records no spans of its own;
//! logs use the request's identifier.

use http::{HeaderMap, HeaderValue};
use sampan_engine::TraceFields;
use sampan_telemetry::{TRACEPARENT, TRACESTATE, TraceContext, limit_tracestate};

/// The trace that a request continues.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(crate) context: TraceContext,
    /// The fields of the context, which the function gets and its outbound calls carry.
    pub(crate) fields: Box<TraceFields>,
}

/// Derives a child of the client's trace context. Removes headers that the specification says to
/// ignore, so that the function does not receive them either.
pub(crate) fn continue_trace(headers: &mut HeaderMap) -> Option<Trace> {
    let given = headers.get(TRACEPARENT)?;
    let parsed = TraceContext::parse(given.as_bytes());
    let single = headers.get_all(TRACEPARENT).iter().nth(1).is_none();
    let Some(context) = parsed.filter(|_| single) else {
        headers.remove(TRACEPARENT);
        headers.remove(TRACESTATE);
        return None;
    };
    let context = context.child();
    let fields = TraceFields {
        parent: context.to_header(),
        state: limited_state(headers),
    };
    fields.write(headers);
    Some(Trace {
        context,
        fields: Box::new(fields),
    })
}

/// The vendors' additions as one field, within the limits of the specification. `None` if there are none, and if they
/// are no text, as the specification says of those that cannot be parsed.
fn limited_state(headers: &HeaderMap) -> Option<HeaderValue> {
    let values = headers.get_all(TRACESTATE).iter().map(HeaderValue::to_str);
    let joined = values.collect::<Result<Vec<_>, _>>().ok()?.join(",");
    HeaderValue::try_from(limit_tracestate(&joined)?.into_owned()).ok()
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
        let trace = continue_trace(&mut headers);
        assert_eq!(trace.is_some(), goes_on, "{given:?}");
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
        if let Some(trace) = trace {
            assert_eq!(Some(&trace.fields.parent), headers.get("traceparent"));
            assert_eq!(trace.fields.state.as_ref(), headers.get("tracestate"));
        }
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
