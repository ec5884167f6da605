//! AppArmor profiles and SELinux labels of processes.
//!
//! A program gets both when it is executed: libcontainer asks for the profile, [`Labels::label_program`] for the label. A
//! function is never executed, so its process changes its own with [`Labels::change`].

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};

use oci_spec::runtime::Process;
use pathrs::error::ErrorKind;
use pathrs::flags::OpenFlags;
use pathrs::procfs::{ProcfsBase, ProcfsHandle};
use rustix::fs::FsWord;
use rustix::io::Errno;

use super::error::GuardError;
use crate::child::error::ChildError;

/// Loaded profiles, each with its mode in brackets.
const PROFILES: &str = "/sys/kernel/security/apparmor/profiles";

/// The profile that is always there.
const UNCONFINED: &str = "unconfined";

const SELINUX: &str = "/sys/fs/selinux";

/// What the kernel calls the file system of SELinux.
const SELINUXFS: FsWord = 0xf97c_ff8c;

/// Names of an attribute below `/proc/thread-self/attr`: its own since Linux 5.8, and the one that all modules share.
const CURRENT_PROFILE: [&str; 2] = ["attr/apparmor/current", "attr/current"];
const CURRENT_LABEL: [&str; 1] = ["attr/current"];
const LABEL_ON_EXEC: [&str; 1] = ["attr/exec"];
const LABEL_OF_KEYS: [&str; 1] = ["attr/keycreate"];

/// A process's AppArmor profile and SELinux label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels {
    profile: Option<String>,
    label: Option<String>,
}

impl Labels {
    /// Those of a specification.
    ///
    /// # Errors
    ///
    /// [`ChildError::Guard`] for one that this node cannot apply.
    pub(super) fn of(process: &Process) -> Result<Self, ChildError> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let labels = Self {
            profile: given(process.apparmor_profile()),
            label: given(process.selinux_label()),
        };
        if let Some(profile) = &labels.profile {
            check_profile(profile).map_err(ChildError::Guard)?;
        }
        check_label(labels.label.as_deref()).map_err(ChildError::Guard)?;
        Ok(labels)
    }

    /// Changes those of this process, and reads them back. Threads that are started later have them as well.
    ///
    /// # Errors
    ///
    /// [`GuardError::Label`] or [`GuardError::Differs`].
    pub(crate) fn change(&self) -> Result<(), GuardError> {
        if let Some(profile) = &self.profile {
            let attribute = "the AppArmor profile";
            write(
                attribute,
                &CURRENT_PROFILE,
                profile,
                &format!("changeprofile {profile}"),
            )?;
            let found = read(attribute, &CURRENT_PROFILE, profile)?;
            same(attribute, profile, profile_of(&found))?;
        }
        if let Some(label) = &self.label {
            let attribute = "the SELinux label";
            write(attribute, &CURRENT_LABEL, label, label)?;
            let found = read(attribute, &CURRENT_LABEL, label)?;
            same(attribute, label, found.trim_end_matches(['\0', '\n']))?;
        }
        Ok(())
    }

    /// Gives the program that this process executes next its SELinux label.
    ///
    /// # Errors
    ///
    /// [`GuardError::Label`].
    pub(crate) fn label_program(&self) -> Result<(), GuardError> {
        let Some(label) = &self.label else {
            return Ok(());
        };
        write("the SELinux label", &LABEL_ON_EXEC, label, label)
    }

    /// Gives keyrings that are made meanwhile the process's SELinux label.
    ///
    /// # Errors
    ///
    /// [`GuardError::Label`].
    pub(super) fn label_keys(&self) -> Result<Option<KeyLabel>, GuardError> {
        let Some(label) = &self.label else {
            return Ok(None);
        };
        write("the SELinux label of keys", &LABEL_OF_KEYS, label, label)?;
        Ok(Some(KeyLabel))
    }
}

/// Takes the label of keys away when it is dropped.
pub(super) struct KeyLabel;

impl Drop for KeyLabel {
    fn drop(&mut self) {
        // This process makes no other keys.
        let _ = write("the SELinux label of keys", &LABEL_OF_KEYS, "", "\n");
    }
}

/// Checks a label for mounts.
///
/// # Errors
///
/// [`ChildError::Guard`] on a node without SELinux.
pub(super) fn check_mounts(label: Option<&str>) -> Result<(), ChildError> {
    check_label(label).map_err(ChildError::Guard)
}

