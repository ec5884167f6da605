//! The function `whatlang`: detects the language of a text.

use function::{Error, Request, Response};

/// The longest text, in bytes.
const MAX_LENGTH: usize = 10_000;

/// ISO 639-2's code for a text with an undetermined language.
const UNDETERMINED: &str = "und";

/// Answers a request.
pub(crate) fn handle(request: &Request<'_>) -> Result<Response, Error> {
    let text = request.query().text("text", MAX_LENGTH)?;
    let language = whatlang::detect_lang(&text).map_or(UNDETERMINED, |language| language.code());
    let mut body = String::with_capacity(text.len() + 64);
    body.push_str("<i>");
    escape(&text, &mut body);
    body.push_str("</i> = <b>");
    body.push_str(language);
    body.push_str("</b>");
    Ok(Response::html(body))
}

/// Appends `text`, escaped for HTML.
fn escape(text: &str, html: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
        html.push_str(&rest[..at]);
        html.push_str(match rest.as_bytes()[at] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            _ => "&#39;",
        });
        rest = &rest[at + 1..];
    }
    html.push_str(rest);
}

#[cfg(test)]
mod tests {
    use function::testing::{Pure, Upstream, body, check_refused, get};

    use super::*;

    #[test]
    fn languages_are_detected() {
        fn check(text: &str, expected: &str) {
            let body = body(
                &Pure(handle),
                &format!("/?text={text}"),
                &Upstream::answering(500, ""),
            );
            assert!(
                body.ends_with(&format!("</i> = <b>{expected}</b>")),
                "{body}"
            );
        }
        check("The+quick+brown+fox+jumps+over+the+lazy+dog", "eng");
        check(
            "Der%20schnelle%20braune%20Fuchs%20springt%20%C3%BCber%20den%20faulen%20Hund",
            "deu",
        );
        check(
            "%D0%9F%D1%80%D0%B8%D0%B2%D1%96%D1%82,%20%D1%8F%D0%BA%20%D1%81%D0%BF%D1%80%D0%B0%D0%B2%D0%B8",
            "ukr",
        );
        check("12345", "und");
    }

    #[test]
    fn the_text_is_escaped() {
        fn check(text: &str, expected: &str) {
            let mut html = String::new();
            escape(text, &mut html);
            assert_eq!(html, expected);
        }
        check("plain", "plain");
        check("<b>&\"'", "&lt;b&gt;&amp;&quot;&#39;");
        check("a<\u{e4}>b", "a&lt;\u{e4}&gt;b");
    }

    #[test]
    fn the_answer_is_html() {
        let response = get(&Pure(handle), "/?text=hello", &Upstream::answering(500, ""));
        assert_eq!(response.content_type(), "text/html; charset=utf-8");
    }

    #[test]
    fn text_is_required_and_bounded() {
        let long = format!("/?text={}", "a".repeat(MAX_LENGTH + 1));
        for target in ["/", "/?text=", "/?text=%ff", &long] {
            check_refused(&Pure(handle), target, "text");
        }
    }
}
