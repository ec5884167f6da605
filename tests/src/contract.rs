//! The contract of the nine functions: their answers from any host. A partly random body is checked
//! in its fixed part.

use std::collections::HashSet;

use crate::answer::Answer;

/// A function, a request that it answers with 200, and a check of the body.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// A path and query.
    pub path: &'static str,
    media_type: &'static str,
    body: fn(&str),
}

/// All nine, by name.
pub const FUNCTIONS: [Function; 9] = [
    text("aes", "/?length=40&iterations=3", aes),
    text("float-operation", "/?n=10000000", float_operation),
    text("fuzzysearch", "/?search=Hamlet", fuzzysearch),
    text("linear-equations", "/?unknowns=12", linear_equations),
    text("matmul", "/?dimensions=7", matmul),
    text("n-body", "/", n_body),
    text("prime-numbers", "/?n=100", prime_numbers),
    text("user-manager", "/?entries=3", user_manager),
    Function {
        media_type: "text/html; charset=utf-8",
        ..text(
            "whatlang",
            "/?text=The+quick+brown+fox+jumps+over+the+lazy+dog%20%26%20barks",
            whatlang,
        )
    },
];

/// Requests with the same answer bytes from every build. Random functions get a seed.
pub const SEEDED: [(&str, &str); 8] = [
    ("aes", "/?length=1000&iterations=100&seed=7"),
    ("float-operation", "/?n=10000000"),
    ("float-operation", "/?n=-0.1234567890123"),
    ("linear-equations", "/?unknowns=128&seed=7"),
    ("matmul", "/?dimensions=50&seed=7"),
    ("n-body", "/?n=1000"),
    ("prime-numbers", "/?n=1000"),
    ("whatlang", "/?text=Wer+reitet+so+sp%C3%A4t"),
];

const fn text(name: &'static str, path: &'static str, body: fn(&str)) -> Function {
    Function {
        name,
        path,
        media_type: "text/plain",
        body,
    }
}

impl Function {
    /// Panics unless this is a right answer to the request.
    pub fn check(&self, answer: &Answer) {
        let context = format!("{}{}: {answer:?}", self.name, self.path);
        assert_eq!(answer.status, 200, "{context}");
        assert_eq!(answer.media_type(), self.media_type, "{context}");
        (self.body)(answer.text());
    }
}

fn aes(body: &str) {
    const LENGTH: usize = 40;
    // Base64 of the vector and the message, three bytes in four letters, without padding.
    const ENCODED: usize = ((16 + LENGTH) * 4).div_ceil(3);
    let (heading, rest) = body.split_once("\n\n").expect("a blank line");
    let message = heading.strip_prefix("CLEAR TEXT MESSAGE:");
    let message = message.expect("the heading");
    assert_eq!(message.len(), LENGTH, "{body}");
    assert!(message.bytes().all(|letter| letter.is_ascii_alphabetic()));
    let mut encrypted = HashSet::new();
    for record in rest.split("\n\n") {
        let (first, second) = record.trim_end_matches('\n').split_once('\n').expect("two");
        let code = first.strip_prefix("\tENCRYPTED: ").expect("the first line");
        assert_eq!(code.len(), ENCODED, "{body}");
        assert_eq!(second, format!("\tDECRYPTED: {message}"));
        assert!(encrypted.insert(code), "a vector is used twice: {body}");
    }
    assert_eq!(encrypted.len(), 3, "{body}");
}

fn float_operation(body: &str) {
    let expected = "Number: 10000000.000000\nSin: 0.420548\nCos: -0.907270\nSqrt: 3162.277660\n";
    assert_eq!(body, expected);
}

fn fuzzysearch(body: &str) {
    let lines = body
        .strip_prefix('[')
        .and_then(|body| body.strip_suffix(']'));
    let lines = lines
        .unwrap_or_else(|| panic!("no list: {body}"))
        .split(", ");
    let lines: Vec<usize> = lines.map(|line| line.parse().expect("a number")).collect();
    assert!(lines.is_sorted(), "{body}");
    assert!(lines.len() > 100, "Hamlet is named often in Hamlet: {body}");
}

fn linear_equations(body: &str) {
    assert_eq!(numbers(body), vec![1; 12], "{body}");
}

fn matmul(body: &str) {
    assert_eq!(numbers(body), vec![7; 7], "{body}");
}

fn n_body(body: &str) {
    assert_eq!(body.trim_end(), "-0.169075164\n-0.169087605");
}

fn prime_numbers(body: &str) {
    let expected = "The value is: [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, \
        61, 67, 71, 73, 79, 83, 89, 97]";
    assert_eq!(body.trim_end(), expected);
}

fn user_manager(body: &str) {
    assert_eq!(body.trim_end(), "Iterated 3 times");
}

fn whatlang(body: &str) {
    let text = "The quick brown fox jumps over the lazy dog &amp; barks";
    assert_eq!(body.trim_end(), format!("<i>{text}</i> = <b>eng</b>"));
}

/// The count of finite numbers in each line.
fn numbers(body: &str) -> Vec<usize> {
    let lines = body.lines().map(|line| {
        let numbers = line.split_whitespace();
        let finite = numbers.map(|number| number.parse::<f64>().expect("a number"));
        finite.filter(|number| number.is_finite()).count()
    });
    lines.collect()
}
