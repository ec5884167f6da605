//! Makes container images of the functions' native programs, without a container engine.
//!
//! Each comes in two forms: the strongest competitor of a component, and what is usually deployed.
//! Both keep OpenFaaS's contract for a container: port 8080, `GET /_/health`, a lock file while it
//! is healthy, and SIGTERM lets requests end. The program itself implements it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use sampan_checkout::cargo;
use sampan_checkout::repository::Repository;
use sampan_images::{Image, Layer, Layout, Packed, Platform};

use super::arguments::Functions;
use super::base;
use super::catalogue::Function;

/// The user of a function, which no machine has.
const NON_ROOT_USER: &str = "65532:65532";
/// The file by which OpenFaaS sees that a container is healthy.
const LOCK_FILE: &str = "/tmp/.lock";

/// The content of an image beside the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Nothing: the program is static.
    Scratch,
    /// A small Debian.
    Distro,
}

impl Form {
    /// Both forms.
    pub const ALL: [Form; 2] = [Form::Scratch, Form::Distro];

    /// The form's name, in the tags of images.
    pub fn name(self) -> &'static str {
        match self {
            Form::Scratch => "scratch",
            Form::Distro => "distro",
        }
    }
}

/// Makes images of built programs.
#[derive(Debug)]
pub struct Maker<'a> {
    repository: &'a Repository,
    base: Packed,
}

/// Builds the static programs and makes both images of each function.
pub(super) fn run(
    repository: &Repository,
    asked: &Functions,
    functions: &[Function],
) -> Result<()> {
    let maker = Maker::prepare(repository, functions)?;
    let folder = repository.target().join("images");
    fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let prefix = asked.prefix.trim_end_matches('/');
    for function in functions {
        let mut layout = Layout::create(&folder.join(&function.name))?;
        for form in Form::ALL {
            let reference = format!("{prefix}/{}:{}", function.name, form.name());
            layout.add(&reference, &maker.image(function, form))?;
            eprintln!("  {reference}");
        }
        layout.archive(&folder.join(format!("{}.oci.tar", function.name)))?;
    }
    let mebibytes = maker.base.size() / (1 << 20);
    eprintln!(
        "made images of both forms in {}; the Debian below one has {mebibytes} MiB",
        folder.display()
    );
    Ok(())
}

impl<'a> Maker<'a> {
    /// Builds the static programs and the Debian layer, unless they exist. The dynamic programs
    /// must be built.
    pub fn prepare(repository: &'a Repository, functions: &[Function]) -> Result<Maker<'a>> {
        cargo::run(&mut static_programs(repository, functions))?;
        let base = base::provide()?;
        Ok(Maker { repository, base })
    }

    /// The program in an image.
    pub fn program(&self, function: &Function, form: Form) -> PathBuf {
        let built = self.repository.functions_target();
        let folder = match form {
            Form::Scratch => built.join(target()).join("release"),
            Form::Distro => built.join("release"),
        };
        folder.join(&function.name)
    }

    /// The identity of the layer below the program; a different layer makes a different image.
    pub fn below(&self, form: Form) -> &str {
        match form {
            Form::Scratch => "",
            Form::Distro => self.base.hash(),
        }
    }

    /// The image of a function.
    pub fn image(&self, function: &Function, form: Form) -> Image {
        let program = self.program(function, form);
        let image = Image::new(Platform::current());
        let (image, path) = match form {
            Form::Scratch => {
                let path = format!("/{}", function.name);
                (image.layer(alone(&path, &program)), path)
            }
            Form::Distro => {
                let path = format!("/usr/local/bin/{}", function.name);
                let layer = Layer::new().file(inside(&path), &program, 0o755);
                (image.packed(self.base.clone()).layer(layer), path)
            }
        };
        image
            .entrypoint([&path])
            .environment("FUNCTION_LOCK_FILE", LOCK_FILE)
            .user(NON_ROOT_USER)
            .label("org.opencontainers.image.title", &function.name)
            .label("org.opencontainers.image.licenses", "Apache-2.0")
    }
}

/// A static program with the files that it reads: names of users, and the order of name resolution.
/// Also a folder for its lock file.
fn alone(path: &str, program: &Path) -> Layer {
    Layer::new()
        .file(inside(path), program, 0o755)
        .text(
            "etc/passwd",
            "root:x:0:0:root:/:/nonexistent\nnobody:x:65532:65532:nobody:/:/nonexistent\n",
            0o644,
        )
        .text("etc/group", "root:x:0:\nnobody:x:65532:\n", 0o644)
        .text("etc/nsswitch.conf", "hosts: files dns\n", 0o644)
        .folder("tmp", 0o1777)
}

/// The path as an entry of a layer.
fn inside(path: &str) -> &str {
    path.trim_start_matches('/')
}

/// The machine's own target. Naming it keeps static linking apart from the other builds, and build
/// scripts and procedural macros are not linked statically.
fn target() -> String {
    format!("{}-unknown-linux-gnu", env::consts::ARCH)
}

fn static_programs(repository: &Repository, functions: &[Function]) -> Command {
    let variable = format!(
        "CARGO_TARGET_{}_RUSTFLAGS",
        target().to_uppercase().replace('-', "_")
    );
    let packages = functions
        .iter()
        .flat_map(|function| ["--package", &function.package]);
    let mut command = cargo::functions_workspace(repository, "build");
    command
        .env(variable, "-Ctarget-feature=+crt-static")
        .args(["--release", "--bins", "--target", &target()])
        .args(packages);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition that faas-cli deploys.
    const STACK: &str = include_str!("../../../../deploy/openfaas/stack.yml");

    #[test]
    fn the_image_of_a_static_program_has_the_files_that_it_reads() {
        let layer = alone("/aes", Path::new("/absent"));
        let expected = [
            "aes",
            "etc",
            "etc/group",
            "etc/nsswitch.conf",
            "etc/passwd",
            "tmp",
        ];
        assert_eq!(layer.paths().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn openfaas_deploys_every_function_that_is_served() {
        let repository = Repository::find().unwrap();
        let mut functions = Function::select(&repository, &[]).unwrap();
        functions.retain(Function::is_served);
        let images = functions.iter().map(|function| {
            format!(
                "    image: ${{PREFIX:-localhost/functions}}/{}:${{FORM:-scratch}}",
                function.name
            )
        });
        let found = STACK.lines().filter(|line| line.contains(" image: "));
        assert_eq!(found.collect::<Vec<_>>(), images.collect::<Vec<_>>());
        let names = functions
            .iter()
            .map(|function| format!("  {}:", function.name));
        for name in names {
            assert!(STACK.lines().any(|line| line == name), "{name}");
        }
    }
}
