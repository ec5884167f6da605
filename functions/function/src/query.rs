//! Parses the parameters of a request into typed values in range.
//!
//! No value outside of a function's stated range passes this module. Unknown parameters are
//! ignored.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::{ParameterError, Problem};

/// The query of a request: `name=value&...`.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    pub(crate) fn new(query: &'a str) -> Self {
        Query(query)
    }

    /// A required whole number.
    pub fn whole<T>(self, name: &'static str, range: RangeInclusive<T>) -> Result<T, ParameterError>
    where
        T: Display + FromStr + PartialOrd,
    {
        self.optional_whole(name, range)?
            .ok_or_else(|| missing(name))
    }

    /// A whole number that may be absent.
    pub fn optional_whole<T>(
        self,
        name: &'static str,
        range: RangeInclusive<T>,
    ) -> Result<Option<T>, ParameterError>
    where
        T: Display + FromStr + PartialOrd,
    {
        let Some(value) = self.find(name)? else {
            return Ok(None);
        };
        match value.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => {
                let expected = format!("a whole number from {} to {}", range.start(), range.end());
                Err(ParameterError::unexpected(name, expected, &value))
            }
        }
    }

    /// A required finite number.
    pub fn finite(self, name: &'static str) -> Result<f64, ParameterError> {
        let value = self.find(name)?.ok_or_else(|| missing(name))?;
        match value.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(ParameterError::unexpected(
                name,
                "a finite number".to_owned(),
                &value,
            )),
        }
    }

    /// A required text of at least one byte and at most `longest`.
    pub fn text(self, name: &'static str, longest: usize) -> Result<Cow<'a, str>, ParameterError> {
        let value = self.find(name)?.ok_or_else(|| missing(name))?;
        if value.is_empty() || value.len() > longest {
            let expected = format!("a text of 1 to {longest} bytes");
            return Err(ParameterError::unexpected(name, expected, &value));
        }
        Ok(value)
    }

    fn find(self, name: &'static str) -> Result<Option<Cow<'a, str>>, ParameterError> {
        let mut found = None;
        for pair in self.0.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if decode(key).is_some_and(|key| key == name) && found.replace(value).is_some() {
                return Err(ParameterError {
                    name,
                    problem: Problem::Repeated,
                });
            }
        }
        let Some(value) = found else { return Ok(None) };
        match decode(value) {
            Some(value) => Ok(Some(value)),
            None => Err(ParameterError {
                name,
                problem: Problem::Encoding,
            }),
        }
    }
}

fn missing(name: &'static str) -> ParameterError {
    ParameterError {
        name,
        problem: Problem::Missing,
    }
}

/// Decodes an HTML form's encoding: `+` is a space and `%41` is `A`. `None` if it is malformed, or
/// not of UTF-8.
fn decode(encoded: &str) -> Option<Cow<'_, str>> {
    if !encoded.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Some(Cow::Borrowed(encoded));
    }
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_keep_to_their_range() {
        fn check(query: &str, expected: Result<u32, &str>) {
            let number = Query::new(query).whole("n", 1..=10);
            let number = number.map_err(|error| error.to_string());
            assert_eq!(
                number.as_ref().map_err(String::as_str).copied(),
                expected,
                "{query}"
            );
        }
        check("n=1", Ok(1));
        check("n=10", Ok(10));
        check("a=5&n=7&b", Ok(7));
        check("n=%31%30", Ok(10));
        check("%6e=3", Ok(3));
        check("", Err("parameter `n` is missing"));
        check("m=1", Err("parameter `n` is missing"));
        check("n=1&n=2", Err("parameter `n` is given more than once"));
        check("n=%", Err("parameter `n` is not percent-encoded UTF-8"));
        check("n=%zz", Err("parameter `n` is not percent-encoded UTF-8"));
        check("n=%ff", Err("parameter `n` is not percent-encoded UTF-8"));
        for value in ["0", "11", "-1", "1.0", "four", "", "99999999999999999999"] {
            let line = format!("parameter `n` must be a whole number from 1 to 10, not `{value}`");
            check(&format!("n={value}"), Err(&line));
        }
        check(
            "n",
            Err("parameter `n` must be a whole number from 1 to 10, not ``"),
        );
    }

    #[test]
    fn finite_numbers_are_any_but_infinite() {
        fn check(query: &str, expected: Option<f64>) {
            assert_eq!(Query::new(query).finite("n").ok(), expected, "{query}");
        }
        check("n=10000000", Some(1e7));
        check("n=-2.5e-3", Some(-0.0025));
        for refused in ["n=1e400", "n=inf", "n=NaN", "n=", "n=1,5", "m=1"] {
            check(refused, None);
        }
    }

    #[test]
    fn texts_are_decoded_and_bounded() {
        fn check(query: &str, expected: Option<&str>) {
            assert_eq!(
                Query::new(query).text("t", 5).ok().as_deref(),
                expected,
                "{query}"
            );
        }
        check("t=a+b%20c", Some("a b c"));
        check("t=%C3%A4", Some("\u{e4}"));
        check("t=a=b", Some("a=b"));
        check("t=12345", Some("12345"));
        check("t=123456", None);
        check("t=", None);
    }

    #[test]
    fn a_refusal_is_one_short_line_of_ascii() {
        let value = "%0A%E2%98%83".repeat(60);
        let query = format!("n={value}");
        let error = Query::new(&query)
            .whole("n", 0..=1_u32)
            .expect_err("not a number");
        let line = error.to_string();
        assert!(
            line.is_ascii() && line.len() < 400 && !line.contains('\n'),
            "{line}"
        );
        assert!(
            line.contains("\\n\\u{2603}") && line.ends_with("...`"),
            "{line}"
        );
    }
}
