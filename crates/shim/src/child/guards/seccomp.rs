//! Seccomp profiles, as runc loads them.

use libcontainer::seccomp::{initialize_seccomp, is_notify};
use libseccomp::error::SeccompError;
use libseccomp::{ScmpAction, ScmpFilterContext, ScmpSyscall};
use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction};
use rustix::io::Errno;

use super::error::GuardError;

/// The highest number of a call that is answered. Linux 6.18 has calls up to 470, and gets a handful a year.
const HIGHEST: i32 = 639;

/// Whether the container's process loads a profile. One with a listener is libcontainer's, which hands the listener over.
pub(super) fn is_ours(profile: &LinuxSeccomp) -> bool {
    !is_notify(profile)
}

/// Loads a profile. What serves functions uses no call that it could do without.
///
/// # Errors
///
/// [`GuardError::Seccomp`].
pub(super) fn load(profile: &LinuxSeccomp) -> Result<(), GuardError> {
    initialize_seccomp(profile).map_err(GuardError::Seccomp)?;
    Ok(())
}

/// Loads a profile, and has calls that are newer than it not exist.
///
/// # Errors
///
/// [`GuardError::Seccomp`] or [`GuardError::UnknownCalls`].
pub(super) fn load_for_program(profile: &LinuxSeccomp) -> Result<(), GuardError> {
    load(profile)?;
    match first_unknown(profile) {
        Some(first) => answer_unknown(first).map_err(GuardError::UnknownCalls),
        None => Ok(()),
    }
}

/// The first call that is newer than all that a profile names, if such calls are to fail with ENOSYS: C
/// libraries try new calls first, and take EPERM for an answer of the call itself. None where the profile lets such calls
/// through, answers that way itself, or does not let another filter be loaded after it.
fn first_unknown(profile: &LinuxSeccomp) -> Option<i32> {
    let lets_through = matches!(
        profile.default_action(),
        LinuxSeccompAction::ScmpActAllow
            | LinuxSeccompAction::ScmpActLog
            | LinuxSeccompAction::ScmpActTrace
    );
    let missing = u32::try_from(Errno::NOSYS.raw_os_error()).ok();
    if lets_through || profile.default_errno_ret() == missing || !allows(profile, "seccomp") {
        return None;
    }
    let rules = profile.syscalls().iter().flatten();
    let names = rules.flat_map(oci_spec::runtime::LinuxSyscall::names);
    let known = names.filter_map(|name| ScmpSyscall::from_name(name).ok());
    let last = known.map(ScmpSyscall::as_raw_syscall).max()?;
    (0..HIGHEST).contains(&last).then_some(last + 1)
}

fn allows(profile: &LinuxSeccomp, call: &str) -> bool {
    let mut rules = profile.syscalls().iter().flatten();
    rules.any(|rule| {
        rule.action() == LinuxSeccompAction::ScmpActAllow
            && rule.args().as_ref().is_none_or(Vec::is_empty)
            && rule.names().iter().any(|name| name == call)
    })
}

/// Of two filters that answer with an error, the kernel takes the answer of the one that was loaded later.
fn answer_unknown(first: i32) -> Result<(), SeccompError> {
    let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
    // Other architectures of the same machine have other numbers, and what the profile says of them.
    filter.set_act_badarch(ScmpAction::Allow)?;
    filter.set_ctl_nnp(false)?;
    // A tree of comparisons instead of a list.
    filter.set_ctl_optimize(2)?;
    let missing = ScmpAction::Errno(Errno::NOSYS.raw_os_error());
    for call in first..=HIGHEST {
        filter.add_rule(missing, ScmpSyscall::from(call))?;
    }
    filter.load()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn calls_newer_than_a_profile_do_not_exist_where_it_refuses_others() {
        let check = |profile: Value, expected: Option<&str>| {
            let text = profile.to_string();
            let profile = serde_json::from_value(profile).expect("a profile");
            let after = expected.map(|name| ScmpSyscall::from_name(name).expect("a call"));
            let after = after.map(|call| call.as_raw_syscall() + 1);
            assert_eq!(first_unknown(&profile), after, "{text}");
        };
        let rule = |names: &[&str]| json!({ "names": names, "action": "SCMP_ACT_ALLOW" });
        let profile =
            |action: &str, rules: &[Value]| json!({ "defaultAction": action, "syscalls": rules });
        let usual = rule(&["read", "seccomp", "statx", "no_such_call"]);
        check(
            profile("SCMP_ACT_ERRNO", std::slice::from_ref(&usual)),
            Some("statx"),
        );
        check(
            profile("SCMP_ACT_KILL_PROCESS", std::slice::from_ref(&usual)),
            Some("statx"),
        );
        check(
            profile("SCMP_ACT_ALLOW", std::slice::from_ref(&usual)),
            None,
        );
        check(profile("SCMP_ACT_LOG", std::slice::from_ref(&usual)), None);
        check(profile("SCMP_ACT_ERRNO", &[rule(&["read"])]), None);
        let mut answers = profile("SCMP_ACT_ERRNO", &[usual]);
        answers["defaultErrnoRet"] = json!(Errno::NOSYS.raw_os_error());
        check(answers, None);
    }
}
