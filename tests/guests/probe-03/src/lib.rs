//! A wasi:http 0.3 handler with one behaviour for each path.
//!
//! - `/echo` answers with the request's body and trailers as they arrive.
//! - `/sleep` answers after ten milliseconds.
//! - `/spin` never answers.
//! - `/panic` panics.
//! - `/request?DESCRIPTION` and `/many?DESCRIPTION` make outbound calls.
//! - Any other path answers with a text.

mod outbound;

use std::hint::black_box;

use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::exports::http::handler::Guest;
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::wit_bindgen::spawn_local;
use wasip3::{wit_future, wit_stream};

wasip3::http::service::export!(Probe);

struct Probe;

impl Guest for Probe {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = request.get_path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        match path {
            "/request" => return Ok(text(outbound::request(query).await)),
            "/many" => return Ok(text(outbound::many(query).await)),
            "/echo" => {
                let (_, result) = wit_future::new(|| Ok(()));
                let (body, trailers) = Request::consume_body(request, result);
                let (response, _sent) = Response::new(Fields::new(), Some(body), trailers);
                return Ok(response);
            }
            "/spin" => {
                let mut turns = 0_u64;
                while black_box(turns) < u64::MAX {
                    turns += 1;
                }
            }
            "/panic" => panic!("this is why"),
            "/error" => return Err(ErrorCode::LoopDetected),
            "/sleep" => wait_for(10_000_000).await,
            _ => {}
        }
        Ok(text("probe 0.3".to_owned()))
    }
}

fn text(text: String) -> Response {
    let (mut writer, body) = wit_stream::new();
    let (trailers, trailers_end) = wit_future::new(|| Ok(None));
    drop(trailers);
    let (response, _sent) = Response::new(Fields::new(), Some(body), trailers_end);
    spawn_local(async move {
        // The write fails when the client has gone away.
        let _ = writer.write_all(text.into_bytes()).await;
    });
    response
}
