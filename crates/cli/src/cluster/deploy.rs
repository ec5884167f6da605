//! `sampan deploy`: from a file to functions that answer.
//!
//! Owns the order: everything is checked here, then by the cluster without being kept, then applied, then
//! waited for. Refuses to take back what was applied: pods from before go on answering until new ones do.

mod diagnosis;
mod manifest;
mod mapping;
mod progress;
mod report;
mod wait;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Instant;

use futures_util::future::try_join_all;
use futures_util::{StreamExt as _, pin_mut};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use sampan_artifact::ReferenceError;
use tokio::time::{sleep_until, timeout_at};

use crate::arguments::{Deploy, DryRun, Output, Push};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{pretty_json, print};
use crate::push;

use super::seen::Seen;
use super::watch::{Broken, broken};
use super::{Cluster, block_on, end};
use manifest::Manifest;
use progress::Progress;
use report::{Change, Deployed};
use wait::{Outcome, Step, Wait};

/// Whose fields these are, as the API server keeps account of it.
const MANAGER: &str = "sampan-cli";

/// Deploys the functions of a file.
pub(crate) fn deploy(arguments: &Deploy) -> Result<ExitCode, Failure> {
    let output = arguments.output;
    let manifests = prepare(arguments);
    match manifests.and_then(|manifests| block_on(run(arguments, manifests))) {
        Ok(Told::Rehearsed(text)) => end(print(&text), output),
        Ok(Told::Deployed(functions)) => {
            match output {
                Output::Json => print(&pretty_json(&functions)?)?,
                Output::Text => {
                    print(&report::text(&functions))?;
                    // The exit code tells as well, if this cannot be written.
                    let _ = io::stderr().write_all(report::causes(&functions).as_bytes());
                }
            }
            match report::failure(&functions) {
                None => end(Ok(()), Output::Text),
                Some(failure) => Err(failure),
            }
        }
        Err(failure) => end(Err(failure), output),
    }
}

enum Told {
    Rehearsed(String),
    Deployed(Vec<Deployed>),
}

/// Reads and checks what is to be deployed. Nothing is pushed before that.
fn prepare(arguments: &Deploy) -> Result<Vec<Manifest>, Failure> {
    let mut manifests = manifest::read(&arguments.file, arguments.image.as_deref())?;
    for manifest in &mut manifests {
        if let Some(replicas) = arguments.replicas {
            manifest.set_replicas(replicas);
        }
        manifest.check()?;
    }
    if let (true, Some(image)) = (arguments.push, &arguments.image) {
        let manifest = manifest::only_described(&mut manifests)?;
        let reference = image.parse().map_err(|error: ReferenceError| {
            Failure::new(
                Exit::Usage,
                format!("{image} cannot be pushed to: {error}"),
                "give --image the whole name, such as registry.example/functions/hello:1.0",
            )
        })?;
        // The digest, so that the same tag pushed anew is another version to the cluster.
        manifest.set_image(&push::pinned_name(&Push {
            file: arguments.file.clone(),
            reference,
            annotations: Vec::new(),
            force: false,
            access: arguments.access.clone(),
            output: arguments.output,
        })?);
    }
    Ok(manifests)
}

