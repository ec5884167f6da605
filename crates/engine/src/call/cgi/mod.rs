//! Serves HTTP with a WASI command over CGI (RFC 3875).
//!
//! The request's head is in the environment and its body on standard input. Standard output carries
//! the response's head and body.

mod environment;
mod stdin;
mod stdout;

use std::sync::Arc;

use wasmtime_wasi_http::WasiBody;

use crate::call::command::{self, CommandIo};
use crate::context::call_state::Call;
use crate::error::CallError;
use crate::module::linked::Module;

/// Runs the command for one request. `call` receives the response when its head is complete.
pub(super) async fn run(
    module: &Module,
    call: Arc<Call>,
    request: http::Request<WasiBody>,
) -> Result<(), CallError> {
    let (parts, body) = request.into_parts();
    let (writer, finish) = stdout::answer_to(Arc::clone(&call));
    let io = CommandIo {
        environment: environment::of(&parts, call.cgi.as_deref()),
        stdin: Some(Box::new(stdin::body(body))),
        stdout: Some(Box::new(writer)),
        ..CommandIo::default()
    };
    let stdio = io.into_stdio(&call);
    let ended = command::run(module, Arc::clone(&call), stdio).await;
    // A rejected response is the cause, even if the command then also fails.
    finish.check()?;
    let code = ended?;
    if code != 0 {
        return Err(CallError::Exit(code));
    }
    finish.finish()
}
