//! Loads versions: from the registry or the pod's disk, through the compiler or its cache, to a
//! function that accepts requests.

use std::sync::Arc;
use std::time::Instant;

use sampan_artifact::Digest;
use sampan_engine::{CallError, Engine, Wasm};
use sampan_runner::{Deployed, FunctionObserver, Metrics};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::artifacts::Artifacts;
use crate::blocking::run_blocking;
use crate::error::PoolError;
use crate::image_store::Artifact;
use crate::leases::Lease;
use crate::metrics::PoolMetrics;
use crate::version::Version;

/// A version that accepts requests.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) version: Version,
    pub(crate) artifact: Artifact,
    pub(crate) deployed: Arc<Deployed>,
}

/// Where the image of a version comes from.
#[derive(Clone)]
pub(crate) enum Origin {
    /// The registry, or the pod's disk, as the version's policy says.
    Image,
    /// The image of the version before: only the rest has changed.
    Same(Lease),
    /// The image with which the pod has served this version before its restart.
    Restored(Lease),
}

/// Loads versions. Clones share it.
#[derive(Clone)]
pub(crate) struct Loader(Arc<Parts>);

struct Parts {
    engine: Engine,
    artifacts: Artifacts,
    function_metrics: Metrics,
    metrics: PoolMetrics,
    /// Loads of new modules, which may be compiled for long, and of those that were loaded before,
    /// which do not wait for them.
    new: Semaphore,
    known: Semaphore,
}

impl Loader {
    /// Makes a loader of so many concurrent loads of either kind.
    pub(crate) fn new(
        engine: Engine,
        artifacts: Artifacts,
        function_metrics: Metrics,
        metrics: PoolMetrics,
        concurrent: usize,
    ) -> Self {
        Self(Arc::new(Parts {
            engine,
            artifacts,
            function_metrics,
            metrics,
            new: Semaphore::new(concurrent),
            known: Semaphore::new(concurrent),
        }))
    }

    /// The metrics of the functions.
    pub(crate) fn function_metrics(&self) -> &Metrics {
        &self.0.function_metrics
    }

    /// Keeps an image on the disk, if it is there.
    pub(crate) fn lease(&self, image: Digest) -> Lease {
        self.0.artifacts.lease(image)
    }

    /// Removes all images without a lease, and the compiled modules that only they have.
    pub(crate) async fn collect(&self) {
        let collected = async {
            let kept = self.0.artifacts.collect().await?;
            let engine = self.0.engine.clone();
            let compiled = spawn_blocking(move || {
                let digests: Vec<&str> = kept.iter().map(Digest::as_str).collect();
                engine.retain(&digests)
            });
            let compiled = compiled
                .await
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
            compiled.map_err(PoolError::from)
        };
        if let Err(error) = collected.await {
            // The next time may succeed; until then the disk is fuller than it must be.
            tracing::error!(
                reason = error.failure().message,
                "unused modules are not removed"
            );
        }
    }

    /// Loads a version: gets its image, and loads that when it is its turn.
    pub(crate) async fn load(&self, version: Version, origin: Origin) -> Result<Live, PoolError> {
        let artifacts = &self.0.artifacts;
        let images = artifacts.store();
        let most = version.function.limits.artifact.bytes();
        let kept = match origin {
            Origin::Image => None,
            Origin::Same(image) => images.find(image).await?.zip(Some(Newness::Known)),
            Origin::Restored(image) => images.find(image).await?.zip(Some(Newness::Restored)),
        };
        let (artifact, newness) = match kept {
            Some(kept) => kept,
            // It is pulled, also if the disk has lost what was there before.
            None => (artifacts.get(&version.image, most).await?, Newness::New),
        };
        let permits = match newness {
            Newness::New => &self.0.new,
            Newness::Known | Newness::Restored => &self.0.known,
        };
        // Neither semaphore is ever closed.
        let _permit = permits.acquire().await.ok();
        let started = Instant::now();
        let loaded = self.0.load(version, artifact, newness).await;
        self.0.metrics.loaded(started.elapsed(), loaded.is_ok());
        loaded
    }
}

/// Whether a module was loaded before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Newness {
    /// It may have to be compiled.
    New,
    Known,
    /// Its first instance is left to the first request.
    Restored,
}

impl Parts {
    async fn load(
        &self,
        version: Version,
        artifact: Artifact,
        newness: Newness,
    ) -> Result<Live, PoolError> {
        let function = &version.function;
        let observer = FunctionObserver::new(function.name.clone(), &self.function_metrics)
            .with_cold_starts(self.metrics.cold_starts());
        let wasm = Wasm::File(artifact.path.clone());
        let (engine, specification) = (self.engine.clone(), Arc::clone(function));
        let identity = version.resource.uid.clone();
        let load = async move {
            let observer = Arc::new(observer);
            engine
                .load_version(&identity, specification, wasm, observer)
                .await
        };
        let loaded = run_blocking(load).await?;
        if loaded.digest() != artifact.module.as_str() {
            self.artifacts.store().remove(&artifact).await?;
            return Err(PoolError::Damaged {
                expected: artifact.module.to_string(),
                found: loaded.digest().to_owned(),
            });
        }
        if newness != Newness::Restored {
            match loaded.warm_up().await {
                // Others, or the version before, use every instance, the memory or the processors: that is no fault of this
                // version. An instance that is too large alone is another error.
                Ok(())
                | Err(
                    CallError::Instances
                    | CallError::ProcessMemory
                    | CallError::TotalMemory { .. }
                    | CallError::Processors { .. },
                ) => {}
                Err(error) => return Err(PoolError::Instance(error)),
            }
        }
        Ok(Live {
            deployed: Deployed::new(loaded, &self.function_metrics),
            version,
            artifact,
        })
    }
}
