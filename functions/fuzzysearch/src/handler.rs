//! The function `fuzzysearch`: lists the lines of a text that resemble a phrase.
//!
//! Every request fetches the text and builds its index.

use function::{
    Error, Http, OutboundError, OutboundRequest, Request, Response, Url, url_from_environment,
};
use simsearch::SimSearch;

/// The variable with the URL of the text.
const TEXT_URL: &str = "TEXT_URL";

/// The longest phrase, in bytes.
const MAX_PHRASE_LENGTH: usize = 200;

/// The longest text, in bytes. *Hamlet* has 190,000.
const MAX_TEXT_LENGTH: usize = 2 * 1024 * 1024;

/// The most lines of a text, because an empty one takes memory too.
const MAX_LINES: usize = 65_536;

/// Answers a request.
pub(crate) async fn handle(request: &Request<'_>, http: &impl Http) -> Result<Response, Error> {
    search(request, url_from_environment(TEXT_URL), http).await
}

async fn search(
    request: &Request<'_>,
    url: Result<Url, Error>,
    http: &impl Http,
) -> Result<Response, Error> {
    let phrase = request.query().text("search", MAX_PHRASE_LENGTH)?;
    let request = OutboundRequest {
        url: &url?,
        json: None,
        longest: MAX_TEXT_LENGTH,
    };
    let answer = http.send(request).await.map_err(Error::Upstream)?;
    if !answer.is_success() {
        return Err(Error::UpstreamStatus {
            status: answer.status,
        });
    }
    let lines = matching_lines(&String::from_utf8_lossy(&answer.body), &phrase)?;
    Ok(Response::text(listing(&lines)))
}

fn matching_lines(text: &str, phrase: &str) -> Result<Vec<usize>, Error> {
    let mut index = SimSearch::new();
    for (number, line) in text.lines().enumerate() {
        if number == MAX_LINES {
            return Err(Error::Upstream(OutboundError::Unusable(
                "has more than 65536 lines",
            )));
        }
        index.insert(number, line);
    }
    let mut lines = index.search(phrase);
    lines.sort_unstable();
    Ok(lines)
}

fn listing(lines: &[usize]) -> Vec<u8> {
    let mut body = Vec::with_capacity(2 + lines.len() * 7);
    body.push(b'[');
    let mut digits = itoa::Buffer::new();
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            body.extend_from_slice(b", ");
        }
        body.extend_from_slice(digits.format(*line).as_bytes());
    }
    body.push(b']');
    body
}

#[cfg(test)]
mod tests {
    use function::Function;
    use function::testing::{Upstream, body, check_refused, get};

    use super::*;

    /// The function with a fixed URL in place of the environment's.
    struct Configured;

    impl Function for Configured {
        async fn handle(&self, request: &Request<'_>, http: &impl Http) -> Result<Response, Error> {
            let url = Url::parse("http://127.0.0.1:8091/hamlet.txt").expect("a URL");
            search(request, Ok(url), http).await
        }
    }

    const TEXT: &str =
        "To be, or not to be\n\nHAMLET\r\nThe lord Hamlet, and\nNow, mother\nHamelt's ghost";

    #[test]
    fn lines_that_resemble_the_phrase_are_listed() {
        fn check(phrase: &str, expected: &str) {
            let upstream = Upstream::answering(200, TEXT);
            assert_eq!(
                body(&Configured, &format!("/?search={phrase}"), &upstream),
                expected
            );
        }
        check("Hamlet", "[2, 3, 5]");
        check("hamlets", "[2, 3, 5]");
        check("mother", "[3, 4]");
        check("zzz", "[]");
    }

    #[test]
    fn the_text_is_fetched_once_a_request() {
        let upstream = Upstream::answering(200, TEXT);
        body(&Configured, "/?search=lord", &upstream);
        let expected = ("http://127.0.0.1:8091/hamlet.txt".to_owned(), Vec::new());
        assert_eq!(upstream.received(), [expected]);
    }

    #[test]
    fn a_failing_upstream_is_reported() {
        fn check(status: u16, text: String, expected: &str) {
            let response = get(
                &Configured,
                "/?search=a",
                &Upstream::answering(status, text),
            );
            assert_eq!(response.status(), 502);
            assert_eq!(
                String::from_utf8_lossy(response.body()),
                format!("{expected}\n")
            );
        }
        check(404, "not here".to_owned(), "upstream answered 404");
        check(302, String::new(), "upstream answered 302");
        check(
            200,
            "a".repeat(MAX_TEXT_LENGTH + 1),
            "upstream failed: its answer is longer than 2097152 bytes",
        );
        check(
            200,
            "\n".repeat(MAX_LINES + 1),
            "upstream failed: its answer has more than 65536 lines",
        );
    }

    #[test]
    fn the_phrase_is_required_and_bounded() {
        let long = format!("/?search={}", "a".repeat(MAX_PHRASE_LENGTH + 1));
        for target in ["/", "/?search=", "/?search=%ff", &long] {
            check_refused(&Configured, target, "search");
        }
    }
}
