//! Whether the program is ready for work, as the admin server tells it.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

/// Ready, or the reason why not. Clones share one state; it starts as not ready.
#[derive(Clone, Debug)]
pub struct Health(Arc<RwLock<Option<Cow<'static, str>>>>);

impl Health {
    /// Not ready yet, for a reason such as "loading functions".
    pub fn not_ready(reason: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(RwLock::new(Some(reason.into()))))
    }

    /// The program takes work from now on.
    pub fn set_ready(&self) {
        self.set(None);
    }

    /// The program takes no work from now on, for a reason such as "shutting down".
    pub fn set_not_ready(&self, reason: impl Into<Cow<'static, str>>) {
        self.set(Some(reason.into()));
    }

    /// Why the program takes no work, or `None` when it does.
    pub fn reason(&self) -> Option<Cow<'static, str>> {
        // Nothing can panic while the lock is held, so a poisoned one holds a whole value.
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, reason: Option<Cow<'static, str>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = reason;
    }
}
