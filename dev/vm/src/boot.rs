//! Boots an image: the QEMU process, the folders shared with it, and its end.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use sampan_checkout::cargo::output;
use sampan_checkout::child::command_until_exit;
use sampan_checkout::shell::shell_quoted;

use super::accelerator::Accelerator;
use super::image;
use super::login::Login;
use super::recipe::Image;

/// How long a boot may take. It takes half a minute under emulation without other work.
const BOOT_TIMEOUT: Duration = Duration::from_mins(10);

/// How long a power-off may take before QEMU is killed.
const POWER_OFF_TIMEOUT: Duration = Duration::from_mins(1);

/// The prefix of the folders of sockets; the number of the owning process follows.
const PREFIX: &str = "sampan-vm-";

const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How many lines of the console an error shows.
const CONSOLE_LINES: usize = 20;

/// Memory in MiB.
const MEMORY: &str = "3072";

/// A folder of this machine that appears in the emulated one under the same path. Writes to it stay
/// there.
#[derive(Debug, Clone)]
pub struct Share(pub PathBuf);

/// A running machine, which ends when this value is dropped.
#[derive(Debug)]
pub struct Vm {
    // In the order in which they end.
    login: Login,
    qemu: Qemu,
    _folder: SocketFolder,
    console: PathBuf,
    accelerator: Accelerator,
    took: Duration,
}

#[derive(Debug)]
struct Qemu(Child);

/// A folder of sockets, which need short paths.
#[derive(Debug)]
struct SocketFolder(PathBuf);

impl Vm {
    /// Boots an image, and returns when the machine is up. The console's output goes to a file in
    /// the folder of logs.
    pub fn boot(image: Image, shares: &[Share], logs: &Path) -> Result<Self> {
        let files = image::provide(image)?;
        let accelerator = Accelerator::detect()?;
        fs::create_dir_all(logs).with_context(|| format!("failed to make {}", logs.display()))?;
        let log = |kind: &str| logs.join(format!("vm-{}-{kind}.log", image.name()));
        let console = log("console");
        let folder = SocketFolder::make()?;
        let port = free_port()?;
        let mut command = command(&files, shares, accelerator, &console, port);
        let said = File::create(log("qemu")).context("failed to write the log of QEMU")?;
        command
            // QEMU writes changes of the disk there, into an unlinked file.
            .env("TMPDIR", std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said);
        let begun = Instant::now();
        let qemu = command.spawn().context("failed to start setpriv")?;
        let mut vm = Self {
            login: Login::new(port, files.key(), &folder.0),
            qemu: Qemu(qemu),
            _folder: folder,
            console,
            accelerator,
            took: Duration::ZERO,
        };
        vm.wait_for_login(begun)
            .with_context(|| format!("QEMU's output is in {}", log("qemu").display()))?;
        vm.mount(shares)?;
        vm.run("systemctl is-system-running --wait >/dev/null || { systemctl --failed --no-pager >&2; false; }")
            .context("the machine started with failed units")?;
        vm.took = begun.elapsed();
        Ok(vm)
    }

    /// A command that runs a line in the machine's shell, as root. The machine ends the line when
    /// it takes longer than the timeout.
    pub fn command(&self, line: &str, timeout: Duration) -> Command {
        let seconds = timeout.as_secs();
        let line = format!(
            "exec timeout --verbose --kill-after=10 {seconds} sh -c {}",
            shell_quoted(line)
        );
        self.login.command(&line)
    }

    /// Runs a short line, and returns its stdout.
    pub fn run(&self, line: &str) -> Result<String> {
        let printed = output(&mut self.command(line, BOOT_TIMEOUT))?;
        String::from_utf8(printed).with_context(|| format!("invalid UTF-8 in the output of {line}"))
    }

    /// The system, the accelerator and the duration of the boot.
    pub fn summary(&self) -> Result<String> {
        let about =
            self.run("uname -r; systemctl --version | head -n 1; stat -fc %T /sys/fs/cgroup")?;
        let about: Vec<_> = about.lines().collect();
        Ok(format!(
            "{} by {}, booted in {:.0} s",
            about.join(", "),
            self.accelerator.name(),
            self.took.as_secs_f64()
        ))
    }

    /// The command by which a person logs in.
    pub fn login(&self) -> String {
        self.login.ssh_command()
    }

    /// The latest messages of the journal, for the record of a failure.
    pub fn journal(&self) -> Result<String> {
        self.run("journalctl --boot --no-pager --lines 300")
    }

    /// Waits until a person switches the machine off.
    pub fn wait(mut self) -> Result<()> {
        self.qemu.0.wait().context("failed to wait for QEMU")?;
        Ok(())
    }

