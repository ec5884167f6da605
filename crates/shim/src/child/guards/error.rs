//! Why a guard of a container's process cannot be set.

use std::io;

/// Why a guard cannot be set.
#[derive(Debug, thiserror::Error)]
pub(in crate::child) enum GuardError {
    #[error(
        "the AppArmor profile \"{0}\" is asked for, and AppArmor is not enabled on this node; leave the profile out, or \
         enable AppArmor"
    )]
    NoAppArmor(String),
    #[error(
        "the AppArmor profile \"{0}\" is not loaded on this node; load it with apparmor_parser, or name another"
    )]
    UnknownProfile(String),
    #[error(
        "the SELinux label \"{0}\" is asked for, and SELinux is not enabled on this node; leave the label out, or enable \
         SELinux"
    )]
    NoSelinux(String),
    #[error("{attribute} of the process is \"{found}\" after it was set to \"{asked}\"")]
    Differs {
        attribute: &'static str,
        asked: String,
        found: String,
    },
    #[error("setting {attribute} of the process to \"{asked}\": {source}")]
    Label {
        attribute: &'static str,
        asked: String,
        source: io::Error,
    },
    #[error(
        "the container's seccomp profile notifies a listener (SCMP_ACT_NOTIFY), which is not supported for added programs"
    )]
    Listener,
    #[error("loading the seccomp profile")]
    Seccomp(#[source] libcontainer::seccomp::SeccompError),
    #[error("answering calls that the seccomp profile does not know")]
    UnknownCalls(#[source] libseccomp::error::SeccompError),
    #[error("dropping capabilities")]
    Capabilities(#[source] libcontainer::syscall::SyscallError),
    #[error("{doing}: {source}")]
    System {
        doing: &'static str,
        source: io::Error,
    },
}
