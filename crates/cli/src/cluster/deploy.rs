//! `sampan deploy`: deploys the functions of a file and waits until they answer.
//!
//! The order is: check locally, dry-run on the cluster, apply, wait. A failed deployment is not
//! rolled back; pods from before continue to answer until new ones do.

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

use super::function::ClusterFunction;
use super::watch::{WatchFailure, classify};
use super::{Cluster, block_on, end};
use manifest::Manifest;
use progress::Progress;
use report::{Change, Deployed};
use wait::{Outcome, Wait, WaitState};

/// The field manager in server-side apply.
const MANAGER: &str = "sampan-cli";

/// Deploys the functions of a file.
pub(crate) fn deploy(arguments: &Deploy) -> Result<ExitCode, Failure> {
    let output = arguments.output;
    let manifests = prepare(arguments);
    match manifests.and_then(|manifests| block_on(run(arguments, manifests))) {
        Ok(Deployment::DryRun(text)) => end(print(&text), output),
        Ok(Deployment::Deployed(functions)) => {
            match output {
                Output::Json => print(&pretty_json(&functions)?)?,
                Output::Text => {
                    print(&report::text(&functions))?;
                    // The exit code shows the failure even if this write fails.
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

enum Deployment {
    DryRun(String),
    Deployed(Vec<Deployed>),
}

/// Reads and checks the resources. Pushes only after that.
fn prepare(arguments: &Deploy) -> Result<Vec<Manifest>, Failure> {
    let mut manifests = manifest::read(&arguments.file, arguments.image.as_deref())?;
    for manifest in &mut manifests {
        if let Some(replicas) = arguments.replicas {
            manifest.set_replicas(replicas);
        }
        if let Some(placement) = arguments.placement {
            manifest.set_placement(placement.into());
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
        // With a digest, a tag that was pushed anew is another version for the cluster.
        manifest.set_image(&push::pinned_name(&Push {
            file: arguments.file.clone(),
            reference,
            image: false,
            annotations: Vec::new(),
            force: false,
            access: arguments.access.clone(),
            output: arguments.output,
        })?);
    }
    Ok(manifests)
}

async fn run(arguments: &Deploy, mut manifests: Vec<Manifest>) -> Result<Deployment, Failure> {
    if arguments.dry_run == Some(DryRun::Client) {
        for manifest in &mut manifests {
            if let Some(namespace) = &arguments.cluster.namespace {
                manifest.set_namespace(namespace)?;
            }
        }
        let resources = manifests.iter().map(|manifest| manifest.resource.clone());
        return manifest::show(&resources.collect::<Vec<_>>(), arguments.output)
            .map(Deployment::DryRun);
    }
    let cluster = Cluster::find(&arguments.cluster).await?;
    for manifest in &mut manifests {
        // The file's namespace counts, unless another one is given, which is a contradiction.
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
    let dry_run = arguments.dry_run.is_some();
    if dry_run || manifests.len() > 1 {
        // If one resource is rejected, all of them stay as they were.
        let parameters = parameters.clone().dry_run();
        let mut checked = Vec::new();
        for manifest in &manifests {
            checked.push(apply(&cluster, manifest, &parameters).await?);
        }
        if dry_run {
            return manifest::show_objects(&checked, arguments.output).map(Deployment::DryRun);
        }
    }
    let progress = Progress::new();
    let mut applied = Vec::new();
    for manifest in &manifests {
        applied.push((
            manifest,
            apply_and_compare(&cluster, manifest, &parameters).await?,
        ));
    }
    let begun = Instant::now();
    let waiting = applied
        .into_iter()
        .map(async |(manifest, (change, function))| {
            let outcome = if arguments.wait || !arguments.no_wait {
                let deadline = begun + arguments.timeout;
                Some(wait_for(&cluster, &function, deadline, &progress).await?)
            } else {
                None
            };
            let mut deployed =
                Deployed::new(&function, change, manifest.example.clone(), begun.elapsed());
            if let Some(outcome) = outcome {
                // The place of a new function is in its status, and not in what was applied.
                let failed = outcome.not_ready(&function).cloned();
                deployed.set_outcome(outcome, arguments.timeout);
                if let Some(last) = failed {
                    deployed.diagnosis = Some(diagnosis::gather(&cluster, &last).await);
                }
            }
            Ok(deployed)
        });
    let deployed = try_join_all(waiting).await?;
    progress.finish();
    Ok(Deployment::Deployed(deployed))
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
        .request(action, functions.patch(name, parameters, &patch))
        .await
}

/// Applies a resource, and returns whether that changed it.
async fn apply_and_compare(
    cluster: &Cluster,
    manifest: &Manifest,
    parameters: &PatchParams,
) -> Result<(Change, ClusterFunction), Failure> {
    let (name, namespace) = (manifest.name(), manifest.namespace().unwrap_or_default());
    let functions = cluster.functions(namespace);
    let action = format!("read {name} in namespace {namespace}");
    let before = cluster
        .request(action, functions.get_metadata_opt(name))
        .await?;
    let object = apply(cluster, manifest, parameters).await?;
    let change = match before {
        None => Change::Created,
        Some(before) if before.metadata.resource_version == object.metadata.resource_version => {
            Change::Unchanged
        }
        Some(_) => Change::Changed,
    };
    Ok((change, ClusterFunction::of(&object)?))
}

/// Follows a function until it is ready, has failed, or the time is up.
async fn wait_for(
    cluster: &Cluster,
    applied: &ClusterFunction,
    deadline: Instant,
    progress: &Progress,
) -> Result<Outcome, Failure> {
    let ClusterFunction {
        name, namespace, ..
    } = applied;
    let line = progress.line(name);
    let mut wait = Wait::new(applied, Instant::now());
    let watch = watcher::watch_object(cluster.functions(namespace), name).default_backoff();
    pin_mut!(watch);
    let mut latest = Some(applied.clone());
    loop {
        let step = match wait.observe(latest.as_ref(), Instant::now()) {
            WaitState::Ended(outcome) => {
                line.finish();
                return Ok(outcome);
            }
            WaitState::Waiting { text, again } => {
                line.show(&text);
                again
            }
        };
        // The result may also depend on time alone.
        let until = step.map_or(deadline, |again| again.min(deadline));
        match timeout_at(until.into(), watch.next()).await {
            Ok(Some(Ok(object))) => {
                latest = object.as_ref().map(ClusterFunction::of).transpose()?;
            }
            Ok(Some(Err(error))) => match classify(&error) {
                WatchFailure::Transient => {
                    line.show("the connection to the cluster broke; trying again");
                }
                WatchFailure::Permanent => {
                    let context =
                        cluster.request_context(format!("follow {name} in namespace {namespace}"));
                    return Err(Failure::watch(&error, &context));
                }
            },
            // The stream has no end of its own.
            Ok(None) => sleep_until(until.into()).await,
            Err(_) => {}
        }
        if Instant::now() >= deadline {
            line.finish();
            return Ok(wait.late(latest.as_ref()));
        }
    }
}
