//! Readiness of the program, for the admin server.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

/// Readiness, or the reason why not. Clones share one state, which starts as not ready.
#[derive(Clone, Debug)]
pub struct Health(Arc<RwLock<Option<Cow<'static, str>>>>);

impl Health {
    /// Starts as not ready, for a reason such as "loading functions".
    pub fn not_ready(reason: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(RwLock::new(Some(reason.into()))))
    }

    /// Sets the program ready.
    pub fn set_ready(&self) {
        self.set(None);
    }

    /// Sets the program not ready, for a reason such as "shutting down".
    pub fn set_not_ready(&self, reason: impl Into<Cow<'static, str>>) {
        self.set(Some(reason.into()));
    }

    /// The reason why the program is not ready, or `None` if it is.
    pub fn reason(&self) -> Option<Cow<'static, str>> {
        // No code panics while the lock is held, so a poisoned one holds a whole value.
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, reason: Option<Cow<'static, str>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = reason;
    }
}
