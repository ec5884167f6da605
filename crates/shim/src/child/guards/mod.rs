//! Guards of a container's process that libcontainer leaves out, or sets in another way than runc.
//!
//! They are taken out of the specification before libcontainer reads it. libcontainer calls an executor's `validate`
//! last, while the process waits for its start: [`Guards::validate`] drops the privileges there.

pub(super) mod error;
mod inherited;
mod label;
mod seccomp;

use libcontainer::capabilities;
use libcontainer::syscall::syscall::create_syscall;
use libcontainer::workload::ExecutorValidationError;
use oci_spec::runtime::{Capabilities, LinuxCapabilities, LinuxSeccomp, Process, Spec};

use self::error::GuardError;
use self::inherited::UMASK;
pub(super) use self::inherited::{reset_inherited, reset_signals};
use self::label::Labels;
use super::error::ChildError;

/// What a container's process sets itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Guards {
    pub(super) labels: Labels,
    capabilities: Option<LinuxCapabilities>,
    seccomp: Option<LinuxSeccomp>,
    no_new_privileges: bool,
    is_function: bool,
}

impl Guards {
    /// Takes them out of a container's specification.
    ///
    /// # Errors
    ///
    /// [`ChildError::Guard`] for a profile or label that this node cannot apply.
    pub(super) fn take(spec: &mut Spec, is_function: bool) -> Result<Self, ChildError> {
        let mount_label = spec
            .linux()
            .as_ref()
            .and_then(|linux| linux.mount_label().clone());
        label::check_mounts(mount_label.as_deref())?;
        let process = spec.process_mut().as_mut();
        let process = process.ok_or(ChildError::Missing("process"))?;
        let mut guards = Self::of_process(process)?;
        guards.is_function = is_function;
        if is_function {
            // It would hold for a program, and there is none.
            process.set_apparmor_profile(None);
        }
        if let Some(linux) = spec.linux_mut()
            && let Some(seccomp) = linux.seccomp().clone().filter(seccomp::is_ours)
        {
            linux.set_seccomp(None);
            guards.seccomp = Some(seccomp);
        }
        Ok(guards)
    }

    /// Takes them out of a process that is added to a container, which has this seccomp profile.
    ///
    /// # Errors
    ///
    /// [`ChildError::Guard`] for a profile or label that this node cannot apply.
    pub(super) fn take_added(
        process: &mut Process,
        seccomp: Option<LinuxSeccomp>,
    ) -> Result<Self, ChildError> {
        let mut guards = Self::of_process(process)?;
        if seccomp
            .as_ref()
            .is_some_and(|profile| !seccomp::is_ours(profile))
        {
            return Err(ChildError::Guard(GuardError::Listener));
        }
        guards.seccomp = seccomp;
        Ok(guards)
    }

    fn of_process(process: &mut Process) -> Result<Self, ChildError> {
        let no_new_privileges = process.no_new_privileges() == Some(true);
        // libcontainer takes `false` for a wish to load a seccomp profile without the privilege to do so.
        process.set_no_new_privileges(no_new_privileges.then_some(true));
        let mut user = process.user().clone();
        user.set_umask(user.umask().or(Some(UMASK)));
        process.set_user(user);
        let capabilities = process.capabilities().as_ref().map(complete);
        process.set_capabilities(None);
        Ok(Self {
            labels: Labels::of(process)?,
            capabilities,
            seccomp: None,
            no_new_privileges,
            is_function: false,
        })
    }

    /// Drops the process's privileges where an executor validates its specification: the last that libcontainer has it
    /// do.
    ///
    /// # Errors
    ///
    /// The guard that could not be set, as the executor reports it.
    pub(super) fn validate(&self) -> Result<(), ExecutorValidationError> {
        let dropped = self.drop_privileges().map_err(ChildError::Guard);
        dropped.map_err(|error| ExecutorValidationError::ArgValidationError(error.to_string()))
    }

