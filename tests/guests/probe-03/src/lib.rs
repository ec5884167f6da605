//! A wasi:http 0.3 handler with one behaviour for each path.
//!
//! - `/echo` answers with the request's body and trailers as they arrive.
//! - `/sleep` answers after ten milliseconds.
//! - `/spin` never answers.
//! - `/panic` panics.
//! - `/target` answers with the request's target, as the probe of 0.2 does.
//! - `/calls` answers with the number of calls of its instance.
//! - `/after?FRAMING` answers in that framing, works on, and prints a line. `/after-panic` panics
//!   then, and `/after-never` does not end.
//! - `/misfit?FAULT` announces five bytes and writes others.
//! - `/request?DESCRIPTION` and `/many?DESCRIPTION` make outbound calls.
//! - Any other path answers with a text.

mod outbound;

use std::cell::Cell;
use std::hint::black_box;

use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::exports::http::handler::Guest;
use wasip3::http::types::{ErrorCode, Fields, Request, Response, Scheme};
use wasip3::wit_bindgen::spawn_local;
use wasip3::{wit_future, wit_stream};

wasip3::http::service::export!(Probe);

struct Probe;

/// The bytes of a framed answer: more than the host buffers.
const FRAMED: usize = 64 * 1024;

const MILLISECOND: u64 = 1_000_000;

thread_local! {
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

impl Guest for Probe {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = request.get_path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        CALLS.set(CALLS.get() + 1);
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
            "/sleep" => wait_for(10 * MILLISECOND).await,
            "/target" => return Ok(text(show_target(&request))),
            "/calls" => return Ok(text(CALLS.get().to_string())),
            "/after" | "/after-panic" | "/after-never" => return Ok(framed(path, query)),
            "/misfit" => {
                let fields = Fields::new();
                fields
                    .append("content-length", b"5")
                    .expect("it may be set");
                let text = if query == "long" { "too long" } else { "abc" };
                return Ok(written(fields, text.into(), None));
            }
            _ => {}
        }
        Ok(text("probe 0.3".to_owned()))
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

fn text(text: String) -> Response {
    written(Fields::new(), text.into_bytes(), None)
}

/// What is left to do after an answer.
struct Work {
    path: String,
    framing: String,
}

impl Work {
    /// `left` are the bytes of the answer that were not read.
    async fn run(self, left: Vec<u8>) {
        assert!(left.is_empty(), "it is read, or discarded");
        if self.path == "/after-never" {
            wait_for(3_600_000 * MILLISECOND).await;
        }
        wait_for(100 * MILLISECOND).await;
        assert!(self.path != "/after-panic", "this is why");
        println!("worked on after {}", self.framing);
    }
}

/// Answers in the framing of this name: `length` and `open` with content, `204` and `304` without.
/// Then works on as `path` says.
fn framed(path: &str, framing: &str) -> Response {
    let fields = Fields::new();
    if framing == "length" {
        let length = FRAMED.to_string();
        fields
            .append("content-length", length.as_bytes())
            .expect("it may be set");
    }
    let status: Option<u16> = framing.parse().ok();
    let content = match status {
        Some(_) => Vec::new(),
        None => vec![b'.'; FRAMED],
    };
    let work = Work {
        path: path.to_owned(),
        framing: framing.to_owned(),
    };
    let response = written(fields, content, Some(work));
    if let Some(status) = status {
        response.set_status_code(status).expect("it is a status");
    }
    response
}

/// Answers with this content, and then does the work.
fn written(fields: Fields, content: Vec<u8>, work: Option<Work>) -> Response {
    let (mut writer, body) = wit_stream::new();
    let (trailers, trailers_end) = wit_future::new(|| Ok(None));
    drop(trailers);
    let (response, _sent) = Response::new(fields, Some(body), trailers_end);
    spawn_local(async move {
        let mut left = Vec::new();
        if !content.is_empty() {
            // Bytes are left when the client has gone away.
            left = writer.write_all(content).await;
        }
        drop(writer);
        if let Some(work) = work {
            work.run(left).await;
        }
    });
    response
}
