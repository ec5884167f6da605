//! Suggests the known word that is nearest to a misspelt one.
//!
//! Without a near word there is no suggestion: a wrong one costs more than none.

use strsim::levenshtein;

/// The candidate nearest to `word`, if it is near enough to be a typing error.
pub(crate) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    // Longer words are near no key, and the distance costs the product of both lengths.
    const MAX_LENGTH: usize = 40;
    if word.chars().count() > MAX_LENGTH {
        return None;
    }
    let wanted = simplified(word);
    candidates
        .iter()
        .map(|candidate| (levenshtein(&wanted, &simplified(candidate)), *candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Ignores case and separators: `request_body` matches `requestBody`.
fn simplified(word: &str) -> String {
    word.chars()
        .filter(|character| !matches!(character, '_' | '-' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    fn check(word: &str, expected: Option<&str>) {
        let keys = [
            "memory",
            "timeout",
            "requestBody",
            "requestHeaders",
            "queue",
            "env",
        ];
        assert_eq!(nearest(word, &keys), expected, "{word}");
    }

    #[test]
    fn suggests_only_near_words() {
        check("memry", Some("memory"));
        check("Memory", Some("memory"));
        check("request_body", Some("requestBody"));
        check("request-headers", Some("requestHeaders"));
        check("que", Some("queue"));
        check("body", None);
        check("queu", Some("queue"));
        check("envs", Some("env"));
        check("replicas", None);
        check("", None);
        check(&"memory".repeat(1000), None);
    }
}
