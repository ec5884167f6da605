//! Makes the images that critest pulls, from programs of this machine.
//!
//! A registry of the cluster serves them under critest's names. containerd asks that registry
//! instead of the public ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use sampan_checkout::cargo::output;
use sampan_images::{Image, Layer, Platform};

use crate::images::{self, PAUSE, STATIC_BUSYBOX, alone, busybox_layer, import};
use crate::layout::{Layout, Node};
use crate::network;
use crate::node::registry_settings;
use crate::state::SavedState;

/// The public registries that critest names.
const REGISTRIES: [&str; 3] = ["registry.k8s.io", "gcr.io", "k8s.gcr.io"];

/// Users and groups of critest's own images.
const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
default-user:x:1000:1000::/home:/bin/sh
nobody:x:65534:65534:nobody:/home:/bin/false
";
const GROUP: &str = "\
root:x:0:
daemon:x:1:
www-data:x:33:
default-user:x:1000:
group-defined-in-image:x:50000:default-user
nogroup:x:65534:
";

const NGINX: &str = "/usr/sbin/nginx";

/// Programs that specs run and that a static busybox lacks.
const PROGRAMS: [&str; 2] = ["/usr/bin/ipcs", "/usr/bin/pgrep"];

/// Makes a node's containerd ask the cluster's registry for images of the public registries.
pub(super) fn redirect(layout: &Layout, node: &Node) -> Result<()> {
    REGISTRIES
        .iter()
        .try_for_each(|host| registry_settings(layout, node, host))
}

/// Fills the registry, and gives every node the sandbox image.
pub(super) fn publish(layout: &Layout, nodes: &[Node]) -> Result<()> {
    let pause = archive(layout, "pause", &[(PAUSE.to_owned(), pause(layout)?)])?;
    for node in nodes {
        import(layout, node, &pause)?;
    }
    let node = nodes.first().context("there is no node")?;
    let registry = SavedState::registry_in_cluster(layout);
    let named: Vec<_> = all(layout)?
        .into_iter()
        .map(|(name, image)| (format!("{registry}/{name}"), image))
        .collect();
    import(layout, node, &archive(layout, "critest", &named)?)?;
    let ctr = |words: &[&str]| {
        let mut command = network::inside_of(node);
        let inner = images::ctr(layout, node);
        command.arg(inner.get_program()).args(inner.get_args());
        command.arg("images").args(words);
        output(&mut command).map(drop)
    };
    for (name, _) in &named {
        ctr(&["push", "--local", "--plain-http", name])?;
    }
    // Removed here, because every spec pulls the images that it uses.
    for (name, _) in &named {
        ctr(&["remove", name])?;
    }
    Ok(())
}

fn archive(layout: &Layout, name: &str, named: &[(String, Image)]) -> Result<PathBuf> {
    let folder = layout.state().join("critest-images").join(name);
    let mut images = sampan_images::Layout::create(&folder)?;
    for (reference, image) in named {
        images.add(reference, image)?;
    }
    let archive = folder.with_extension("tar");
    images.archive(&archive)?;
    Ok(archive)
}

fn program(layout: &Layout, name: &str) -> Result<PathBuf> {
    let link = layout.program(name);
    fs::canonicalize(&link).with_context(|| format!("there is no {}", link.display()))
}

fn pause(layout: &Layout) -> Result<Image> {
    Ok(alone("pause", &program(layout, "pause")?))
}

