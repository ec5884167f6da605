//! Making a container's control group, with all limits and device rules in force before a process is in it.

use std::fs;
use std::path::{Path, PathBuf};

use super::devices;
use super::devices::policy::Policy;
use super::error::GroupError;
use super::folders::{self, Made};
use super::group::Cgroup;
use super::path::{GroupPath, Scope};
use super::resources::{Pids, Resources};
use super::settings::{self, Setting, ValueError};
use super::systemd::{Systemd, SystemdError};
use super::version::{ROOT, Version};
use super::{unit, v1, v2};

/// How many processes are in a group while the first one is made: libcontainer's, beside the child that calls it.
const MAKING_PROCESSES: i64 = 4;

/// A group that is to be made: what a specification says of it, checked.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(super) path: GroupPath,
    pub(super) limits: Limits,
}

/// What is in force in a group from its beginning, wherever it is.
#[derive(Debug)]
pub(super) struct Limits {
    id: String,
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
        let limits = Limits {
            id: id.to_owned(),
            settings: settings_of(&resources, version)?,
            version,
            resources,
            pids,
            policy,
        };
        Ok(Self { path, limits })
    }

    /// The path of the group as libcontainer takes it.
    pub(crate) fn absolute(&self) -> PathBuf {
        Path::new("/").join(self.path.folder())
    }
}

impl Limits {
    /// What holds once the group was made, and what is to hold before the first process starts, if that is less.
    pub(super) fn resources(&self) -> (Resources, Option<Resources>) {
        let update = self.pids.map(|limit| Resources {
            pids: Pids { limit: Some(limit) },
            ..Resources::default()
        });
        (self.resources.clone(), update)
    }

    /// Makes the group at a path relative to the root of the hierarchies. Blocks for some milliseconds.
    ///
    /// # Errors
    ///
    /// [`GroupError`]; then no folder is left that was made here.
    pub(super) fn make_folder(&self, folder: &Path) -> Result<Cgroup, GroupError> {
        let mut made = Made::default();
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
    pub(super) async fn make_scope(&self, scope: &Scope, pid: u32) -> Result<Cgroup, GroupError> {
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
