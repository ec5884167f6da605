//! Calls wasi:http handlers: takes an idle instance or makes one, and keeps or replaces it afterwards.

use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use wasmtime::Store;
use wasmtime::component::{Component, InstancePre};
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::handler::{Proxy, ProxyPre};

use super::host::{Host, Stdio};
use super::idle::{Idle, Used, reuse};
use super::room::Room;
use super::serve::serve;
use crate::context::call_state::{Admitted, Call};
use crate::context::function_context::FunctionContext;
use crate::context::memory_account::Reservation;
use crate::error::CallError;

/// A handler of wasi:http 0.2 or 0.3, with its idle instances.
pub(crate) struct Handler {
    pre: ProxyPre<Host>,
    idle: Idle<Instance>,
}

struct Instance {
    store: Store<Host>,
    proxy: Proxy,
}

impl Handler {
    pub(crate) fn new(pre: ProxyPre<Host>) -> Arc<Self> {
        Arc::new(Self {
            pre,
            idle: Idle::new(),
        })
    }

    pub(crate) fn idle(&self) -> &Idle<impl Send> {
        &self.idle
    }

    /// The component that is called.
    pub(crate) fn component(&self) -> &Component {
        self.instance_pre().component()
    }

    /// Runs one request. `call` receives the response as soon as the guest sets it. The future ends
    /// when the guest's work for the request ends.
    pub(crate) async fn run(
        self: &Arc<Self>,
        call: Arc<Call>,
        request: http::Request<WasiBody>,
    ) -> Result<(), CallError> {
        let mut used = self.obtain(&call).await?;
        let Instance { store, proxy } = &mut used.instance;
        serve(store, proxy, &call, request)
            .await
            .map_err(|error| store.data().failure(error))?;
        match reuse(&call.function.spec.instances) {
            Some(requests) if call.has_responded() => {
                self.idle.put(used, requests);
                call.function.memory.notify();
            }
            // The next request makes its own, or takes one that has served some.
            Some(_) => drop(used),
            None if call.busy => drop(used),
            None => self.replace(used.instance, Arc::clone(&call.function)),
        }
        Ok(())
    }

    /// Takes an idle instance or makes one.
    async fn obtain(&self, call: &Arc<Call>) -> Result<Used<Instance>, CallError> {
        let memory = &call.function.memory;
        let (mut room, mut was_refused) = (Room::default(), false);
        loop {
            let admitted = {
                let _first = call.wait_for_memory(memory.line()).await;
                call.admit(|| self.idle.take()).await
            };
            let reserved = match admitted {
                Admitted::ToIdle(mut used) => {
                    used.instance.store.data_mut().begin(Arc::clone(call));
                    used.instance.store.set_epoch_deadline(1);
                    return Ok(used);
                }
                Admitted::ToNew(reserved) => reserved,
            };
            let made = self.instantiate(call, reserved).await;
            let is_tried_again = match &made {
                Err(CallError::Instances) => {
                    let engine = self.instance_pre().engine();
                    room.make(Some(engine), call).await
                }
                // A function beyond its part does not get the idle instances of others.
                Err(CallError::ProcessMemory) => {
                    memory.is_within_part() && room.make(None, call).await
                }
                // What an instance takes is known now, so the next try waits for others of this function.
                Err(CallError::TotalMemory { .. }) => !mem::replace(&mut was_refused, true),
                _ => false,
            };
            if !is_tried_again {
                let served = 0;
                return made.map(|instance| Used { instance, served });
            }
        }
    }

    /// Makes the first instance and keeps it prewarmed.
    pub(crate) async fn warm_up(&self, call: &Arc<Call>) -> Result<(), CallError> {
        let reserved = Reservation::none(&call.function.memory);
        let instance = self.instantiate(call, reserved).await?;
        if let Some(permit) = self.idle.prewarm_permit(call.function.prewarm_budget()) {
            self.idle.put_prewarmed(instance, permit);
        }
        Ok(())
    }

    /// Drops a used instance and prewarms its replacement, after the response has left.
    fn replace(self: &Arc<Self>, used: Instance, function: Arc<FunctionContext>) {
        let handler = Arc::clone(self);
        let counted = Arc::clone(&function);
        let mut replacing = Box::pin(async move {
            drop(used);
            handler.prepare(function).await;
        });
        tokio::spawn(poll_fn(move |context| {
            counted.measure_aside(|| replacing.as_mut().poll(context))
        }));
    }

    /// Prewarms an instance if the budget allows one. A failure is ignored here: the next request
    /// instantiates by itself and reports it.
    async fn prepare(&self, function: Arc<FunctionContext>) {
        if let Some(permit) = self.idle.prewarm_permit(function.prewarm_budget()) {
            let call = Arc::new(Call::preparing(function));
            let reserved = Reservation::none(&call.function.memory);
            if let Ok(instance) = self.instantiate(&call, reserved).await {
                self.idle.put_prewarmed(instance, permit);
                call.function.memory.notify();
            }
        }
    }

    async fn instantiate(
        &self,
        call: &Arc<Call>,
        reserved: Reservation,
    ) -> Result<Instance, CallError> {
        let started = Instant::now();
        let engine = self.instance_pre().engine();
        let mut store = Host::store(engine, Arc::clone(call), Stdio::Log, reserved)
            .map_err(|error| CallError::of(error, None))?;
        let proxy = self
            .pre
            .instantiate_async(&mut store)
            .await
            .map_err(|error| store.data().failure(error))?;
        store.data_mut().started();
        call.function.observer.instantiated(started.elapsed());
        Ok(Instance { store, proxy })
    }

    fn instance_pre(&self) -> &InstancePre<Host> {
        match &self.pre {
            ProxyPre::P2(pre) => pre.instance_pre(),
            ProxyPre::P3(pre) => pre.instance_pre(),
        }
    }
}
