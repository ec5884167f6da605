//! A loaded function and its calls.

use std::future::poll_fn;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};
use http_body_util::BodyExt as _;
use sampan_spec::Function;
use wasmtime_wasi_http::WasiBody;

use super::body::GuestBody;
use super::cgi;
use super::command::{self, CommandIo};
use super::guest::{Guest, GuestFuture};
use crate::context::call_state::{Call, CallContext};
use crate::context::guests::Guests;
use crate::context::memory_use::MemoryUse;
use crate::error::{CallError, RequestBodyError};
use crate::kind::Kind;
use crate::module::linked::Entry;
use crate::module::reloadable::ReloadableModule;

/// A function that is compiled, linked and ready. Clones are cheap.
#[derive(Clone)]
pub struct LoadedFunction(pub(crate) Arc<ReloadableModule>);

impl LoadedFunction {
    /// The specification.
    pub fn function(&self) -> &Arc<Function> {
        &self.0.function.spec
    }

    /// The kind of its file.
    pub fn kind(&self) -> Kind {
        self.0.function.kind
    }

    /// The `sha256:...` digest of its WebAssembly bytes.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// The guests of its engine that go on after their answers.
    pub fn guests(&self) -> &Guests {
        self.0.function.guests()
    }

    /// Reads the memory that the function's instances use.
    pub fn memory_use(&self) -> MemoryUse {
        MemoryUse::of(&self.0.function.memory)
    }

    /// Serves an HTTP request. Its target has a scheme and an authority, which the guest sees.
    ///
    /// The guest runs while this future and then the response's body are polled. Dropping either
    /// cancels it, except by [`GuestBody::finish_in_background`]. Both streams are as long as the
    /// guest makes them.
    ///
    /// The call limits the guest's memory, its time and its output. It does **not** limit the
    /// following, which is left to the caller:
    ///
    /// - the request's head and body,
    /// - the number of concurrent requests beyond the pool of instances,
    /// - the time in which a client reads.
    ///
    /// # Errors
    ///
    /// [`CallError`], when there is no response. Failures after the head come as errors of the
    /// body. The function's observer has received each of them.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with time enabled.
    pub async fn handle<B>(
        &self,
        request: http::Request<B>,
        context: CallContext,
    ) -> Result<Response<GuestBody>, CallError>
    where
        B: http_body::Body<Data = Bytes, Error = RequestBodyError> + Send + 'static,
    {
        let to_head = request.method() == Method::HEAD;
        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        let is_first = self.0.function.is_first_request();
        let limits = &self.0.function.spec.limits;
        let call = Arc::new(Call::new(
            Arc::clone(&self.0.function),
            limits.timeout,
            limits.processor_time,
            context,
        ));
        let mut guest = Guest::new(Arc::clone(&call), self.serve(Arc::clone(&call), request));
        let answer = poll_fn(|context| {
            let run = guest.poll(context);
            match (call.take_answer(), run) {
                // Nothing has been sent yet, so the whole call fails.
                (_, Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
                (Some(answer), _) => Poll::Ready(answer),
                (None, Poll::Ready(Ok(()))) => Poll::Ready(Err(CallError::NoResponse)),
                (None, Poll::Pending) => Poll::Pending,
            }
        })
        .await;
        let response = match answer {
            Ok(response) => GuestBody::respond(response, guest, to_head)?,
            Err(error) => return Err(guest.fail(error)),
        };
        if is_first && !call.took_idle() {
            self.0.function.observer.cold_start(call.clock.elapsed());
        }
        Ok(response)
    }

    /// Prewarms a first instance of a handler before there is a request. A failure thus shows
    /// early, and the memory that instantiation takes is resident, compiled code included. The
    /// instance then waits for a request like any other prewarmed one. Does nothing for commands,
    /// which have no instance before a call.
    ///
    /// # Errors
    ///
    /// [`CallError`], as the first request would return it.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with time enabled.
    pub async fn warm_up(&self) -> Result<(), CallError> {
        let call = Arc::new(Call::preparing(Arc::clone(&self.0.function)));
        let future: GuestFuture = {
            let (module, call) = (Arc::clone(&self.0), Arc::clone(&call));
            Box::pin(async move {
                let module = module.get().await?;
                module.prefault_code();
                match &module.entry {
                    Entry::Handler(handler) => handler.warm_up(&call).await,
                    Entry::Command02(_) | Entry::Preview1(_) => Ok(()),
                }
            })
        };
        run_to_completion(call, future).await
    }

    fn serve(&self, call: Arc<Call>, request: http::Request<WasiBody>) -> GuestFuture {
        let module = Arc::clone(&self.0);
        Box::pin(async move {
            let module = module.get().await?;
            match &module.entry {
                Entry::Handler(handler) => handler.run(call, request).await,
                Entry::Command02(_) | Entry::Preview1(_) => cgi::run(&module, call, request).await,
            }
        })
    }

    /// Runs a command and returns its exit code. The deadline and processor time of a request do
    /// not apply here; the memory limit does.
    ///
    /// # Errors
    ///
    /// [`CallError`], also when the file is not a command. Dropping the future ends the command.
    pub async fn run(&self, io: CommandIo) -> Result<i32, CallError> {
        // Longer than any job, and short enough for a timer.
        const FOR_EVER: Duration = Duration::from_hours(10 * 365 * 24);
        let timeout = io.timeout.unwrap_or(FOR_EVER);
        let call = Arc::new(Call::new(
            Arc::clone(&self.0.function),
            timeout,
            FOR_EVER,
            CallContext::default(),
        ));
        let code = Arc::new(OnceLock::new());
        let future: GuestFuture = {
            let (module, call, code) = (Arc::clone(&self.0), Arc::clone(&call), Arc::clone(&code));
            Box::pin(async move {
                let module = module.get().await?;
                let stdio = io.into_stdio(&call);
                let exit = command::run(&module, call, stdio).await?;
                // Only this line sets the cell.
                let _ = code.set(exit);
                Ok(())
            })
        };
        run_to_completion(call, future).await?;
        code.get().copied().ok_or(CallError::NoResponse)
    }
}

/// Runs a guest without a caller to its end, within its time. Reports its failure.
async fn run_to_completion(call: Arc<Call>, future: GuestFuture) -> Result<(), CallError> {
    let mut guest = Guest::new(Arc::clone(&call), future);
    let ended = poll_fn(|context| Guest::poll(&mut guest, context)).await;
    ended.map_err(|error| call.failed(error))
}
