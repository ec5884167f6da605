//! Sends requests without a pause from inside a pod, while something happens to their target.

use tokio::time::timeout;

use crate::{Shell, TEST_TIMEOUT};

/// Sends requests until its file is gone, each over a new connection, and then prints the counts.
/// The writing end of a connection stays open until the answer is there, because closing it would
/// look like a client that has gone away.
const SCRIPT: &str = r#"
touch /tmp/load; good=0; bad=0; mkfifo /tmp/asked
while [ -e /tmp/load ]; do
  nc -w 10 "$1" 80 < /tmp/asked > /tmp/answer 2>&1 & exec 3> /tmp/asked
  printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' "$2" "$1" >&3
  wait $!; exec 3>&-
  if head -n 1 /tmp/answer | grep -q ' 200 '; then good=$((good+1)); else bad=$((bad+1)); head -c 300 /tmp/answer >> /tmp/failures; fi
  echo $good > /tmp/good
done
echo $good $bad; cat /tmp/failures 2>/dev/null
"#;

/// A running load.
pub struct Load<'a> {
    shell: &'a Shell<'a>,
}

/// The result of a load.
#[derive(Debug)]
pub struct Outcome {
    /// The count of requests with the status 200.
    pub good: u64,
    /// The count of other requests.
    pub bad: u64,
    /// The beginnings of the other answers.
    pub failures: String,
}

impl<'a> Load<'a> {
    /// Starts the load, and waits for the first answers.
    pub async fn start(shell: &'a Shell<'a>, host: &str, path: &str) -> Load<'a> {
        let background = format!("({SCRIPT}) > /tmp/outcome 2>&1 &");
        shell
            .run(&["sh", "-c", &background, "load", host, path])
            .await;
        let load = Load { shell };
        load.wait_for_requests().await;
        load
    }

    /// Waits until some more requests have been answered.
    pub async fn wait_for_requests(&self) {
        let more = async {
            let mut enough = None;
            loop {
                // The count cannot be read while containerd is away, or before the first answer.
                if let Some(good) = self.good().await
                    && good >= *enough.get_or_insert(good + 5)
                {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let answered = timeout(TEST_TIMEOUT, more).await;
        answered.unwrap_or_else(|_| panic!("no request is answered any more"));
    }

    /// Stops the load, and returns its result.
    pub async fn stop(self) -> Outcome {
        self.shell.until(&["rm", "-f", "/tmp/load"]).await;
        let said = self
            .shell
            .until(&["grep", "-E", "^[0-9]+ [0-9]+$", "/tmp/outcome"])
            .await;
        let failures = self.shell.run(&["cat", "/tmp/outcome"]).await;
        let mut numbers = said
            .split_whitespace()
            .map(|number| number.parse().expect("a number"));
        Outcome {
            good: numbers.next().expect("the good ones"),
            bad: numbers.next().expect("the bad ones"),
            failures,
        }
    }

    async fn good(&self) -> Option<u64> {
        let said = self.shell.try_run(&["cat", "/tmp/good"]).await;
        said.ok().and_then(|said| said.trim().parse().ok())
    }
}
