//! Sends HTTP requests from inside a pod.

use std::time::{Duration, Instant};

use sampan_tests::Answer;

use crate::{Shell, TEST_TIMEOUT};

/// Sends an HTTP/1.0 request and waits for the whole answer, which ends with the connection. The
/// writing end stays open meanwhile, because closing it would look like a client that has gone
/// away.
const HTTP_GET: &str = r#"
asked=/tmp/asked.$$; mkfifo $asked
nc -w 60 "$1" "$3" < $asked & exec 3> $asked
printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' "$2" "$1" >&3
wait $!; ended=$?; rm $asked; exit $ended
"#;

/// The delay between two requests.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

impl Shell<'_> {
    /// Gets a path of a server on port 80, as a Service is.
    pub async fn get(&self, host: &str, path: &str) -> Answer {
        self.get_at(host, 80, path).await
    }

    /// Gets a path of a server; panics without an answer.
    pub async fn get_at(&self, host: &str, port: u16, path: &str) -> Answer {
        match self.try_get(host, port, path).await {
            Ok(answer) => answer,
            Err(said) => panic!("http://{host}:{port}{path}: {said}"),
        }
    }

    /// Gets a path of a server. Without an answer, the error is the output of the command.
    pub async fn try_get(&self, host: &str, port: u16, path: &str) -> Result<Answer, String> {
        let port = port.to_string();
        let said = self
            .try_run(&["sh", "-c", HTTP_GET, "ask", host, path, &port])
            .await?;
        parse(&said).ok_or(said)
    }

    /// Gets a path of a server on port 80 until the result meets the condition. There is no notice
    /// of when a node's kube-proxy has followed a change.
    pub async fn get_until(
        &self,
        host: &str,
        path: &str,
        is_so: impl Fn(&Result<Answer, String>) -> bool,
    ) {
        let begun = Instant::now();
        loop {
            let answer = self.try_get(host, 80, path).await;
            if is_so(&answer) {
                return;
            }
            assert!(
                begun.elapsed() < TEST_TIMEOUT,
                "http://{host}{path} never gives the expected answer: {answer:?}"
            );
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

/// Parses the status, the headers and the body.
fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?;
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(": ")?;
        Some((name.parse().ok()?, value.parse().ok()?))
    });
    Some(Answer {
        status: status.parse().ok()?,
        headers: headers.collect::<Option<_>>()?,
        body: body.to_owned().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_whole_or_not_at_all() {
        let answer =
            parse("HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\na\r\n\r\nb").unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.media_type(), "text/plain");
        assert_eq!(answer.text(), "a\r\n\r\nb");
        for said in ["", "nc: timed out", "HTTP/1.0 200 OK\r\n"] {
            assert!(parse(said).is_none(), "{said}");
        }
    }
}