fn check_label(label: Option<&str>) -> Result<(), GuardError> {
    let Some(label) = label.filter(|label| !label.is_empty()) else {
        return Ok(());
    };
    let enabled = match rustix::fs::statfs(SELINUX) {
        Ok(found) => found.f_type == SELINUXFS,
        Err(Errno::NOENT) => false,
        Err(source) => {
            return Err(GuardError::System {
                doing: "finding out whether SELinux is enabled",
                source: source.into(),
            });
        }
    };
    enabled
        .then_some(())
        .ok_or_else(|| GuardError::NoSelinux(label.to_owned()))
}

fn check_profile(profile: &str) -> Result<(), GuardError> {
    let failed = |source| GuardError::System {
        doing: "finding out which AppArmor profiles are loaded",
        source,
    };
    let enabled = match libcontainer::apparmor::is_enabled() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        enabled => enabled.map_err(failed)?,
    };
    if !enabled {
        return Err(GuardError::NoAppArmor(profile.to_owned()));
    }
    let loaded = match fs::read_to_string(PROFILES) {
        // Without securityfs, the kernel answers when the profile is applied.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        loaded => loaded.map_err(failed)?,
    };
    if is_loaded(profile, &loaded) {
        Ok(())
    } else {
        Err(GuardError::UnknownProfile(profile.to_owned()))
    }
}

/// Whether a profile is in the kernel's list. The list has those of one namespace, and no stacks of profiles.
fn is_loaded(profile: &str, loaded: &str) -> bool {
    profile == UNCONFINED
        || profile.starts_with(':')
        || profile.contains("//&")
        || loaded.lines().any(|line| profile_of(line) == profile)
}

/// `NAME (MODE)` without its mode.
fn profile_of(text: &str) -> &str {
    let text = text.trim_end_matches(['\0', '\n']);
    text.rsplit_once(" (").map_or(text, |(name, _)| name)
}

fn same(attribute: &'static str, asked: &str, found: &str) -> Result<(), GuardError> {
    if asked == found {
        return Ok(());
    }
    Err(GuardError::Differs {
        attribute,
        asked: asked.to_owned(),
        found: found.to_owned(),
    })
}

fn write(
    attribute: &'static str,
    names: &[&str],
    asked: &str,
    text: &str,
) -> Result<(), GuardError> {
    let written =
        open(names, OpenFlags::O_WRONLY).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| failed(attribute, asked, source))
}

fn read(attribute: &'static str, names: &[&str], asked: &str) -> Result<String, GuardError> {
    let mut text = String::new();
    let read = open(names, OpenFlags::O_RDONLY).and_then(|mut file| file.read_to_string(&mut text));
    read.map_err(|source| failed(attribute, asked, source))?;
    Ok(text)
}

fn failed(attribute: &'static str, asked: &str, source: io::Error) -> GuardError {
    GuardError::Label {
        attribute,
        asked: asked.to_owned(),
        source,
    }
}

/// Opens an attribute of this thread in a real procfs: a volume may lie over the container's `/proc`.
fn open(names: &[&str], flags: OpenFlags) -> io::Result<File> {
    let proc = ProcfsHandle::new().map_err(io::Error::other)?;
    let mut missing = io::Error::from(io::ErrorKind::NotFound);
    for name in names {
        match proc.open(
            ProcfsBase::ProcThreadSelf,
            name,
            flags | OpenFlags::O_CLOEXEC,
        ) {
            Ok(file) => return Ok(file),
            Err(error) => match error.kind() {
                ErrorKind::OsError(Some(code)) if code == Errno::NOENT.raw_os_error() => {
                    missing = io::Error::from_raw_os_error(code);
                }
                ErrorKind::OsError(Some(code)) => return Err(io::Error::from_raw_os_error(code)),
                _ => return Err(io::Error::other(error)),
            },
        }
    }
    Err(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_those_that_the_kernel_lists() {
        let loaded = "/usr/bin/man (enforce)\nsampan (complain)\nodd (name) (enforce)\n";
        let check =
            |profile, expected| assert_eq!(is_loaded(profile, loaded), expected, "{profile}");
        check("sampan", true);
        check("/usr/bin/man", true);
        check("odd (name)", true);
        check("samp", false);
        check("sampan (complain)", false);
        check("unconfined", true);
        check(":inner:sampan", true);
        check("sampan//&other", true);
    }

    #[test]
    fn an_attribute_that_differs_is_named() {
        let error = same("the AppArmor profile", "a", "unconfined").expect_err("another");
        let message = error.to_string();
        assert_eq!(
            message,
            "the AppArmor profile of the process is \"unconfined\" after it was set to \"a\""
        );
    }
}
