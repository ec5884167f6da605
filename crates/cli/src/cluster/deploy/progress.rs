//! How things stand while functions are waited for: a line each that changes on a terminal, and a line for each
//! change elsewhere. Both go to standard error.

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::shown::one_line;
use crate::terminal::is_interactive;

/// How often the spinners move.
const TICK: Duration = Duration::from_millis(120);

/// The most characters of a line on a terminal, so that it stays one.
const MOST: usize = 160;

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
    /// With spinners if a person watches.
    pub(super) fn new() -> Self {
        let board = is_interactive(&io::stderr())
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        Self { board }
    }

    /// A line for a function.
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

    /// Leaves the terminal as it was.
    pub(super) fn finish(&self) {
        if let Some(board) = &self.board {
            // What cannot be cleared away does no harm.
            let _ = board.clear();
        }
    }
}

impl Line {
    /// Says how it stands.
    pub(super) fn show(&self, text: &str) {
        let text = one_line(text);
        let line = format!("{}: {text}", self.name);
        if let Some(bar) = &self.bar {
            bar.set_message(line.chars().take(MOST).collect::<String>());
        } else if self.last.replace(text.clone()) != text {
            // The answer on standard output still tells.
            let _ = writeln!(io::stderr(), "{line}");
        }
    }

    /// There is nothing more to say.
    pub(super) fn over(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
