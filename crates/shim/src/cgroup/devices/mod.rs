//! The device rules of a container: which devices its processes may open, and which device files they may make.
//!
//! [`Policy`] is what the rules of a specification come to, on every version of control groups. [`program`] makes the
//! filter of version 2 from it, [`bpf`] gives that filter to the kernel, and [`allow`] is what systemd gets.

mod allow;
mod bpf;
pub(super) mod policy;
mod program;

use std::io;
use std::path::Path;

pub(super) use allow::properties;
use policy::Policy;
use program::program;

/// Puts the filter of a policy into force for a group of version 2 and all groups below it.
///
/// It holds until the group is removed. Filters that are there already, such as systemd's, hold beside it: the kernel
/// allows what all of them allow.
///
/// # Errors
///
/// When the kernel refuses the program.
pub(super) fn attach(policy: &Policy, folder: &Path) -> io::Result<()> {
    let group = std::fs::File::open(folder)?;
    let program = bpf::load(&program(policy))?;
    bpf::attach(&group, &program)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A mounted hierarchy of version 2, which hybrid nodes have too.
    fn hierarchy() -> Option<PathBuf> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mounts");
        let mut mounts = mounts.lines().filter(|line| line.contains(" - cgroup2 "));
        mounts.find_map(|line| line.split(' ').nth(4).map(PathBuf::from))
    }

    #[test]
    fn the_kernel_takes_the_filter_of_every_policy() {
        if !rustix::process::geteuid().is_root() {
            assert!(std::env::var_os("CI").is_none(), "this test needs root");
            return;
        }
        let Some(hierarchy) = hierarchy() else {
            eprintln!("skipped: no hierarchy of version 2 is mounted");
            return;
        };
        let group = hierarchy.join(format!("sampan-devices-{}", std::process::id()));
        std::fs::create_dir(&group).expect("a group");
        let allow_all = r#"[{"allow":true,"access":"rwm"}]"#;
        let mixed = r#"[{"allow":false,"access":"rwm"},
            {"allow":true,"type":"b","major":8,"access":"r"},
            {"allow":true,"type":"c","major":10,"minor":229,"access":"rwm"}]"#;
        let attached = ["[]", allow_all, mixed].map(|rules| {
            let rules = serde_json::from_str::<Vec<policy::DeviceRule>>(rules).expect("rules");
            let policy = Policy::of(&rules).expect("a policy");
            attach(&policy, &group)
        });
        std::fs::remove_dir(&group).expect("an empty group");
        for result in attached {
            result.expect("the kernel takes the program");
        }
    }
}
