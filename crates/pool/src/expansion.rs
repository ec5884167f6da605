//! Expansion of `$(NAME)` in values and arguments, as the kubelet does it.
//!
//! `$$` is a dollar sign. A reference to an unknown name, an unclosed one and any other dollar sign
//! stay as they are.

/// Replaces each reference to a name that `value_of` knows.
pub(crate) fn expand<'a>(text: &str, value_of: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        if let Some(escaped) = after.strip_prefix('$') {
            expanded.push('$');
            rest = escaped;
            continue;
        }
        let reference = after
            .strip_prefix('(')
            .and_then(|name| name.split_once(')'));
        let Some((name, following)) = reference else {
            expanded.push('$');
            rest = after;
            continue;
        };
        if let Some(value) = value_of(name) {
            expanded.push_str(value);
        } else {
            expanded.extend(["$(", name, ")"]);
        }
        rest = following;
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::expand;

    /// The rows are those of the kubelet's own tests, and some more.
    #[test]
    fn references_are_expanded_as_by_the_kubelet() {
        fn check(text: &str, expected: &str) {
            let value_of = |name: &str| match name {
                "VAR_A" => Some("A"),
                "VAR_B" => Some("B"),
                "VAR_C" => Some("C"),
                "VAR_REF" => Some("$(VAR_A)"),
                "VAR_EMPTY" => Some(""),
                "" => Some("empty name"),
                _ => None,
            };
            assert_eq!(expand(text, value_of), expected, "{text}");
        }
        check("$(VAR_A)", "A");
        check("___$(VAR_B)___", "___B___");
        check("___$(VAR_C)", "___C");
        check("$(VAR_A)-$(VAR_B)", "A-B");
        check("$(VAR_EMPTY)_", "_");
        check("foo-$(VAR_A)-bar", "foo-A-bar");
        check("$(VAR_REF)", "$(VAR_A)");
        check("%%$(VAR_REF)--$(VAR_REF)%%", "%%$(VAR_A)--$(VAR_A)%%");
        check("f000-$$VAR_A", "f000-$VAR_A");
        check("foo\\$(VAR_C)bar", "foo\\Cbar");
        check("foo\\\\$(VAR_C)bar", "foo\\\\Cbar");
        check("$$(VAR_A)", "$(VAR_A)");
        check("$$$(VAR_A)", "$A");
        check("$$$$(VAR_A)", "$$(VAR_A)");
        check("$$$$$(VAR_A)", "$$A");
        check("\\$(VAR_A)", "\\A");
        check("$(VAR_A$(VAR_B)", "$(VAR_A$(VAR_B)");
        check("$(VAR_A$(VAR_B)$", "$(VAR_A$(VAR_B)$");
        check("$VAR_A", "$VAR_A");
        check("${VAR_A}", "${VAR_A}");
        check("$(VAR_DNE)", "$(VAR_DNE)");
        check("$()", "empty name");
        check("$( VAR_A)", "$( VAR_A)");
        check("$VAR_A)", "$VAR_A)");
        check("$(VAR_A", "$(VAR_A");
        check("foo$$(foo$(VAR_A)", "foo$(fooA");
        check("$", "$");
        check("$$", "$");
        check("a$", "a$");
        check("", "");
        check("$é$(VAR_A)", "$éA");
    }
}
