//! Finds what a misspelt word probably meant.
//!
//! Refuses to guess when nothing is near: a wrong suggestion costs more than none.

/// The candidate nearest to `word`, when it is near enough to be a slip of the fingers.
pub(crate) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    // Longer words can't be near any key, and the distance costs their product.
    const LONGEST: usize = 40;
    if word.chars().count() > LONGEST {
        return None;
    }
    let wanted = simplified(word);
    candidates
        .iter()
        .map(|candidate| (distance(&wanted, &simplified(candidate)), *candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Case and separators say nothing of what was meant: `request_body` is `requestBody`.
fn simplified(word: &str) -> Vec<char> {
    word.chars()
        .filter(|character| !matches!(character, '_' | '-' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Levenshtein's distance, one row at a time.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, a) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
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
    fn suggests_only_what_is_near() {
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
