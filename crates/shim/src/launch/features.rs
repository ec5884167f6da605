//! The features of this runtime, which containerd asks for before it runs anything (`-info`). It passes them on to the
//! kubelet, which offers fields of a pod such as `recursiveReadOnly` only where the runtime has what they need.

use containerd_shim::protos::protobuf::well_known_types::any::Any;
use containerd_shim::protos::types::introspection::{RuntimeInfo, RuntimeVersion};
use containerd_shim::{Error, Result};
use oci_spec::runtime::{
    ApparmorBuilder, CgroupBuilder, Features, FeaturesBuilder, IDMapBuilder, LinuxFeature,
    LinuxFeatureBuilder, LinuxNamespaceType, MountExtensionsBuilder, SeccompBuilder,
    SelinuxBuilder,
};

/// How containerd calls the type of [`Features`], which it reads as JSON.
const TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

/// The oldest and the newest version of the OCI specification.
const OCI_VERSIONS: [&str; 2] = ["1.0.0", "1.3.0"];

const HOOKS: [&str; 6] = [
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
];

/// Options of mounts that are not those of a file system.
const MOUNT_OPTIONS: [&str; 45] = [
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "mand",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "private",
    "ratime",
    "rbind",
    "rdev",
    "rdiratime",
    "relatime",
    "rexec",
    "rnoatime",
    "rnodev",
    "rnodiratime",
    "rnoexec",
    "rnosuid",
    "ro",
    "rprivate",
    "rrelatime",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "rstrictatime",
    "rsuid",
    "runbindable",
    "rw",
    "shared",
    "slave",
    "strictatime",
    "suid",
    "unbindable",
];

const NAMESPACES: [LinuxNamespaceType; 6] = [
    LinuxNamespaceType::Cgroup,
    LinuxNamespaceType::Ipc,
    LinuxNamespaceType::Mount,
    LinuxNamespaceType::Network,
    LinuxNamespaceType::Pid,
    LinuxNamespaceType::Uts,
];

/// Describes this runtime.
///
/// # Errors
///
/// [`Error`] when the description cannot be written.
pub(crate) fn info(runtime: &str) -> Result<RuntimeInfo> {
    let failed = |error: &dyn std::error::Error| Error::Other(error.to_string());
    let features = features().map_err(|error| failed(&error))?;
    let value = serde_json::to_vec(&features).map_err(|error| failed(&error))?;
    let mut info = RuntimeInfo::new();
    runtime.clone_into(&mut info.name);
    let mut version = RuntimeVersion::new();
    env!("CARGO_PKG_VERSION").clone_into(&mut version.version);
    info.version = Some(version).into();
    let mut any = Any::new();
    TYPE.clone_into(&mut any.type_url);
    any.value = value;
    info.features = Some(any).into();
    Ok(info)
}

fn features() -> std::result::Result<Features, oci_spec::OciSpecError> {
    let texts = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| (*text).to_owned())
            .collect::<Vec<_>>()
    };
    let [oldest, newest] = OCI_VERSIONS;
    FeaturesBuilder::default()
        .oci_version_min(oldest)
        .oci_version_max(newest)
        .hooks(texts(&HOOKS))
        .mount_options(texts(&MOUNT_OPTIONS))
        .linux(linux()?)
        .build()
}

fn linux() -> std::result::Result<LinuxFeature, oci_spec::OciSpecError> {
    let cgroup = CgroupBuilder::default().v1(true).v2(true).systemd(true);
    let idmap = IDMapBuilder::default().enabled(false).build()?;
    LinuxFeatureBuilder::default()
        .namespaces(NAMESPACES.to_vec())
        .cgroup(cgroup.build()?)
        .seccomp(SeccompBuilder::default().enabled(true).build()?)
        .apparmor(ApparmorBuilder::default().enabled(true).build()?)
        .selinux(SelinuxBuilder::default().enabled(true).build()?)
        .mount_extensions(MountExtensionsBuilder::default().idmap(idmap).build()?)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containerd_learns_of_recursive_read_only_mounts() {
        let info = info("io.containerd.sampan.v1").expect("a description");
        assert_eq!(info.name, "io.containerd.sampan.v1");
        assert_eq!(info.features.type_url, TYPE);
        let features: serde_json::Value =
            serde_json::from_slice(&info.features.value).expect("JSON");
        let options = features["mountOptions"].as_array().expect("a list");
        assert!(options.iter().any(|option| option == "rro"), "{features}");
        let user = serde_json::json!("user");
        let namespaces = features["linux"]["namespaces"].as_array().expect("a list");
        assert!(!namespaces.contains(&user), "{features}");
    }
}