async fn run(arguments: &Deploy, mut manifests: Vec<Manifest>) -> Result<Told, Failure> {
    if arguments.dry_run == Some(DryRun::Client) {
        for manifest in &mut manifests {
            if let Some(namespace) = &arguments.cluster.namespace {
                manifest.set_namespace(namespace)?;
            }
        }
        let resources = manifests.iter().map(|manifest| manifest.resource.clone());
        return manifest::show(&resources.collect::<Vec<_>>(), arguments.output)
            .map(Told::Rehearsed);
    }
    let cluster = Cluster::find(&arguments.cluster).await?;
    for manifest in &mut manifests {
        // A namespace in the file counts unless another one was asked for, which is a contradiction.
        if arguments.cluster.namespace.is_some() || manifest.namespace().is_none() {
            manifest.set_namespace(&cluster.namespace)?;
        }
    }
    manifest::check_unique(&manifests)?;
    let parameters = PatchParams::apply(MANAGER).validation_strict();
    let parameters = PatchParams {
        force: arguments.force_conflicts,
        ..parameters
    };
    let rehearse = arguments.dry_run.is_some();
    if rehearse || manifests.len() > 1 {
        // So that one resource that is refused leaves all of them as they were.
        let parameters = parameters.clone().dry_run();
        let mut checked = Vec::new();
        for manifest in &manifests {
            checked.push(apply(&cluster, manifest, &parameters).await?);
        }
        if rehearse {
            return manifest::show_objects(&checked, arguments.output).map(Told::Rehearsed);
        }
    }
    let progress = Progress::new();
    let mut applied = Vec::new();
    for manifest in &manifests {
        applied.push((
            manifest,
            applied_now(&cluster, manifest, &parameters).await?,
        ));
    }
    let begun = Instant::now();
    let waiting = applied.into_iter().map(async |(manifest, (change, seen))| {
        let outcome = if arguments.wait || !arguments.no_wait {
            let deadline = begun + arguments.timeout;
            Some(wait_for(&cluster, &seen, deadline, &progress).await?)
        } else {
            None
        };
        let mut deployed = Deployed::new(&seen, change, manifest.example.clone(), begun.elapsed());
        if let Some(outcome) = outcome {
            let failed = !matches!(outcome, Outcome::Ready(_));
            deployed.set_outcome(outcome, arguments.timeout);
            if failed {
                deployed.diagnosis = Some(diagnosis::gather(&cluster, &seen).await);
            }
        }
        Ok(deployed)
    });
    let deployed = try_join_all(waiting).await?;
    progress.finish();
    Ok(Told::Deployed(deployed))
}

async fn apply(
    cluster: &Cluster,
    manifest: &Manifest,
    parameters: &PatchParams,
) -> Result<DynamicObject, Failure> {
    let (name, namespace) = (manifest.name(), manifest.namespace().unwrap_or_default());
    let action = format!("deploy {name} in namespace {namespace}");
    let functions = cluster.functions(namespace);
    let patch = Patch::Apply(&manifest.resource);
    cluster
        .ask(action, functions.patch(name, parameters, &patch))
        .await
}

/// Applies a resource, and tells what that changed.
async fn applied_now(
    cluster: &Cluster,
    manifest: &Manifest,
    parameters: &PatchParams,
) -> Result<(Change, Seen), Failure> {
    let (name, namespace) = (manifest.name(), manifest.namespace().unwrap_or_default());
    let functions = cluster.functions(namespace);
    let action = format!("read {name} in namespace {namespace}");
    let before = cluster
        .ask(action, functions.get_metadata_opt(name))
        .await?;
    let object = apply(cluster, manifest, parameters).await?;
    let change = match before {
        None => Change::Created,
        Some(before) if before.metadata.resource_version == object.metadata.resource_version => {
            Change::Unchanged
        }
        Some(_) => Change::Changed,
    };
    Ok((change, Seen::of(&object)?))
}

/// Follows a function until it is as it was asked for, cannot become so, or the time is up.
async fn wait_for(
    cluster: &Cluster,
    applied: &Seen,
    deadline: Instant,
    progress: &Progress,
) -> Result<Outcome, Failure> {
    let Seen {
        name, namespace, ..
    } = applied;
    let line = progress.line(name);
    let mut wait = Wait::new(applied, Instant::now());
    let watch = watcher::watch_object(cluster.functions(namespace), name).default_backoff();
    pin_mut!(watch);
    let mut latest = Some(applied.clone());
    loop {
        let step = match wait.look(latest.as_ref(), Instant::now()) {
            Step::Over(outcome) => {
                line.over();
                return Ok(outcome);
            }
            Step::Goes { text, again } => {
                line.show(&text);
                again
            }
        };
        // Time alone can end it as well.
        let until = step.map_or(deadline, |again| again.min(deadline));
        match timeout_at(until.into(), watch.next()).await {
            Ok(Some(Ok(object))) => {
                latest = object.as_ref().map(Seen::of).transpose()?;
            }
            Ok(Some(Err(error))) => match broken(&error) {
                Broken::ForNow => line.show("the connection to the cluster broke; trying again"),
                Broken::ForGood => {
                    let asked = cluster.asked(format!("follow {name} in namespace {namespace}"));
                    return Err(Failure::watch(&error, &asked));
                }
            },
            // The stream has no end of its own.
            Ok(None) => sleep_until(until.into()).await,
            Err(_) => {}
        }
        if Instant::now() >= deadline {
            line.over();
            return Ok(wait.late(latest.as_ref()));
        }
    }
}