/// Every image by its name without a registry.
fn all(layout: &Layout) -> Result<Vec<(String, Image)>> {
    let base = busybox_layer()?
        .text("etc/passwd", PASSWD, 0o644)
        .text("etc/group", GROUP, 0o644);
    let base = PROGRAMS.iter().try_fold(base, add_program)?;
    // A spec masks this program alone, so it must not be a link to busybox.
    let base = base.file("bin/ls", Path::new(STATIC_BUSYBOX), 0o755);
    let busybox = || {
        Image::new(Platform::current())
            .layer(base.clone())
            .arguments(["sh"])
            .environment("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    };
    let marked = |mark: &str| busybox().layer(Layer::new().text(mark, "", 0o644));
    let architecture = Platform::current().architecture().to_owned();
    let effective_uid = program(layout, "effective-uid")?;
    let mut images = vec![
        ("e2e-test-images/busybox:1.29-2".to_owned(), busybox()),
        (
            "e2e-test-images/nginx:1.14-2".to_owned(),
            with_nginx(busybox(), 80)?,
        ),
        (
            "e2e-test-images/httpd:2.4.39-4".to_owned(),
            with_httpd(busybox()),
        ),
        (
            "e2e-test-images/nonewprivs:1.3".to_owned(),
            busybox()
                .layer(Layer::new().file("bin/effective-uid", &effective_uid, 0o4755))
                .entrypoint(["/bin/effective-uid"])
                .arguments([]),
        ),
        // Not the image of the sandboxes: a spec removes this one under all its names.
        (
            "pause:3.9".to_owned(),
            pause(layout)?.label("org.opencontainers.image.version", "3.9"),
        ),
    ];
    let mut own = |name: &str, image: Image| {
        images.push((format!("k8s-staging-cri-tools/{name}"), image));
    };
    own(
        &format!("hostnet-nginx-{architecture}:latest"),
        with_nginx(busybox(), 12003)?,
    );
    for (name, user) in [
        ("user-uid", "1002"),
        ("user-username", "www-data"),
        ("user-uid-group", "1003:1004"),
        ("user-username-group", "www-data:1004"),
        ("predefined-group", "1000"),
    ] {
        own(
            &format!("test-image-{name}:latest"),
            busybox().user(user).label("name", name),
        );
    }
    for name in ["latest", "1", "2", "3"] {
        own(&format!("test-image-{name}:latest"), marked(name));
    }
    for tag in ["test", "all"] {
        own(&format!("test-image-tag:{tag}"), marked(tag));
    }
    for tag in ["1", "2", "3"] {
        own(&format!("test-image-tags:{tag}"), marked("same-image"));
    }
    Ok(images)
}

/// busybox's HTTP server, which writes its name to the log as critest expects.
fn with_httpd(image: Image) -> Image {
    let page = Layer::new().text("www/index.html", "It works\n", 0o644);
    let serve = "echo httpd; exec httpd -f -p 80 -h /www";
    image
        .layer(page)
        .entrypoint(["sh", "-c", serve])
        .arguments([])
}

/// The machine's nginx with its libraries.
fn with_nginx(image: Image, port: u16) -> Result<Image> {
    let settings = format!(
        "daemon off;\nuser www-data;\nworker_processes 1;\npid /var/run/nginx.pid;\n\
         error_log stderr;\nevents {{}}\nhttp {{\n  access_log off;\n\
         client_body_temp_path /tmp/body;\n  proxy_temp_path /tmp/proxy;\n\
         fastcgi_temp_path /tmp/fastcgi;\n  uwsgi_temp_path /tmp/uwsgi;\n\
         scgi_temp_path /tmp/scgi;\n\
         server {{ listen {port}; root /usr/share/nginx/html; }}\n}}\n"
    );
    let layer = Layer::new()
        .text("etc/nginx/nginx.conf", &settings, 0o644)
        .text("usr/share/nginx/html/index.html", "It works\n", 0o644)
        .folder("var/log/nginx", 0o755)
        .folder("var/run", 0o755);
    let command = [NGINX, "-e", "stderr", "-c", "/etc/nginx/nginx.conf"];
    let image = image.layer(add_program(layer, &NGINX)?);
    Ok(image.entrypoint(command).arguments([]))
}

/// Adds a program of this machine with its libraries, under the same paths.
fn add_program(mut layer: Layer, program: &&str) -> Result<Layer> {
    let files = libraries(Path::new(program))?.into_iter();
    for file in files.chain([PathBuf::from(program)]) {
        let inside = file.strip_prefix("/").unwrap_or(&file);
        let inside = inside.to_str().context("a path is not valid UTF-8")?;
        layer = layer.file(inside, &file, 0o755);
    }
    Ok(layer)
}

/// The libraries of a program, under the paths where the loader looks for them.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let text = output(Command::new("ldd").arg(program))?;
    let text = String::from_utf8(text).context("ldd wrote invalid UTF-8")?;
    Ok(text.lines().filter_map(library).collect())
}

/// Parses a line such as `libz.so.1 => /lib/libz.so.1 (0x7f)`, or `/lib64/ld-linux.so.2 (0x7f)`.
fn library(line: &str) -> Option<PathBuf> {
    let found = line.split_once("=>").map_or(line, |(_, found)| found);
    let path = found.split_whitespace().next()?;
    path.starts_with('/').then(|| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_those_that_are_files() {
        fn check(line: &str, expected: Option<&str>) {
            assert_eq!(library(line), expected.map(PathBuf::from), "{line}");
        }
        check(
            "\tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00007f)",
            Some("/lib/x86_64-linux-gnu/libz.so.1"),
        );
        check(
            "\t/lib64/ld-linux-x86-64.so.2 (0x00007f)",
            Some("/lib64/ld-linux-x86-64.so.2"),
        );
        check("\tlinux-vdso.so.1 (0x00007ffd)", None);
        check("", None);
    }
}
