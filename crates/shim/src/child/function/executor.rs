//! The code of a function's process after libcontainer lets it start: lets go of the node, and runs the function.

use std::collections::HashSet;
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};

use libcontainer::workload::{Executor, ExecutorError, ExecutorValidationError};
use oci_spec::runtime::Spec;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use super::{FunctionExecutor, command, serve};
use crate::child::error::ChildError;
use crate::control::messages::Message;

impl Executor for FunctionExecutor {
    fn exec(&self, _: &Spec) -> Result<(), ExecutorError> {
        // Its privileges are gone, so that it may be looked at like any process of its user's, and may
        // look at itself.
        let looked_at = set_dumpable_behavior(DumpableBehavior::Dumpable);
        // What it is called in lists of processes is of no consequence.
        let _ = std::fs::write("/proc/self/comm", self.function.name.as_str());
        // No program is executed that would get them, and nothing of the module has been read.
        let confined = self.guards.labels.change();
        let closed = self.close_all_others();
        let ran = looked_at
            .map_err(std::io::Error::from)
            .and(closed)
            .map_err(ChildError::system("letting go of the node"))
            .and(confined.map_err(ChildError::Guard))
            .and_then(|()| self.run());
        let code = ran.unwrap_or_else(|error| {
            // A supervisor that is gone does not want to know.
            let _ = self.link.send(&Message::Failed {
                cause: error.to_string(),
            });
            1
        });
        // Nothing of libcontainer is to run after a function has.
        std::process::exit(code)
    }

    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        self.guards.validate()
    }
}

impl FunctionExecutor {
    fn run(&self) -> Result<i32, ChildError> {
        if self.is_command {
            command::run(self)
        } else {
            serve::serve(self)
        }
    }

    /// What this process has open of its parent's: it is a fork, and never replaces its program.
    fn close_all_others(&self) -> std::io::Result<()> {
        let modules = [Some(&self.prepared), self.warm_up.as_ref()];
        let keep: HashSet<RawFd> = modules
            .into_iter()
            .flatten()
            .map(|module| module.as_fd().as_raw_fd())
            .chain([self.link.as_fd().as_raw_fd()])
            .collect();
        let open: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        for fd in open {
            if fd > 2 && !keep.contains(&fd) {
                // The folder's own descriptor is closed by now.
                let _ = nix::unistd::close(fd);
            }
        }
        Ok(())
    }
}
