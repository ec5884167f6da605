//! Terminal spinners for functions that are being compiled.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The interval of spinner frames.
const TICK: Duration = Duration::from_millis(120);

/// The spinners; none without an interactive terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    board: Option<MultiProgress>,
    bars: BTreeMap<String, ProgressBar>,
}

impl Progress {
    /// Uses spinners if standard error is an interactive terminal.
    pub(crate) fn new(interactive: bool) -> Self {
        let board =
            interactive.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        Self {
            board,
            bars: BTreeMap::new(),
        }
    }

    /// Shows exactly one spinner for each of these.
    pub(crate) fn show(&mut self, waiting: &[(String, Instant)]) {
        let Some(board) = &self.board else {
            return;
        };
        self.bars.retain(|name, bar| {
            let stays = waiting.iter().any(|(waiting, _)| waiting == name);
            if !stays {
                bar.finish_and_clear();
                board.remove(bar);
            }
            stays
        });
        for (name, since) in waiting {
            if self.bars.contains_key(name) {
                continue;
            }
            let bar = board.add(ProgressBar::new_spinner().with_elapsed(since.elapsed()));
            // The template is a constant; the default one would do as well.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.set_message(format!("compiling {name}"));
            bar.enable_steady_tick(TICK);
            self.bars.insert(name.clone(), bar);
        }
    }

    /// Hides the spinners while `act` writes to the terminal.
    pub(crate) fn aside<T>(&self, act: impl FnOnce() -> T) -> T {
        match &self.board {
            Some(board) => board.suspend(act),
            None => act(),
        }
    }
}
