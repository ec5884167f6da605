//! W3C trace context, level 1: the `tracestate` header, which is passed on unchanged.
//!
//! Its members belong to vendors. Only the specification's size limits apply.

use std::borrow::Cow;

/// Every program must pass on this many characters; longer headers are truncated.
const MAX_CHARACTERS: usize = 512;
/// The most members that the specification allows.
const MAX_MEMBERS: usize = 32;
/// Members longer than this are dropped first.
const LONG_MEMBER: usize = 128;

/// Truncates a `tracestate` to as many whole members as fit. Long members are removed first, then
/// the last ones, because the leftmost is the latest. `None` if none is left, or if there are more
/// members than the specification allows.
pub fn limit(header: &str) -> Option<Cow<'_, str>> {
    let members = || {
        header
            .split(',')
            .map(|member| member.trim_matches([' ', '\t']))
    };
    let filled = || members().filter(|member| !member.is_empty());
    let count = filled().count();
    if count == 0 || count > MAX_MEMBERS {
        return None;
    }
    if header.len() <= MAX_CHARACTERS {
        return Some(Cow::Borrowed(header));
    }
    let mut kept: Vec<&str> = filled().collect();
    let length = |members: &[&str]| {
        members
            .iter()
            .map(|member| member.len() + 1)
            .sum::<usize>()
            .saturating_sub(1)
    };
    while length(&kept) > MAX_CHARACTERS {
        match kept.iter().rposition(|member| member.len() > LONG_MEMBER) {
            Some(long) => drop(kept.remove(long)),
            None => drop(kept.pop()),
        }
    }
    if kept.is_empty() {
        None
    } else {
        Some(Cow::Owned(kept.join(",")))
    }
}

#[cfg(test)]
mod tests {
    use super::limit;

    fn check(header: &str, expected: Option<&str>) {
        assert_eq!(limit(header).as_deref(), expected, "{header}");
    }

    #[test]
    fn a_small_header_is_passed_on_unchanged() {
        check(
            "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
            Some("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        );
        check("a=1 ,\tb=2,,c=3", Some("a=1 ,\tb=2,,c=3"));
        check("", None);
        check(" , ,", None);
        let longest = format!("a={}", "x".repeat(510));
        check(&longest, Some(&longest));
    }

    #[test]
    fn more_members_than_allowed_are_refused() {
        let members = |count: usize| vec!["a=1"; count].join(",");
        check(&members(32), Some(&members(32)));
        check(&members(33), None);
    }

    #[test]
    fn long_members_go_first_and_then_the_last_ones() {
        let long = format!("long={}", "x".repeat(124));
        let filler = |name: &str| format!("{name}={}", "y".repeat(98));
        let all = [filler("a"), long, filler("b"), filler("c"), filler("d")].join(",");
        let expected = [filler("a"), filler("b"), filler("c"), filler("d")].join(",");
        check(&all, Some(&expected));

        let many: Vec<String> = ('a'..='h').map(|name| filler(&name.to_string())).collect();
        check(&many.join(","), Some(&many[..5].join(",")));
        check(&format!("a={}", "x".repeat(511)), None);
    }
}