    /// Switches the machine off.
    pub fn power_off(mut self) -> Result<()> {
        // The connection may break before the answer.
        let _ = self
            .login
            .command("systemctl poweroff")
            .stdin(Stdio::null())
            .output();
        let begun = Instant::now();
        while self
            .qemu
            .0
            .try_wait()
            .context("failed to wait for QEMU")?
            .is_none()
        {
            if begun.elapsed() > POWER_OFF_TIMEOUT {
                bail!(
                    "the machine is still on after {} s; killing QEMU",
                    POWER_OFF_TIMEOUT.as_secs()
                );
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    fn wait_for_login(&mut self, begun: Instant) -> Result<()> {
        while !self.login.answers() {
            if let Some(status) = self.qemu.0.try_wait().context("failed to wait for QEMU")? {
                bail!("QEMU ended with {status} {}", self.shown_console());
            }
            if begun.elapsed() > BOOT_TIMEOUT {
                bail!(
                    "no login after {} s {}",
                    BOOT_TIMEOUT.as_secs(),
                    self.shown_console()
                );
            }
        }
        self.login.connect()
    }

    /// Mounts the shares, each below an overlay that takes writes and is discarded with the
    /// machine.
    fn mount(&self, shares: &[Share]) -> Result<()> {
        let options = "trans=virtio,version=9p2000.L,msize=1048576,cache=loose,ro";
        for (number, Share(folder)) in shares.iter().enumerate() {
            let path = shell_quoted(&folder.to_string_lossy());
            let own = format!("/var/lib/shares/{number}");
            self.run(&format!(
                "mkdir -p {path} {own}/lower {own}/upper {own}/work && \
                 mount -t 9p -o {options} share{number} {own}/lower && \
                 mount -t overlay -o lowerdir={own}/lower,upperdir={own}/upper,workdir={own}/work share{number} {path}"
            ))
            .with_context(|| format!("failed to share {}", folder.display()))?;
        }
        Ok(())
    }

    fn shown_console(&self) -> String {
        let text = fs::read(&self.console).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines: Vec<_> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(CONSOLE_LINES)..].join("\n");
        format!(
            "(its console, {}, ends with)\n{last}",
            self.console.display()
        )
    }
}

fn command(
    files: &image::Files,
    shares: &[Share],
    accelerator: Accelerator,
    console: &Path,
    port: u16,
) -> Command {
    let mut command = command_until_exit("KILL", "qemu-system-x86_64");
    command
        .args(["-M", "q35"])
        .args(accelerator.arguments())
        .args([
            "-m",
            MEMORY,
            "-smp",
            "2",
            "-nodefaults",
            "-display",
            "none",
            "-no-reboot",
        ])
        .arg("-kernel")
        .arg(files.kernel())
        .arg("-initrd")
        .arg(files.first_root())
        .args([
            "-append",
            "root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off panic=-1",
        ])
        // The cached disk is only read.
        .arg("-drive")
        .arg(format!(
            "file={},if=virtio,format=raw,cache=unsafe,snapshot=on",
            quoted(&files.disk())
        ))
        // The machine reaches nothing outside.
        .arg("-nic")
        .arg(format!(
            "user,model=virtio-net-pci,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22"
        ))
        .arg("-serial")
        .arg(format!("file:{}", console.display()));
    for (number, Share(folder)) in shares.iter().enumerate() {
        command.arg("-virtfs").arg(format!(
            "local,path={},mount_tag=share{number},security_model=none,readonly=on,multidevs=remap",
            quoted(folder)
        ));
    }
    command
}

/// A path among QEMU's options, where a comma is doubled.
fn quoted(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to find a port")?;
    Ok(listener
        .local_addr()
        .context("failed to find a port")?
        .port())
}

impl SocketFolder {
    fn make() -> Result<Self> {
        let folder = std::env::temp_dir();
        remove_stale(&folder).with_context(|| format!("failed to clear {}", folder.display()))?;
        let path = folder.join(format!("{PREFIX}{}", process::id()));
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| format!("failed to make {}", path.display()))?;
        Ok(Self(path))
    }
}

/// Removes the folders of processes that were killed.
fn remove_stale(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let Some(owner) = owner.and_then(|owner| owner.parse::<u32>().ok()) else {
            continue;
        };
        if owner == process::id() || !Path::new(&format!("/proc/{owner}")).exists() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // QEMU may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for SocketFolder {
    fn drop(&mut self) {
        // The folder is in the temporary directory, and nothing depends on its removal.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_dead_processes_are_removed_and_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let living = rustix::process::getppid().unwrap().as_raw_nonzero();
        let names = [
            (format!("{PREFIX}{living}"), true),
            // Greater than any process number.
            (format!("{PREFIX}{}", u32::MAX), false),
            (format!("{PREFIX}other"), true),
        ];
        for (name, _) in &names {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        remove_stale(folder.path()).unwrap();
        for (name, stays) in &names {
            assert_eq!(folder.path().join(name).exists(), *stays, "{name}");
        }
    }

    #[test]
    fn commas_of_paths_are_no_separators() {
        assert_eq!(quoted(Path::new("/a,b/c")), "/a,,b/c");
        assert_eq!(quoted(Path::new("/a/c")), "/a/c");
    }
}
