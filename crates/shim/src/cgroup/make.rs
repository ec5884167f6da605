//! Making a container's control group, with all limits and device rules in force before a process is in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::devices::{self, Policy, RuleError};
use super::folders::{self, Made};
use super::path::{GroupPath, PathError, Scope};
use super::resources::{Pids, Resources};
use super::settings::{self, Setting, SettingError, ValueError};
use super::systemd::{Systemd, SystemdError};
use super::version::ROOT;
use super::{Cgroup, Version, unit, v1, v2};

/// A control group cannot be made or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GroupError {
    /// `linux.cgroupsPath` is unusable.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A value of `linux.resources` is unusable.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// A rule of `linux.resources.devices` is unusable.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// A limit cannot be set.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// systemd does not make or change the scope.
    #[error(transparent)]
    Systemd(#[from] SystemdError),
    /// Another container has the group.
    #[error("the control group {} has processes in it", path.display())]
    InUse { path: PathBuf },
    /// The group cannot have limits of memory, input and output, huge pages or processor time.
    #[error("the control group {} is {kind}, and takes no limits of a domain", path.display())]
    NoDomain { path: PathBuf, kind: String },
    /// A limit that the container has outgrown, where the update asks for that check.
    #[error("a limit of {limit} bytes is not above the {usage} bytes that the container uses")]
    BelowUsage { limit: i64, usage: u64 },
    /// No process can be started that keeps the scope.
    #[error("starting a process for the scope: {0}")]
    Holder(#[source] io::Error),
    /// The work was broken off by a fault of the shim's, which its log has.
    #[error("the control group was not made, by a fault of the shim; see its log")]
    Panicked,
    /// The operating system refused.
    #[error("{doing} {}: {source}", path.display())]
    System {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl GroupError {
    /// Whether the container's specification is at fault, and not the node.
    pub(crate) fn is_invalid(&self) -> bool {
        matches!(self, Self::Path(_) | Self::Value(_) | Self::Rule(_))
    }

    pub(super) fn system(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::System {
            doing,
            path,
            source,
        }
    }
}

/// How many processes are in a group while the first one is made: libcontainer's, beside the child that calls it.
const MAKING_PROCESSES: i64 = 4;

/// A group that is to be made: all that a specification says of it, checked.
#[derive(Debug)]
pub(crate) struct Plan {
    id: String,
    path: GroupPath,
    version: Version,
    /// What holds while the first process is made.
    resources: Resources,
    /// A limit of processes that the making of the first one would break.
    pids: Option<i64>,
    policy: Policy,
    settings: Vec<Setting>,
}

impl Plan {
    /// Plans the group of a container from `linux.cgroupsPath` and `linux.resources`.
    ///
    /// # Errors
    ///
    /// [`GroupError`] when they make no sense on this node.
    pub(crate) fn new(
        asked: Option<&Path>,
        id: &str,
        mut resources: Resources,
        version: Version,
    ) -> Result<Self, GroupError> {
        let path = GroupPath::parse(asked, id, version)?;
        let policy = Policy::of(&resources.devices)?;
        if let GroupPath::Scope(_) = path {
            unit::round_quota(&mut resources.cpu);
        }
        let pids = resources.pids.limit;
        let pids = pids.filter(|limit| (0..MAKING_PROCESSES).contains(limit));
        if pids.is_some() {
            resources.pids.limit = Some(MAKING_PROCESSES);
        }
        Ok(Self {
            id: id.to_owned(),
            settings: settings_of(&resources, version)?,
            path,
            version,
            resources,
            pids,
            policy,
        })
    }

    /// Whether the shim makes the group itself, before a process is there.
    pub(super) fn is_folder(&self) -> bool {
        matches!(self.path, GroupPath::Folder(_))
    }

    /// The path of the group as libcontainer takes it.
    pub(crate) fn absolute(&self) -> PathBuf {
        Path::new("/").join(self.path.folder())
    }

    /// What holds once the group was made, and what is to hold before the first process starts, if that is less.
    pub(super) fn resources(&self) -> (Resources, Option<Resources>) {
        let update = self.pids.map(|limit| Resources {
            pids: Pids { limit: Some(limit) },
            ..Resources::default()
        });
        (self.resources.clone(), update)
    }

    /// Makes the folders of the group. Blocks for some milliseconds.
    ///
    /// # Errors
    ///
    /// [`GroupError`]; then no folder is left that was made here.
    pub(super) fn make_folder(&self) -> Result<Cgroup, GroupError> {
        let mut made = Made::default();
        let folder = self.path.folder();
        let cgroup = match self.version {
            Version::V1 => folders::make_version1(folder, &mut made),
            Version::V2 => folders::make_version2(folder, &self.settings, &mut made),
        };
        let cgroup = cgroup.and_then(|cgroup| self.put_in_force(&cgroup).map(|()| cgroup));
        if cgroup.is_err() {
            made.remove();
        }
        cgroup
    }

    /// Has systemd make the scope with process `pid` in it.
    ///
    /// # Errors
    ///
    /// [`GroupError`]. A scope ends with its last process.
    pub(super) async fn make_scope(&self, pid: u32) -> Result<Cgroup, GroupError> {
        let GroupPath::Scope(scope) = &self.path else {
            return self.make_folder();
        };
        self.start_unit(scope, pid).await?;
        let folder = Path::new(ROOT).join(&scope.folder);
        folders::enable_controllers(&folder)?;
        let cgroup = Cgroup {
            folders: vec![folder],
            unified: true,
            unit: Some(scope.unit.clone()),
        };
        self.put_in_force(&cgroup)?;
        Ok(cgroup)
    }

    async fn start_unit(&self, scope: &Scope, pid: u32) -> Result<(), GroupError> {
        let systemd = Systemd::connect().await?;
        let version = version_for(&self.resources, &systemd).await?;
        let oom_policy = unit::oom_policy(&self.resources, version);
        let mut properties = unit::creation(scope, &self.id, pid, oom_policy);
        properties.extend(devices::properties(&self.policy));
        properties.extend(unit::limits(&self.resources, version)?);
        Ok(systemd.start_scope(&scope.unit, &properties).await?)
    }

    fn put_in_force(&self, cgroup: &Cgroup) -> Result<(), GroupError> {
        settings::write_all(&self.settings, &cgroup.folders)?;
        match self.version {
            Version::V1 => self.deny_devices(cgroup),
            Version::V2 => cgroup.folders.iter().try_for_each(|folder| {
                devices::attach(&self.policy, folder).map_err(GroupError::system(
                    "putting device rules into force in",
                    folder,
                ))
            }),
        }
    }

    /// Device rules of version 1.
    fn deny_devices(&self, cgroup: &Cgroup) -> Result<(), GroupError> {
        let mut settings = Vec::new();
        for (allow, line) in self.policy.version1() {
            let file = if allow {
                "devices.allow"
            } else {
                "devices.deny"
            };
            settings.push(Setting::new(file, line));
        }
        Ok(settings::write_all(&settings, &cgroup.folders)?)
    }
}

/// Gives a container other limits. `resources` are all that hold from now on.
///
/// # Errors
///
/// [`GroupError`]; then some of the limits may have changed.
pub(crate) async fn update(cgroup: &Cgroup, resources: &mut Resources) -> Result<(), GroupError> {
    let version = if cgroup.unified {
        Version::V2
    } else {
        Version::V1
    };
    if resources.memory.check_before_update == Some(true) {
        check_usage(cgroup, resources)?;
    }
    if let Some(unit) = &cgroup.unit {
        unit::round_quota(&mut resources.cpu);
        let systemd = Systemd::connect().await?;
        let systemd_version = version_for(resources, &systemd).await?;
        let properties = unit::limits(resources, systemd_version)?;
        systemd.set_properties(unit, &properties).await?;
    }
    let settings = settings_of(resources, version)?;
    Ok(settings::write_all(&settings, &cgroup.folders)?)
}

fn check_usage(cgroup: &Cgroup, resources: &Resources) -> Result<(), GroupError> {
    let usage = cgroup.folders.iter().find_map(|folder| {
        let text = fs::read_to_string(folder.join("memory.current")).ok()?;
        text.trim().parse::<u64>().ok()
    });
    let Some(usage) = usage else {
        // Version 1: the kernel refuses such a limit itself.
        return Ok(());
    };
    let limits = [resources.memory.swap, resources.memory.limit];
    let below = |limit: &i64| u64::try_from(*limit).is_ok_and(|limit| limit > 0 && limit <= usage);
    match limits.into_iter().flatten().find(below) {
        Some(limit) => Err(GroupError::BelowUsage { limit, usage }),
        None => Ok(()),
    }
}

fn settings_of(resources: &Resources, version: Version) -> Result<Vec<Setting>, ValueError> {
    match version {
        Version::V1 => v1::settings(resources),
        Version::V2 => v2::settings(resources),
    }
}

/// systemd's version, if it makes a difference.
async fn version_for(resources: &Resources, systemd: &Systemd) -> Result<u32, SystemdError> {
    if unit::depends_on_version(resources) {
        systemd.version().await
    } else {
        Ok(0)
    }
}
