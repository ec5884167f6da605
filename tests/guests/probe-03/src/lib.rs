//! A wasi:http 0.3 handler with one behaviour for each path.
//!
//! - `/echo` answers with the request's body and trailers as they arrive.
//! - `/sleep` answers after ten milliseconds.
//! - `/spin` never answers.
//! - `/panic` panics.
//! - `/target` answers with the request's target, as the probe of 0.2 does.
//! - Any other path answers with a text.

use std::hint::black_box;

use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::exports::http::handler::Guest;
use wasip3::http::types::{ErrorCode, Fields, Request, Response, Scheme};
use wasip3::wit_bindgen::spawn_local;
use wasip3::{wit_future, wit_stream};

wasip3::http::service::export!(Probe);

struct Probe;

impl Guest for Probe {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = request.get_path_with_query().unwrap_or_default();
        match target.split('?').next().unwrap_or_default() {
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
            "/target" => return Ok(text(show_target(&request))),
            _ => {}
        }
        Ok(text("probe 0.3"))
    }
}

/// `SCHEME AUTHORITY PATH host=FIELDS cookie=FIELDS`.
fn show_target(request: &Request) -> String {
    let scheme = match request.get_scheme() {
        Some(Scheme::Http) => "http",
        Some(Scheme::Https) => "https",
        Some(Scheme::Other(_)) => "other",
        None => "none",
    };
    let authority = request.get_authority();
    let authority = authority.unwrap_or_else(|| "none".to_owned());
    let path = request.get_path_with_query();
    let path = path.unwrap_or_else(|| "none".to_owned());
    let fields = request.get_headers();
    let field = |name: &str| {
        let values = fields.get(name).into_iter();
        let values = values.map(|value| String::from_utf8_lossy(&value).into_owned());
        values.collect::<Vec<_>>()
    };
    let (host, cookie) = (field("host"), field("cookie"));
    format!("{scheme} {authority} {path} host={host:?} cookie={cookie:?}")
}

fn text(text: impl Into<Vec<u8>>) -> Response {
    let text = text.into();
    let (mut writer, body) = wit_stream::new();
    let (trailers, trailers_end) = wit_future::new(|| Ok(None));
    drop(trailers);
    let (response, _sent) = Response::new(Fields::new(), Some(body), trailers_end);
    spawn_local(async move {
        // The write fails when the client has gone away.
        let _ = writer.write_all(text).await;
    });
    response
}
