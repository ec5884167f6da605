//! Defines an image: a Debian release, its packages and the files added to it.

use clap::ValueEnum;

/// An image, named by its Debian release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Image {
    /// Kernel 6.1 and systemd 252
    #[default]
    #[value(name = "debian-12")]
    Debian12,
    /// Kernel 6.12 and systemd 257
    #[value(name = "debian-13")]
    Debian13,
}

impl Image {
    /// The image's name, in the names of files.
    pub fn name(self) -> &'static str {
        match self {
            Image::Debian12 => "debian-12",
            Image::Debian13 => "debian-13",
        }
    }

    pub(super) fn suite(self) -> &'static str {
        match self {
            Image::Debian12 => "bookworm",
            Image::Debian13 => "trixie",
        }
    }
}

/// Packages beside Debian's minimum: a node, its login, and the tools of tests.
pub(super) const PACKAGES: &[&str] = &[
    "apparmor",
    "binutils",
    "bpftool",
    "busybox-static",
    "ca-certificates",
    "conntrack",
    "curl",
    "dbus",
    "initramfs-tools",
    "iproute2",
    "iptables",
    "kmod",
    "libseccomp2",
    "linux-image-amd64",
    "nginx-light",
    "openssh-server",
    "procps",
    "socat",
    "strace",
    "systemd",
    "systemd-sysv",
    "udev",
    "util-linux",
];

/// Files that no program of the machine reads.
pub(super) const LEFT_OUT: &[&str] = &[
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
];

/// Modules of the initial ramdisk. With all modules, each boot would unpack five times as much.
pub(super) const BOOT_MODULES: &str = "virtio_pci\nvirtio_blk\next4\ncrc32c_generic\n";

/// Files of an image's root, by their paths.
pub(super) fn files(image: Image) -> Vec<(&'static str, &'static str)> {
    let mut files = FILES.to_vec();
    if image == Image::Debian13 {
        files.push(CPUSET);
    }
    files
}

/// A group with a cpuset, from the boot to the end. The kernel rewrites its memory allocator when the first such group
/// comes and when the last one goes, and under emulation with two threads Debian 13's kernel can panic then. It makes
/// tests with systemd three times slower, so Debian 12 does without.
const CPUSET: (&str, &str) = (
    "etc/systemd/system/system.slice.d/cpuset.conf",
    "[Slice]\nAllowedMemoryNodes=0\n",
);

const FILES: &[(&str, &str)] = &[
    ("etc/hostname", "vm\n"),
    ("etc/hosts", "127.0.0.1 localhost vm\n10.0.2.15 vm\n"),
    ("etc/fstab", "/dev/vda / ext4 rw,noatime 0 1\n"),
    ("etc/modules-load.d/vm.conf", "9pnet_virtio\n9p\n"),
    (
        // QEMU forwards to this address. Requesting one by DHCP takes seconds of each boot.
        "etc/systemd/network/10-vm.network",
        "[Match]\nName=eth0\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n",
    ),
    (
        "etc/ssh/sshd_config.d/vm.conf",
        "UseDNS no\nMaxSessions 100\nPrintLastLog no\n",
    ),
];

pub(super) const ENABLED: &[&str] = &["systemd-networkd.service", "ssh.service"];

/// Units that are useless in a machine that lives for minutes.
pub(super) const MASKED: &[&str] = &[
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@tty1.service",
    "nginx.service",
    "systemd-networkd-wait-online.service",
];

/// The size of the disk. The file is sparse.
pub(super) const DISK: &str = "16G";

/// Everything that decides the image, for the key of the cache.
pub(super) fn text(image: Image) -> String {
    let all = (
        image.suite(),
        PACKAGES,
        LEFT_OUT,
        BOOT_MODULES,
        files(image),
        ENABLED,
        MASKED,
        DISK,
    );
    format!("1 {all:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_names_and_keys_of_their_own() {
        let [first, second] = [Image::Debian12, Image::Debian13];
        assert_ne!(text(first), text(second));
        for image in [first, second] {
            let named = Image::from_str(image.name(), false);
            assert_eq!(named, Ok(image));
        }
    }
}
