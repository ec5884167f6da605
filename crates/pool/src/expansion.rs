//! Expansion of `$(NAME)` in values and arguments, as the kubelet does it.
//!
//! `$$` is a dollar sign. A reference to an unknown name, an unclosed one and any other dollar sign
//! stay as they are. The result is bounded before it is made: references to long values multiply.

/// The bytes that an environment and its arguments may still take.
#[derive(Debug)]
pub(crate) struct Budget(usize);

/// A text is longer than its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OverBudget;

impl Budget {
    /// The most bytes of an environment and its arguments: an object of Kubernetes has no more.
    pub(crate) const MAX_BYTES: usize = 1 << 20;

    pub(crate) fn new() -> Self {
        Self(Self::MAX_BYTES)
    }

    /// Takes bytes for a text that is made next.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), OverBudget> {
        self.0 = self.0.checked_sub(bytes).ok_or(OverBudget)?;
        Ok(())
    }
}

/// Replaces each reference to a name that `value_of` knows.
pub(crate) fn expand<'a>(
    text: &str,
    value_of: impl Fn(&str) -> Option<&'a str>,
    budget: &mut Budget,
) -> Result<String, OverBudget> {
    let mut expanded = String::new();
    let mut push = |part: &str| {
        budget.take(part.len())?;
        expanded.push_str(part);
        Ok(())
    };
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        push(before)?;
        if let Some(escaped) = after.strip_prefix('$') {
            push("$")?;
            rest = escaped;
            continue;
        }
        let reference = after
            .strip_prefix('(')
            .and_then(|name| name.split_once(')'));
        let Some((name, following)) = reference else {
            push("$")?;
            rest = after;
            continue;
        };
        if let Some(value) = value_of(name) {
            push(value)?;
        } else {
            ["$(", name, ")"].into_iter().try_for_each(&mut push)?;
        }
        rest = following;
    }
    push(rest)?;
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::{Budget, OverBudget, expand};

    #[test]
    fn an_expansion_ends_with_its_budget() {
        fn check(bytes: usize, text: &str, expected: Result<(&str, usize), OverBudget>) {
            let mut budget = Budget(bytes);
            let found = expand(text, |_| Some("long value"), &mut budget);
            let found = found.map(|text| (text, budget.0));
            let expected = expected.map(|(text, left)| (text.to_owned(), left));
            assert_eq!(found, expected, "{bytes} {text}");
        }
        check(3, "abc", Ok(("abc", 0)));
        check(2, "abc", Err(OverBudget));
        check(10, "$(A)", Ok(("long value", 0)));
        check(19, "$(A)$(A)", Err(OverBudget));
        check(21, "$(A)$(A)$$", Ok(("long valuelong value$", 0)));
        // A value of 10 bytes, 400,000 times.
        check(Budget::MAX_BYTES, &"$(A)".repeat(400_000), Err(OverBudget));
    }

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
            let expanded = expand(text, value_of, &mut Budget::new());
            assert_eq!(expanded.as_deref(), Ok(expected), "{text}");
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
