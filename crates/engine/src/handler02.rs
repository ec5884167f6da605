//! Calls wasi:http 0.2 handlers.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::Store;
use wasmtime::component::Component;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};
use wasmtime_wasi_http::{WasiBody, WasiHttpView as _};

use crate::call::Call;
use crate::error::CallError;
use crate::function::Inner;
use crate::host::{Host, Stdio};
use crate::idle::{Idle, Used, reuse};
use crate::module::{Entry, Module};

pub(crate) struct Handler02 {
    pre: ProxyPre<Host>,
    idle: Idle<Instance>,
}

struct Instance {
    store: Store<Host>,
    proxy: Proxy,
}

impl Handler02 {
    pub(crate) fn new(pre: ProxyPre<Host>) -> Self {
        Self {
            pre,
            idle: Idle::new(),
        }
    }

    pub(crate) fn idle(&self) -> &Idle<impl Send> {
        &self.idle
    }

    /// Runs one request. `call` receives the response as soon as the guest sets it. The future ends
    /// when the guest returns.
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
        let Instance { store, proxy } = &mut used.instance;
        serve(store, proxy, &call, request)
            .await
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
        let proxy = self
            .pre
            .instantiate_async(&mut store)
            .await
            .map_err(|error| CallError::of(error, store.data().limiter.refused.is_some()))?;
        call.function.observer.instantiated(started.elapsed());
        Ok(Instance { store, proxy })
    }
}

async fn serve(
    store: &mut Store<Host>,
    proxy: &Proxy,
    call: &Arc<Call>,
    request: http::Request<WasiBody>,
) -> wasmtime::Result<()> {
    let scheme = if request.uri().scheme_str() == Some("https") {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let request = store
        .data_mut()
        .http()
        .new_incoming_request(scheme, request)?;
    let answer = Arc::clone(call);
    let out = store
        .data_mut()
        .http()
        .new_response_outparam_from_callback(move |response| {
            answer.answer(response.map_err(|code| CallError::Guest(format!("{code:?}"))));
        })?;
    proxy
        .wasi_http_incoming_handler()
        .call_handle(store, request, out)
        .await
}

/// Drops a used instance and prewarms its replacement, after the response has left.
fn replace(module: Arc<Module>, used: Instance, function: Arc<Inner>) {
    tokio::spawn(async move {
        drop(used);
        if let Entry::Handler02(handler) = &module.entry {
            handler.prepare(&module, function).await;
        }
    });
}
