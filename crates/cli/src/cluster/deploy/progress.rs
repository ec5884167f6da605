//! Progress on standard error while functions become ready.
//!
//! On a terminal, each function has one line that changes; elsewhere, each change is a line.

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::sanitize::one_line;
use crate::terminal::is_interactive;

/// The interval of spinner frames.
const TICK: Duration = Duration::from_millis(120);

/// The most characters of a line on a terminal, so that it does not wrap.
const MAX_LINE: usize = 160;

/// The lines of all functions.
pub(super) struct Progress {
    board: Option<MultiProgress>,
}

/// The line of one function.
pub(super) struct Line {
    name: String,
    bar: Option<ProgressBar>,
    last: RefCell<String>,
}

impl Progress {
    /// Uses spinners on an interactive terminal.
    pub(super) fn new() -> Self {
        let board = is_interactive(&io::stderr())
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        Self { board }
    }

    /// Adds a line for a function.
    pub(super) fn line(&self, name: &str) -> Line {
        let bar = self.board.as_ref().map(|board| {
            let bar = board.add(ProgressBar::new_spinner());
            // The template is a constant; the default one would do as well.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(TICK);
            bar
        });
        Line {
            name: one_line(name),
            bar,
            last: RefCell::default(),
        }
    }

    /// Restores the terminal.
    pub(super) fn finish(&self) {
        if let Some(board) = &self.board {
            // Lines that cannot be cleared do no harm.
            let _ = board.clear();
        }
    }
}

impl Line {
    /// Shows the current state.
    pub(super) fn show(&self, text: &str) {
        let text = one_line(text);
        let line = format!("{}: {text}", self.name);
        if let Some(bar) = &self.bar {
            bar.set_message(line.chars().take(MAX_LINE).collect::<String>());
        } else if self.last.replace(text.clone()) != text {
            // The result on standard output is unaffected.
            let _ = writeln!(io::stderr(), "{line}");
        }
    }

    /// Removes the line.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