    /// Loads the seccomp profile and drops capabilities. A profile that comes without `noNewPrivileges` needs
    /// `CAP_SYS_ADMIN`; otherwise it comes last, so that it need not allow what drops capabilities.
    ///
    /// # Errors
    ///
    /// [`GuardError`] for the guard that could not be set.
    fn drop_privileges(&self) -> Result<(), GuardError> {
        let seccomp = || match &self.seccomp {
            Some(profile) if self.is_function => seccomp::load(profile),
            Some(profile) => seccomp::load_for_program(profile),
            None => Ok(()),
        };
        if !self.no_new_privileges {
            seccomp()?;
        }
        if let Some(capabilities) = &self.capabilities {
            capabilities::drop_privileges(capabilities, create_syscall().as_ref())
                .map_err(GuardError::Capabilities)?;
        }
        if self.no_new_privileges {
            seccomp()?;
        }
        Ok(())
    }
}

/// A set that is not there is empty. libcontainer leaves it as it was.
fn complete(given: &LinuxCapabilities) -> LinuxCapabilities {
    let set = |set: &Option<Capabilities>| Some(set.clone().unwrap_or_default());
    let mut all = LinuxCapabilities::default();
    all.set_bounding(set(given.bounding()));
    all.set_effective(set(given.effective()));
    all.set_permitted(set(given.permitted()));
    all.set_inheritable(set(given.inheritable()));
    all.set_ambient(set(given.ambient()));
    all
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(process: &Value, seccomp: &Value) -> Spec {
        let mut whole = json!({
            "ociVersion": "1.2.0",
            "process": { "cwd": "/", "args": ["a"], "user": { "uid": 0, "gid": 0 } },
            "linux": { "seccomp": seccomp },
        });
        let fields = process.as_object().expect("an object").clone();
        whole["process"]
            .as_object_mut()
            .expect("there")
            .extend(fields);
        serde_json::from_value(whole).expect("a spec")
    }

    #[test]
    fn libcontainer_gets_nothing_that_it_would_set_in_another_way() {
        let profile = json!({ "defaultAction": "SCMP_ACT_ERRNO" });
        let process =
            json!({ "noNewPrivileges": false, "capabilities": { "effective": ["CAP_CHOWN"] } });
        let mut spec = spec(&process, &profile);
        let guards = Guards::take(&mut spec, false).expect("guards");
        let process = spec.process().as_ref().expect("there");
        assert_eq!(process.no_new_privileges(), None);
        assert_eq!(process.capabilities(), &None);
        assert_eq!(process.user().umask(), Some(0o022));
        assert_eq!(spec.linux().as_ref().expect("there").seccomp(), &None);
        assert!(guards.seccomp.is_some());
        assert!(!guards.no_new_privileges);
        let capabilities = guards.capabilities.expect("there");
        let count = |set: &Option<Capabilities>| set.as_ref().map(Capabilities::len);
        assert_eq!(count(capabilities.effective()), Some(1));
        assert_eq!(count(capabilities.bounding()), Some(0));
        assert_eq!(count(capabilities.inheritable()), Some(0));
        assert_eq!(count(capabilities.ambient()), Some(0));
    }

    #[test]
    fn what_is_asked_for_is_kept() {
        let process =
            json!({ "noNewPrivileges": true, "user": { "uid": 1, "gid": 1, "umask": 63 } });
        let mut spec = spec(&process, &Value::Null);
        let guards = Guards::take(&mut spec, false).expect("guards");
        assert!(guards.no_new_privileges);
        assert!(guards.capabilities.is_none());
        let process = spec.process().as_ref().expect("there");
        assert_eq!(process.no_new_privileges(), Some(true));
        assert_eq!(process.user().umask(), Some(63));
    }

    #[test]
    fn a_profile_with_a_listener_is_left_to_libcontainer() {
        let rule = json!({ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" });
        let profile = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] });
        let mut spec = spec(&json!({}), &profile);
        let guards = Guards::take(&mut spec, false).expect("guards");
        assert!(guards.seccomp.is_none());
        assert!(spec.linux().as_ref().expect("there").seccomp().is_some());
        // libcontainer does not hand over the listener of an added program.
        let mut process = spec.process().clone().expect("there");
        let profile = spec.linux().as_ref().expect("there").seccomp().clone();
        let refused = Guards::take_added(&mut process, profile).expect_err("refused");
        assert!(refused.to_string().contains("SCMP_ACT_NOTIFY"), "{refused}");
    }
}
