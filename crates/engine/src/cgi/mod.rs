//! Answering HTTP with a WASI command, the CGI way (RFC 3875): the request's head in the
//! environment, its body on standard input, the answer's head and body on standard output.

mod environment;
mod stdin;
mod stdout;

use std::sync::Arc;

use wasmtime_wasi_http::WasiBody;

use crate::call::Call;
use crate::command::{self, CommandIo};
use crate::error::CallError;
use crate::module::Module;

/// Runs the command for one request. The answer goes to `call` when its head is complete.
pub(crate) async fn run(
    module: &Module,
    call: Arc<Call>,
    request: http::Request<WasiBody>,
) -> Result<(), CallError> {
    let (parts, body) = request.into_parts();
    let (writer, finish) = stdout::answer_to(Arc::clone(&call));
    let io = CommandIo {
        environment: environment::of(&parts),
        stdin: Some(Box::new(stdin::body(body))),
        stdout: Some(Box::new(writer)),
        ..CommandIo::default()
    };
    let stdio = io.into_stdio(&call);
    let ended = command::run(module, Arc::clone(&call), stdio).await;
    // A command whose answer was refused may well end badly, but that is not what went wrong.
    finish.check()?;
    let code = ended?;
    if code != 0 {
        return Err(CallError::Exit(code));
    }
    finish.finish()
}
