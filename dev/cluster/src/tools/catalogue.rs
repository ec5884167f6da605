//! Lists the modules of `dev/cluster/tools`, and how each is built. Their versions are in their `go.mod`.

/// The folder of the modules and of the programs in C, from the root of the checkout.
pub(super) const FOLDER: &str = "dev/cluster/tools";

/// A module, which is a folder of `dev/cluster/tools`.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) folder: &'static str,
    /// How long the build takes.
    pub(super) about: &'static str,
    /// The programs, and the packages that they are built from.
    pub(super) programs: &'static [(&'static str, &'static str)],
    /// Whether its programs are CNI plugins.
    pub(super) are_plugins: bool,
    /// Whether it is built only on request.
    pub(super) optional: bool,
    pub(super) kind: Kind,
    /// Whether it has parts in C.
    pub(super) with_c: bool,
    pub(super) tags: &'static str,
    /// Variables that give a program its version, which would be 0.0.0 otherwise.
    pub(super) variables: &'static [(&'static str, &'static str)],
}

/// What the packages of a module are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Programs, by `go build`.
    Programs,
    /// Tests, by `go test -c`.
    Tests,
}

const PLAIN: Module = Module {
    folder: "",
    about: "two minutes",
    programs: &[],
    are_plugins: false,
    optional: false,
    kind: Kind::Programs,
    with_c: false,
    tags: "",
    variables: &[],
};

