//! Ports of the pool's functions: each listens on its own, and a port has one listener.

use super::{Inner, Pool};
use crate::error::PoolError;
use crate::function::Task;

impl Pool {
    /// Opens the port of a function, unless it is open or the function is being restored.
    pub(super) fn open_port(&mut self, uid: &str) {
        let Some(function) = self.functions.get_mut(uid) else {
            return;
        };
        if function.is_restoring() {
            return;
        }
        let wanted = function.resource.port;
        if !function.port.differs(wanted) {
            (function.port.failure, function.port.retry) = (None, None);
            return;
        }
        self.free(wanted);
        let Some(function) = self.functions.get_mut(uid) else {
            return;
        };
        match self.parts.ports.add(wanted, function.routes.clone()) {
            Ok(listener) => {
                // The former port, if there is one, drains on its own.
                let before = function.port.open.replace((wanted, listener));
                (function.port.failure, function.port.retry) = (None, None);
                function.port.failed = 0;
                if let Some((before, _)) = before {
                    self.release(uid, before);
                }
                self.holders.insert(wanted, uid.to_owned());
            }
            Err(source) => {
                let port = wanted;
                function.port.failed = function.port.failed.saturating_add(1);
                function.port.failure = Some(PoolError::Port { port, source });
                let wait = function.port.wait();
                let retry = Task(self.later(wait, Inner::RetryPort(uid.to_owned())));
                if let Some(function) = self.functions.get_mut(uid) {
                    function.port.retry = Some(retry);
                }
            }
        }
    }

    /// Closes a port that its function has to leave: two functions that swap their ports would wait
    /// for each other, and answer each other's callers.
    fn free(&mut self, port: u16) {
        let Some(holder) = self.holders.get(&port).cloned() else {
            return;
        };
        let Some(function) = self.functions.get_mut(&holder) else {
            return;
        };
        if function.resource.port != port {
            function.port.open = None;
            self.release(&holder, port);
            self.publish(&holder);
        }
    }

    /// Records that a function does not listen on a port any more.
    pub(super) fn release(&mut self, uid: &str, port: u16) {
        if self.holders.get(&port).is_some_and(|holder| holder == uid) {
            self.holders.remove(&port);
        }
    }
}
