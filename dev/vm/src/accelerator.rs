//! Chooses between hardware virtualisation and plain emulation.

use std::fs::{self, OpenOptions};

use anyhow::{Context as _, Result};

/// What runs the machine's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accelerator {
    /// The processor, through KVM.
    Kvm,
    /// QEMU's translator: about ten times slower.
    Emulation,
}

impl Accelerator {
    /// The best accelerator of this machine.
    pub(super) fn detect() -> Result<Self> {
        let processor = fs::read_to_string("/proc/cpuinfo").context("failed to read cpuinfo")?;
        let device = OpenOptions::new().read(true).write(true).open("/dev/kvm");
        Ok(Self::choose(&processor, device.is_ok()))
    }

    /// The device alone is not enough. Some hosts have a KVM without hardware virtualisation below
    /// it, which boots only kernels made for it.
    fn choose(processor: &str, device: bool) -> Self {
        let flags = processor.lines().find(|line| line.starts_with("flags"));
        let mut flags = flags.unwrap_or_default().split_whitespace();
        if device && flags.any(|flag| flag == "vmx" || flag == "svm") {
            Self::Kvm
        } else {
            Self::Emulation
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kvm => "KVM",
            Self::Emulation => "plain emulation",
        }
    }

    /// QEMU's arguments.
    pub(super) fn arguments(self) -> [&'static str; 4] {
        match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Self::Emulation => ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kvm_needs_the_device_and_the_processor() {
        fn check(flags: &str, device: bool, expected: Accelerator) {
            let processor = format!("processor\t: 0\nflags\t\t: {flags}\nbugs\t: none\n");
            assert_eq!(Accelerator::choose(&processor, device), expected, "{flags}");
        }
        check("fpu vmx avx2", true, Accelerator::Kvm);
        check("fpu svm", true, Accelerator::Kvm);
        check("fpu vmx avx2", false, Accelerator::Emulation);
        check("fpu hypervisor", true, Accelerator::Emulation);
        check("", true, Accelerator::Emulation);
    }
}
