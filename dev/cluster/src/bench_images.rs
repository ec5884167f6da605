//! Provides the images that benchmarks use: every function as a component and as container images.
//!
//! They are pushed to the registry and pulled to the nodes, so that no pod waits for an image. Tags
//! are made of an image's content: a node that has the tag has the image.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use sampan_build::functions::{Form, Function, Maker};
use sampan_checkout::cache::content_key;
use sampan_checkout::cargo::output;
use sampan_checkout::repository::Repository;
use serde::Serialize;

use super::functions::{BackendAccess, push};
use super::images::{ctr, import};
use super::layout::{Layout, Node};
use super::state::SavedState;

/// The images of each function, and the file that lists them.
#[derive(Debug)]
pub struct BenchImages {
    /// The images of each function, by its name.
    pub functions: BTreeMap<String, FunctionImages>,
    /// The file that lists them.
    pub file: PathBuf,
}

/// A function's images, and an example call.
#[derive(Debug, Serialize)]
pub struct FunctionImages {
    /// The image with the component.
    pub wasm: String,
    /// The image with the static program alone.
    pub scratch: String,
    distro: String,
    query: String,
    env: BTreeMap<&'static str, String>,
    outbound: Vec<String>,
}

pub(super) fn provide(
    repository: &Repository,
    layout: &Layout,
    saved: &SavedState,
) -> Result<BenchImages> {
    eprintln!("==> the images of the functions");
    let functions = Function::select(repository, &[])?;
    let maker = Maker::prepare(repository, &functions)?;
    let nodes = saved.all_nodes(layout);
    let folder = layout.state().join("bench-images");
    let mut images = sampan_images::Layout::create(&folder)?;
    let mut all_images = BTreeMap::new();
    for function in &functions {
        let component = function.staged_component(repository);
        let wasm = reference(saved, function, "wasm", &component, "")?;
        // Both kinds are plain Deployments, which name no command.
        let options = ["--image"];
        push(repository, &function.staged(repository), &wasm, &options)?;
        let mut add = |form: Form| -> Result<String> {
            let (program, below) = (maker.program(function, form), maker.below(form));
            let reference = reference(saved, function, form.name(), &program, below)?;
            images.add(&reference, &maker.image(function, form))?;
            Ok(reference)
        };
        let (scratch, distro) = (add(Form::Scratch)?, add(Form::Distro)?);
        let example = function.example(repository)?;
        let query = example.split_once('?').map_or("", |(_, query)| query);
        let BackendAccess {
            environment,
            outbound,
        } = BackendAccess::of(&function.name);
        let function_images = FunctionImages {
            wasm,
            scratch,
            distro,
            query: query.to_owned(),
            env: environment,
            outbound,
        };
        all_images.insert(function.name.clone(), function_images);
    }
    let archive = folder.with_extension("tar");
    images.archive(&archive)?;
    for node in &nodes {
        import(layout, node, &archive)?;
    }
    // Tens of megabytes that containerd holds by now.
    fs::remove_dir_all(&folder)
        .and_then(|()| fs::remove_file(&archive))
        .with_context(|| format!("failed to remove {}", folder.display()))?;
    for function_images in all_images.values() {
        for image in [&function_images.scratch, &function_images.distro] {
            move_image(layout, &layout.node(1), "push", image)?;
        }
        for node in &nodes {
            move_image(layout, node, "pull", &function_images.wasm)?;
        }
    }
    let file = layout.state().join("bench-images.json");
    let all = serde_json::json!({ "functions": all_images });
    fs::write(&file, serde_json::to_vec_pretty(&all)?)
        .with_context(|| format!("failed to write {}", file.display()))?;
    Ok(BenchImages {
        functions: all_images,
        file,
    })
}

/// The name of an image, for this machine and for the kubelet.
fn reference(
    saved: &SavedState,
    function: &Function,
    kind: &str,
    file: &Path,
    below: &str,
) -> Result<String> {
    let mut bytes = fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
    bytes.extend_from_slice(below.as_bytes());
    let (registry, name) = (saved.registry, &function.name);
    Ok(format!(
        "{registry}/bench/{name}:{kind}-{}",
        content_key(&bytes)
    ))
}

/// Pushes an image of a node to the registry, or pulls one from it.
fn move_image(layout: &Layout, node: &Node, direction: &str, image: &str) -> Result<()> {
    let mut command: Command = ctr(layout, node);
    // By ctr itself: the registry is reached on this machine's loopback.
    command.args(["images", direction, "--local", "--plain-http", image]);
    output(&mut command).map(drop)
}
