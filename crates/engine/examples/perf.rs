//! perf
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use sampan_engine::*;
use sampan_spec::*;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args[1] == "__compile" { let _ = compile_child(&args[2..]); return; }
    let rt = if args[1].ends_with("1") { tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap() } else { tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap() };
    rt.block_on(async {
        let cfg = EngineConfig::new("/tmp/perfcache".into(), CompileCommand { program: std::env::current_exe().unwrap(), arguments: vec!["__compile".into()] });
        let engine = Engine::new(&cfg).unwrap();
        let mut f = Function::bare("f".parse().unwrap());
        if args[1].starts_with("reuse") { f.instances = InstancePolicy::Reuse { requests: 1000.try_into().unwrap(), idle: std::time::Duration::from_secs(10) }; }
        let t = Instant::now();
        let f = engine.load(Arc::new(f), Wasm::File(args[2].clone().into()), Arc::new(NoObserver)).await.unwrap();
        println!("load {:?}", t.elapsed());
        let mode = args[1].trim_start_matches("reuse").trim_end_matches('1').to_owned();
        if mode == "loop" {
            let n: u32 = args[4].parse().unwrap();
            for _ in 0..3 {
            let t = Instant::now();
            for _ in 0..n {
                let req = http::Request::get(&args[3]).header("host", "localhost").body(Full::new(Bytes::new()).map_err(|e: Infallible| match e {})).unwrap();
                let res = f.handle(req, CallContext::default()).await.unwrap();
                let b = res.into_body().collect().await.unwrap().to_bytes();
                assert!(!b.is_empty());
            }
            println!("{:?} each", t.elapsed() / n);
            }
            return;
        }
        let l = tokio::net::TcpListener::bind(&args[3]).await.unwrap();
        loop {
            let (s, _) = l.accept().await.unwrap();
            s.set_nodelay(true).unwrap();
            let f = f.clone();
            tokio::spawn(async move {
                let _ = hyper::server::conn::http1::Builder::new().pipeline_flush(true).serve_connection(hyper_util::rt::TokioIo::new(s), service_fn(move |r| {
                    let f = f.clone();
                    async move {
                        if f.function().name.as_str() == "x" { return Err(CallError::Instances) }
                        let r = r.map(|b: hyper::body::Incoming| b.map_err(|e| RequestBodyError::Broken(e.to_string())));
                        f.handle(r, CallContext::default()).await
                    }
                })).await;
            });
        }
    });
}
