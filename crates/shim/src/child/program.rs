//! A program in the container's first process, or in one that is added: the process is handed to it.

use std::collections::HashMap;
use std::rc::Rc;

use libcontainer::workload::{
    Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError, default,
};
use oci_spec::runtime::Spec;

use super::guards::Guards;
use crate::control::messages::Message;
use crate::control::socket::ChildSocket;

/// Hands the process to a program of the container's.
#[derive(Clone)]
pub(super) struct ProgramExecutor {
    pub(super) link: Rc<ChildSocket>,
    pub(super) guards: Guards,
}

/// The home of a user without one, as with runc.
const HOME: &str = "/";

/// Where the C library looks for programs without a `PATH`.
const PATH: &str = "PATH=/bin:/usr/bin";

impl ProgramExecutor {
    fn run(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let labelled = self.guards.labels.label_program();
        labelled.map_err(|error| ExecutorError::Other(error.to_string()))?;
        // Returns only when it fails.
        default::get_executor().exec(spec)
    }
}

impl Executor for ProgramExecutor {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let failed = self.run(spec);
        if let Err(error) = &failed {
            let cause = match std::error::Error::source(error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            };
            let _ = self.link.send(&Message::Failed { cause });
        }
        failed
    }

    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        self.guards.validate()?;
        default::get_executor().validate(&with_path(spec.clone()))
    }

    fn setup_envs(&self, mut envs: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        let home = envs.entry("HOME".to_owned()).or_default();
        if home.is_empty() {
            HOME.clone_into(home);
        }
        default::get_executor().setup_envs(envs)
    }
}

/// libcontainer finds no program in an environment without `PATH`.
fn with_path(mut spec: Spec) -> Spec {
    if let Some(process) = spec.process_mut() {
        let mut environment = process.env().clone().unwrap_or_default();
        if !environment
            .iter()
            .any(|variable| variable.starts_with("PATH="))
        {
            environment.push(PATH.to_owned());
            process.set_env(Some(environment));
        }
    }
    spec
}
