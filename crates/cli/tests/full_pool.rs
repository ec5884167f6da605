//! Tests of a pool with one instance: what has served a request makes room for the next one. This program also
//! compiles.

mod support;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use sampan_engine::{CallContext, CommandIo, Engine, LoadedFunction, NoObserver, Wasm};
use sampan_spec::{Function, InstancePolicy};

use support::{COMMAND, engine_config};

/// A handler of wasi:http 0.2 that answers every request with one letter.
const HANDLER: &[u8] = include_bytes!("../../engine/src/load/warm_up.wasm");

async fn load(
    engine: &Engine,
    name: &str,
    wasm: &[u8],
    instances: InstancePolicy,
) -> LoadedFunction {
    let mut function = Function::bare(name.parse().expect("a name"));
    function.instances = instances;
    let wasm = Wasm::Bytes(Bytes::copy_from_slice(wasm));
    let loaded = engine.load(Arc::new(function), wasm, Arc::new(NoObserver));
    loaded.await.expect("it loads")
}

async fn call(function: &LoadedFunction) {
    let body = Empty::<Bytes>::new().map_err(|never| match never {});
    let request = http::Request::get("http://a.example/").body(body);
    let request = request.expect("a request");
    let answer = function.handle(request, CallContext::default());
    let answer = answer.await.expect("an instance");
    answer.into_body().collect().await.expect("a whole answer");
}

#[tokio::test]
async fn an_instance_that_is_no_longer_used_makes_room() {
    let cache = tempfile::tempdir().unwrap();
    let mut config = engine_config(cache.path());
    config.instances = 1;
    let engine = Engine::new(&config).expect("the engine starts");

    let reuse = InstancePolicy::Reuse {
        requests: NonZeroU32::MAX,
        idle: Duration::from_hours(1),
    };
    let kept = load(&engine, "kept", HANDLER, reuse).await;
    let fresh = load(&engine, "fresh", HANDLER, InstancePolicy::Fresh).await;
    let command = wat::parse_str(COMMAND).unwrap();
    let command = load(&engine, "command", &command, InstancePolicy::Fresh).await;
    for _ in 0..3 {
        // It keeps the only instance, which the others take.
        call(&kept).await;
        call(&fresh).await;
        // The instance of the call before is dropped in a task of its own.
        call(&fresh).await;
        call(&kept).await;
        assert_eq!(command.run(CommandIo::default()).await.unwrap(), 0);
    }
}
