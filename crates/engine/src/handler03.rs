//! Calls wasi:http 0.3 handlers.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Instant;

use wasmtime::Store;
use wasmtime::component::Component;
use wasmtime_wasi_http::p3::Request;
use wasmtime_wasi_http::p3::bindings::{Service, ServicePre};
use wasmtime_wasi_http::{WasiBody, WasiHttpView as _};

use crate::call::Call;
use crate::error::CallError;
use crate::function::Inner;
use crate::host::{Host, Stdio};
use crate::idle::{Idle, Used, reuse};
use crate::module::{Entry, Module};

pub(crate) struct Handler03 {
    pre: ServicePre<Host>,
    idle: Idle<Instance>,
}

struct Instance {
    store: Store<Host>,
    service: Service,
}

impl Handler03 {
    pub(crate) fn new(pre: ServicePre<Host>) -> Self {
        Self {
            pre,
            idle: Idle::new(),
        }
    }

    pub(crate) fn idle(&self) -> &Idle<impl Send> {
        &self.idle
    }

    /// Runs one request. `call` receives the response as soon as the guest sets it. The future ends
    /// when the guest's last task ends.
    pub(crate) async fn run(
        &self,
        module: &Arc<Module>,
        call: Arc<Call>,
        request: http::Request<WasiBody>,
    ) -> Result<(), CallError> {
        let mut used = match self.idle.take() {
            Some(mut used) => {
                used.instance.store.data_mut().begin(Arc::clone(&call));
                used.instance.store.set_epoch_deadline(1);
                used
            }
            None => Used {
                instance: self.instantiate(module, &call).await?,
                served: 0,
            },
        };
        let Instance { store, service } = &mut used.instance;
        let (request, transmitted) = Request::from_http(store.data_mut().http().hooks, request);
        let served = store
            .run_concurrent(async |accessor| {
                match service.handle(accessor, request).await? {
                    Err(code) => call.answer(Err(CallError::Guest(format!("{code:?}")))),
                    Ok(response) => {
                        let response = accessor
                            .with(|mut store| response.into_http(&mut store, transmitted))?;
                        call.answer(Ok(response));
                    }
                }
                // After its return the guest still writes its response's body, and may do other
                // work.
                poll_fn(|context| accessor.poll_no_interesting_tasks(context)).await;
                wasmtime::error::Ok(())
            })
            .await;
        served
            .flatten()
            .map_err(|error| CallError::of(error, store.data().limiter.refused.is_some()))?;
        match reuse(&call.function.spec.instances) {
            Some(requests) if call.has_responded() => self.idle.put(used, requests),
            _ if call.busy => drop(used),
            _ => replace(
                Arc::clone(module),
                used.instance,
                Arc::clone(&call.function),
            ),
        }
        Ok(())
    }

    /// The component that is called.
    pub(crate) fn component(&self) -> &Component {
        self.pre.instance_pre().component()
    }

    /// Makes the first instance and keeps it prewarmed.
    pub(crate) async fn warm_up(&self, module: &Module, call: &Arc<Call>) -> Result<(), CallError> {
        let instance = self.instantiate(module, call).await?;
        if let Some(permit) = self
            .idle
            .prewarm_permit(call.function.engine.prewarm_budget())
        {
            self.idle.put_prewarmed(instance, permit);
        }
        Ok(())
    }

    /// Prewarms an instance if the budget allows one. A failure is ignored here: the next request
    /// instantiates by itself and reports it.
    async fn prepare(&self, module: &Module, function: Arc<Inner>) {
        if let Some(permit) = self.idle.prewarm_permit(function.engine.prewarm_budget()) {
            let call = Arc::new(Call::preparing(function));
            if let Ok(instance) = self.instantiate(module, &call).await {
                self.idle.put_prewarmed(instance, permit);
            }
        }
    }

    async fn instantiate(&self, module: &Module, call: &Arc<Call>) -> Result<Instance, CallError> {
        let started = Instant::now();
        let mut store = Host::store(module.engine(), Arc::clone(call), Stdio::Log)
            .map_err(|error| CallError::of(error, false))?;
        let service = self
            .pre
            .instantiate_async(&mut store)
            .await
            .map_err(|error| CallError::of(error, store.data().limiter.refused.is_some()))?;
        call.function.observer.instantiated(started.elapsed());
        Ok(Instance { store, service })
    }
}

/// Drops a used instance and prewarms its replacement, after the response has left.
fn replace(module: Arc<Module>, used: Instance, function: Arc<Inner>) {
    tokio::spawn(async move {
        drop(used);
        if let Entry::Handler03(handler) = &module.entry {
            handler.prepare(&module, function).await;
        }
    });
}
