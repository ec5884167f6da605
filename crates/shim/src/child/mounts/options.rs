//! Mount options of the OCI specification, as runc understands them (`specconv/spec_linux.go`).

use nix::mount::MsFlags;
use oci_spec::runtime::Mount;

/// Follows no symbolic links (Linux 5.10); the library has no name for it.
const NOSYMFOLLOW: MsFlags = MsFlags::from_bits_retain(0x100);

/// What the options of a mount ask for, apart from those of its file system.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::child) struct Options {
    pub(in crate::child) bind: bool,
    set: MsFlags,
    cleared: MsFlags,
    /// The same of options that hold for all mounts below. libcontainer applies them; the mount itself must keep them.
    recursive_set: MsFlags,
    recursive_cleared: MsFlags,
    /// Changes of propagation, in their order.
    pub(in crate::child) propagation: Vec<MsFlags>,
}

impl Options {
    pub(in crate::child) fn of(mount: &Mount) -> Self {
        let options = mount.options().iter().flatten();
        Self::parse(options.map(String::as_str))
    }

    fn parse<'a>(options: impl IntoIterator<Item = &'a str>) -> Self {
        let none = MsFlags::empty();
        let mut found = Self {
            bind: false,
            set: none,
            cleared: none,
            recursive_set: none,
            recursive_cleared: none,
            propagation: Vec::new(),
        };
        for option in options {
            found.add(option);
        }
        found
    }

    fn add(&mut self, option: &str) {
        if let "bind" | "rbind" = option {
            self.bind = true;
        } else if let Some(flags) = propagation(option) {
            self.propagation.push(flags);
        } else if let Some((clears, flag)) = attribute(option) {
            change(&mut self.set, &mut self.cleared, clears, flag);
        } else if let Some((clears, flag)) = option.strip_prefix('r').and_then(attribute) {
            let (set, cleared) = (&mut self.recursive_set, &mut self.recursive_cleared);
            change(set, cleared, clears, flag);
        }
    }

    /// Whether there are any for the mount itself; a bind mount without keeps those of its source.
    pub(in crate::child) fn has_flags(&self) -> bool {
        !(self.set | self.cleared).is_empty()
    }

    /// The flags of the mount itself.
    pub(in crate::child) fn flags(&self) -> MsFlags {
        (self.set | self.recursive_set).difference(self.recursive_cleared)
    }

    pub(in crate::child) fn is_read_only(&self) -> bool {
        self.flags().contains(MsFlags::MS_RDONLY)
    }
}

fn change(set: &mut MsFlags, cleared: &mut MsFlags, clears: bool, flag: MsFlags) {
    let (to, from) = if clears {
        (cleared, set)
    } else {
        (set, cleared)
    };
    to.insert(flag);
    from.remove(flag);
}

/// A flag of a mount, and whether the option clears it.
fn attribute(option: &str) -> Option<(bool, MsFlags)> {
    Some(match option {
        "ro" => (false, MsFlags::MS_RDONLY),
        "rw" => (true, MsFlags::MS_RDONLY),
        "nosuid" => (false, MsFlags::MS_NOSUID),
        "suid" => (true, MsFlags::MS_NOSUID),
        "nodev" => (false, MsFlags::MS_NODEV),
        "dev" => (true, MsFlags::MS_NODEV),
        "noexec" => (false, MsFlags::MS_NOEXEC),
        "exec" => (true, MsFlags::MS_NOEXEC),
        "noatime" => (false, MsFlags::MS_NOATIME),
        "atime" => (true, MsFlags::MS_NOATIME),
        "nodiratime" => (false, MsFlags::MS_NODIRATIME),
        "diratime" => (true, MsFlags::MS_NODIRATIME),
        "relatime" => (false, MsFlags::MS_RELATIME),
        "norelatime" => (true, MsFlags::MS_RELATIME),
        "strictatime" => (false, MsFlags::MS_STRICTATIME),
        "nostrictatime" => (true, MsFlags::MS_STRICTATIME),
        "nosymfollow" => (false, NOSYMFOLLOW),
        "symfollow" => (true, NOSYMFOLLOW),
        _ => return None,
    })
}

fn propagation(option: &str) -> Option<MsFlags> {
    let recursive = option.strip_prefix('r');
    let flags = match recursive.unwrap_or(option) {
        "private" => MsFlags::MS_PRIVATE,
        "slave" => MsFlags::MS_SLAVE,
        "shared" => MsFlags::MS_SHARED,
        "unbindable" => MsFlags::MS_UNBINDABLE,
        _ => return None,
    };
    let all = recursive.map_or(MsFlags::empty(), |_| MsFlags::MS_REC);
    Some(flags | all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_what_runc_would_give_a_mount() {
        fn check(options: &[&str], flags: MsFlags, has_flags: bool) {
            let found = Options::parse(options.iter().copied());
            assert_eq!(
                (found.flags(), found.has_flags()),
                (flags, has_flags),
                "{options:?}"
            );
        }
        let none = MsFlags::empty();
        check(&[], none, false);
        check(&["rbind", "rprivate"], none, false);
        check(&["rbind", "rw"], none, true);
        check(&["ro", "rw"], none, true);
        check(&["rw", "ro"], MsFlags::MS_RDONLY, true);
        check(&["rbind", "rro"], MsFlags::MS_RDONLY, false);
        check(
            &["nosuid", "rro"],
            MsFlags::MS_RDONLY | MsFlags::MS_NOSUID,
            true,
        );
        check(&["ro", "rrw"], none, true);
        let restricted = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        check(&["nosuid", "nodev", "rnoexec", "size=1m"], restricted, true);
        check(&["relatime"], MsFlags::MS_RELATIME, true);
        check(&["nosymfollow"], NOSYMFOLLOW, true);
    }
}
