//! Requests for single objects, to which functions refer after the first list of their kind.
//!
//! A request that fails is repeated after a wait, and holds no other one up meanwhile.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::backoff::doubled;
use crate::objects::ObjectKey;

/// Requests for objects of one kind at once.
const CONCURRENT_REQUESTS: usize = 8;

/// The first and the longest wait after a failed request.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Asks for each name until `ask` says that it has an answer. Ends when no more names can come.
pub(crate) async fn look_up<A, F>(mut names: mpsc::UnboundedReceiver<ObjectKey>, ask: A)
where
    A: Fn(ObjectKey) -> F,
    F: Future<Output = bool>,
{
    let mut is_open = true;
    let mut queue: VecDeque<(ObjectKey, u32)> = VecDeque::new();
    let (mut asking, mut waiting) = (FuturesUnordered::new(), FuturesUnordered::new());
    loop {
        while asking.len() < CONCURRENT_REQUESTS
            && let Some((key, failed)) = queue.pop_front()
        {
            let asked = ask(key.clone());
            asking.push(async move { (key, failed, asked.await) });
        }
        tokio::select! {
            Some((key, failed, is_answered)) = asking.next(), if !asking.is_empty() => {
                if !is_answered {
                    waiting.push(async move {
                        sleep(wait(failed)).await;
                        (key, failed.saturating_add(1))
                    });
                }
            }
            Some(again) = waiting.next(), if !waiting.is_empty() => queue.push_back(again),
            key = names.recv(), if is_open => match key {
                Some(key) => queue.push_back((key, 0)),
                None => is_open = false,
            },
            else => return,
        }
    }
}

/// The wait after a failed request, before which so many have failed.
fn wait(failed: u32) -> Duration {
    doubled(FIRST_WAIT, LONGEST_WAIT, failed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn names_that_fail_hold_no_other_up() {
        let (added, names) = mpsc::unbounded_channel();
        let asked = Mutex::new(BTreeMap::<String, u32>::new());
        let looking = look_up(names, |key| {
            let mut asked = asked.lock().expect("no panic");
            let times = asked.entry(key.name.clone()).or_default();
            *times += 1;
            // The last one that fails is answered in the end.
            let is_answered = key.name == "good" || *times == 2;
            async move { is_answered }
        });
        for number in 0..2 * CONCURRENT_REQUESTS {
            let key = ObjectKey::secret(format!("bad-{number}"));
            added.send(key).expect("it receives");
        }
        added.send(ObjectKey::secret("good")).expect("it receives");
        let first = async {
            loop {
                if asked.lock().expect("no panic").contains_key("good") {
                    return asked.lock().expect("no panic").values().copied().max();
                }
                tokio::task::yield_now().await;
            }
        };
        let mut looking = std::pin::pin!(looking);
        let most = tokio::select! {
            biased;
            most = first => most,
            () = &mut looking => None,
        };
        assert_eq!(most, Some(1), "no name is asked twice before the last");
        drop(added);
        looking.await;
        let asked = asked.lock().expect("no panic");
        let bad = asked.iter().filter(|(name, _)| name.starts_with("bad"));
        assert!(bad.clone().all(|(_, times)| *times == 2), "{asked:?}");
        assert_eq!(asked.get("good"), Some(&1));
    }

    #[test]
    fn waits_double_and_are_bounded() {
        let check = |failed, expected| assert_eq!(wait(failed), Duration::from_millis(expected));
        check(0, 500);
        check(1, 1000);
        check(6, 30_000);
        check(u32::MAX, 30_000);
    }
}
