//! Passes one request to an instance of a handler, in the form of its wasi:http version.

use std::future::poll_fn;
use std::sync::Arc;

use wasmtime::Store;
use wasmtime_wasi_http::handler::Proxy;
use wasmtime_wasi_http::p2::bindings::Proxy as Proxy02;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p3::Request;
use wasmtime_wasi_http::p3::bindings::Service as Service03;
use wasmtime_wasi_http::{WasiBody, WasiHttpView as _};

use super::host::Host;
use crate::context::call_state::Call;
use crate::error::CallError;

/// Runs one request. `call` receives the response as soon as the guest sets it.
pub(super) async fn serve(
    store: &mut Store<Host>,
    proxy: &Proxy,
    call: &Arc<Call>,
    request: http::Request<WasiBody>,
) -> wasmtime::Result<()> {
    match proxy {
        Proxy::P2(proxy) => serve_02(store, proxy, call, request).await,
        Proxy::P3(service) => serve_03(store, service, call, request).await,
    }
}

/// Ends when the guest returns.
async fn serve_02(
    store: &mut Store<Host>,
    proxy: &Proxy02,
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

/// Ends when the guest's last task ends.
async fn serve_03(
    store: &mut Store<Host>,
    service: &Service03,
    call: &Arc<Call>,
    request: http::Request<WasiBody>,
) -> wasmtime::Result<()> {
    let (request, transmitted) = Request::from_http(store.data_mut().http().hooks, request);
    let served = store
        .run_concurrent(async |accessor| {
            match service.handle(accessor, request).await? {
                Err(code) => call.answer(Err(CallError::Guest(format!("{code:?}")))),
                Ok(response) => {
                    let response =
                        accessor.with(|mut store| response.into_http(&mut store, transmitted))?;
                    call.answer(Ok(response));
                }
            }
            // After its return the guest still writes its response's body, and may do other work.
            poll_fn(|context| accessor.poll_no_interesting_tasks(context)).await;
            wasmtime::error::Ok(())
        })
        .await;
    served.flatten()
}
