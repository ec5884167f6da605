//! Two commands of [bpf(2)](https://man7.org/linux/man-pages/man2/bpf.2.html): loading a filter of devices, and
//! attaching it to a group.
//!
//! The program stays attached when this process ends, until the group is removed. A link (`BPF_LINK_CREATE`), which
//! is what the libraries make, would go with its last descriptor.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::program::Instruction;

/// `BPF_PROG_LOAD`
const LOAD: libc::c_long = 5;
/// `BPF_PROG_ATTACH`
const ATTACH: libc::c_long = 8;
/// `BPF_PROG_TYPE_CGROUP_DEVICE`
const TYPE_CGROUP_DEVICE: u32 = 15;
/// `BPF_CGROUP_DEVICE`
const ATTACH_CGROUP_DEVICE: u32 = 6;
/// `BPF_F_ALLOW_MULTI`: beside other programs, systemd's among them.
const ALLOW_MULTI: u32 = 2;

/// How often loading is tried again: the kernel's verifier may be interrupted by a signal.
const ATTEMPTS: usize = 30;

/// The kernel asks for the licence only of programs that use functions under the GPL, and a filter uses none.
const LICENCE: &CStr = c"Apache-2.0";

/// The beginning of `union bpf_attr` for [`LOAD`]; the kernel takes the rest for zeros.
#[repr(C)]
struct LoadAttributes {
    kind: u32,
    count: u32,
    instructions: u64,
    licence: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// The beginning of `union bpf_attr` for [`ATTACH`].
#[repr(C)]
struct AttachAttributes {
    group: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

/// Loads a filter.
///
/// # Errors
///
/// When the kernel does not accept it: it has no BPF, or this process may not use it.
pub(super) fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    match load_once(program) {
        // Kernels before 5.11 count programs as locked memory of the user.
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            with_locked_memory(|| load_once(program))
        }
        loaded => loaded,
    }
}

fn load_once(program: &[Instruction]) -> io::Result<OwnedFd> {
    let attributes = LoadAttributes {
        kind: TYPE_CGROUP_DEVICE,
        count: u32::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        instructions: program.as_ptr().expose_provenance() as u64,
        licence: LICENCE.as_ptr().expose_provenance() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
    };
    let mut attempts = 0;
    loop {
        match bpf(LOAD, &attributes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && attempts < ATTEMPTS => {
                attempts += 1;
            }
            Err(error) => return Err(error),
            Ok(number) => return Ok(owned(number)),
        }
    }
}

/// Takes a descriptor that the kernel has just made.
#[expect(unsafe_code, reason = "descriptors of bpf(2) come as numbers")]
fn owned(number: i32) -> OwnedFd {
    // SAFETY: `BPF_PROG_LOAD` succeeded, so the number is an open descriptor that nothing else owns.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// Attaches a filter to a group, which is an open folder of the hierarchy.
///
/// # Errors
///
/// When the kernel refuses, for example because a filter above allows none beside it.
pub(super) fn attach(group: &impl AsFd, program: &OwnedFd) -> io::Result<()> {
    let number = |fd: i32| u32::try_from(fd).map_err(|_| io::ErrorKind::InvalidInput);
    let attributes = AttachAttributes {
        group: number(group.as_fd().as_raw_fd())?,
        program: number(program.as_raw_fd())?,
        kind: ATTACH_CGROUP_DEVICE,
        flags: ALLOW_MULTI,
    };
    bpf(ATTACH, &attributes).map(drop)
}

/// Calls bpf(2) with one of the attributes of this file.
#[expect(
    unsafe_code,
    reason = "no library has this system call without a library in C"
)]
fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<i32> {
    // SAFETY: the kernel reads `size_of::<T>()` bytes at the address of a reference. Its type is one of the two
    // `repr(C)` types of this file and has no padding. The addresses in a `LoadAttributes` are those of a slice and of
    // a static string that outlive the call; the kernel reads `count` instructions and up to the terminating zero.
    // It writes to none of them, because no log is asked for.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<T>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Does something without a limit of locked memory, which children must not inherit.
fn with_locked_memory<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let before = getrlimit(Resource::Memlock);
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    setrlimit(Resource::Memlock, unlimited)?;
    let done = work();
    setrlimit(Resource::Memlock, before)?;
    done
}