/// The module of one minor version of Kubernetes. A cluster has one of them.
macro_rules! kubernetes {
    ($folder:literal, $minor:literal, $version:literal) => {
        Module {
            folder: $folder,
            about: "six minutes",
            programs: &[
                ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
                (
                    "kube-controller-manager",
                    "k8s.io/kubernetes/cmd/kube-controller-manager",
                ),
                ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
                ("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
                ("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
                ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
            ],
            optional: true,
            variables: &[
                ("k8s.io/component-base/version.gitVersion", $version),
                ("k8s.io/component-base/version.gitMajor", "1"),
                ("k8s.io/component-base/version.gitMinor", $minor),
                ("k8s.io/component-base/version.gitTreeState", "clean"),
                ("k8s.io/client-go/pkg/version.gitVersion", $version),
                ("k8s.io/client-go/pkg/version.gitMajor", "1"),
                ("k8s.io/client-go/pkg/version.gitMinor", $minor),
                ("k8s.io/client-go/pkg/version.gitTreeState", "clean"),
            ],
            ..PLAIN
        }
    };
}

pub(super) const MODULES: &[Module] = &[
    Module {
        folder: "runc",
        about: "half a minute",
        programs: &[("runc", "github.com/opencontainers/runc")],
        // Without seccomp every sandbox fails.
        with_c: true,
        tags: "seccomp",
        ..PLAIN
    },
    Module {
        folder: "cni",
        about: "some seconds",
        programs: &[
            (
                "bridge",
                "github.com/containernetworking/plugins/plugins/main/bridge",
            ),
            (
                "loopback",
                "github.com/containernetworking/plugins/plugins/main/loopback",
            ),
            (
                "host-local",
                "github.com/containernetworking/plugins/plugins/ipam/host-local",
            ),
            (
                "portmap",
                "github.com/containernetworking/plugins/plugins/meta/portmap",
            ),
        ],
        are_plugins: true,
        ..PLAIN
    },
    Module {
        folder: "containerd",
        programs: &[
            (
                "containerd",
                "github.com/containerd/containerd/v2/cmd/containerd",
            ),
            (
                "containerd-shim-runc-v2",
                "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
            ),
            ("ctr", "github.com/containerd/containerd/v2/cmd/ctr"),
        ],
        tags: "no_btrfs no_zfs no_devmapper",
        variables: &[(
            "github.com/containerd/containerd/v2/version.Version",
            "v2.4.2",
        )],
        ..PLAIN
    },
    kubernetes!("kubernetes", "37", "v1.37.2"),
    kubernetes!("kubernetes-1.36", "36", "v1.36.3"),
    Module {
        folder: "etcd",
        programs: &[("etcd", "go.etcd.io/etcd/server/v3")],
        ..PLAIN
    },
    Module {
        folder: "registry",
        programs: &[(
            "registry",
            "github.com/distribution/distribution/v3/cmd/registry",
        )],
        ..PLAIN
    },
    Module {
        folder: "coredns",
        programs: &[("coredns", "github.com/coredns/coredns")],
        ..PLAIN
    },
    Module {
        folder: "hey",
        about: "some seconds",
        programs: &[("hey", "github.com/rakyll/hey")],
        ..PLAIN
    },
    Module {
        folder: "helm",
        programs: &[("helm", "helm.sh/helm/v4/cmd/helm")],
        variables: &[("helm.sh/helm/v4/internal/version.version", "v4.3.1")],
        ..PLAIN
    },
    Module {
        folder: "metrics-server",
        programs: &[(
            "metrics-server",
            "sigs.k8s.io/metrics-server/cmd/metrics-server",
        )],
        optional: true,
        ..PLAIN
    },
    Module {
        folder: "cri-tools",
        about: "four minutes",
        programs: &[("critest", "sigs.k8s.io/cri-tools/cmd/critest")],
        optional: true,
        kind: Kind::Tests,
        variables: &[("sigs.k8s.io/cri-tools/pkg/version.Version", "v1.37.0")],
        ..PLAIN
    },
];

/// A program in C: one file of `dev/cluster/tools/FOLDER`, linked without libraries.
#[derive(Debug)]
pub(super) struct CProgram {
    pub(super) name: &'static str,
    /// Whether it is built only on request.
    pub(super) optional: bool,
}

pub(super) const C_PROGRAMS: &[CProgram] = &[
    // Runs in a sandbox of runc's, and in a sandbox of Sampan's that shares its process namespace.
    CProgram {
        name: "pause",
        optional: false,
    },
    // Shows critest whether a program with the set-user-ID bit gets its owner's rights.
    CProgram {
        name: "effective-uid",
        optional: true,
    },
];

impl Module {
    pub(super) fn linker_flags(&self) -> String {
        let variables = self.variables.iter();
        let variables = variables.map(|(name, value)| format!(" -X {name}={value}"));
        "-s -w".to_owned() + &variables.collect::<String>()
    }
}

/// The name that `go build` gives the program of a package: the last part that is no version.
pub(super) fn default_name(package: &str) -> &str {
    let is_version = |part: &str| {
        part.strip_prefix('v')
            .is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let mut parts = package.rsplit('/');
    parts.find(|part| !is_version(part)).unwrap_or(package)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::KubernetesVersion;
    use clap::ValueEnum as _;
    use sampan_checkout::repository::Repository;

    #[test]
    fn a_program_is_called_after_its_package() {
        fn check(package: &str, expected: &str) {
            assert_eq!(default_name(package), expected);
        }
        check("k8s.io/kubernetes/cmd/kubelet", "kubelet");
        check("go.etcd.io/etcd/server/v3", "server");
        check("github.com/rakyll/hey", "hey");
        check("example.org/v/viewer", "viewer");
    }

    #[test]
    fn the_catalogue_and_the_modules_name_the_same() {
        let tools = Repository::find().unwrap().root().join(FOLDER);
        for module in MODULES {
            let file = std::fs::read_to_string(tools.join(module.folder).join("go.mod")).unwrap();
            for (program, package) in module.programs {
                let named = file
                    .lines()
                    .any(|line| line.trim().trim_start_matches("tool ") == *package);
                assert!(named, "{program} of {}", module.folder);
            }
            // The variable holds the version of the module.
            for (variable, value) in module.variables {
                if value.starts_with('v') {
                    assert!(file.contains(&format!(" {value}")), "{variable}={value}");
                }
            }
        }
    }

    #[test]
    fn each_version_of_kubernetes_has_a_module() {
        for version in KubernetesVersion::value_variants() {
            let module = MODULES
                .iter()
                .find(|module| module.folder == version.folder());
            let module = module.unwrap_or_else(|| panic!("{version:?}"));
            let name = version.to_possible_value().unwrap();
            let built = format!("v{}.", name.get_name());
            let values = module.variables.iter().map(|(_, value)| value);
            assert_eq!(
                values.filter(|value| value.starts_with(&built)).count(),
                2,
                "{version:?}"
            );
        }
    }
}
