//! Measures many replicas from none: the time from the request for them to the first answer of
//! each, and of the last one.

use std::collections::BTreeSet;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::Bench;
use crate::load::{Target, microseconds};
use crate::plan::Unit;
use crate::sample::{Record, Series};

/// How long all replicas may take to answer.
const ALL_ANSWERS_TIMEOUT: Duration = Duration::from_mins(5);
/// The delay between two rounds of requests.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

impl Bench {
    pub(super) async fn burst(&mut self, unit: &Unit, count: u32) -> Result<Vec<Record>> {
        let Unit { function, kind, .. } = unit;
        let path = self.fleet.images.function(function)?.path();
        let mut replicas = self.fleet.empty(function, *kind).await?;
        let (send, targets) = mpsc::channel();
        let netns_thread = self.fleet.netns_thread.clone();
        let asking = netns_thread.run(move || answers(&targets, count as usize));
        let watching = async {
            let mut known = BTreeSet::new();
            while known.len() < count as usize {
                let new = replicas
                    .until("another one is reachable", |seen| {
                        let new: Vec<_> = seen
                            .values()
                            .filter(|replica| {
                                replica.is_reachable() && !known.contains(&replica.name)
                            })
                            .cloned()
                            .collect();
                        (!new.is_empty()).then_some(new)
                    })
                    .await?;
                for replica in new {
                    // If the receiver has ended, its own result has the error.
                    drop(send.send(replica.target(&path)?));
                    known.insert(replica.name);
                }
            }
            anyhow::Ok(())
        };
        // Concurrently: the first functions of a pool answer before the last one is created.
        let begun = Instant::now();
        let growing = self.fleet.grow(function, *kind, count);
        let (answers, (), ()) = tokio::try_join!(asking, growing, watching)?;
        let mut times: Vec<u64> = answers
            .into_iter()
            .map(|answer| microseconds(answer.saturating_duration_since(begun)))
            .collect();
        times.sort_unstable();
        let last = times.last().copied().unwrap_or_default();
        self.fleet.clear().await?;
        Ok(vec![
            Record::new(unit, Series::BurstAnswer, times),
            Record::new(unit, Series::BurstAll, vec![last]),
        ])
    }
}

/// Requests an answer of all arriving replicas until each has answered, and returns the time of each
/// answer.
fn answers(targets: &mpsc::Receiver<Target>, count: usize) -> Result<Vec<Instant>> {
    let begun = Instant::now();
    let mut silent: Vec<Target> = Vec::new();
    let mut answers = Vec::new();
    while answers.len() < count {
        loop {
            match targets.try_recv() {
                Ok(target) => silent.push(target),
                Err(TryRecvError::Disconnected) if silent.is_empty() => {
                    bail!("only {} of {count} replicas started", answers.len());
                }
                Err(_) => break,
            }
        }
        silent.retain(|target| match target.once() {
            Ok(Some(_)) => {
                answers.push(Instant::now());
                false
            }
            _ => true,
        });
        if begun.elapsed() > ALL_ANSWERS_TIMEOUT {
            bail!(
                "after {ALL_ANSWERS_TIMEOUT:?}, {} of {count} replicas have answered",
                answers.len()
            );
        }
        thread::sleep(POLL_INTERVAL);
    }
    Ok(answers)
}
