//! The trait that both front ends call, and the macros that implement it for a `handle`.
//!
//! The rules of HTTP that all functions share are here: the allowed methods, and the response to an
//! error.

use std::future::Future;

use crate::{Error, Http, Method, Request, Response};

/// A function, as its front end calls it.
pub trait Function: Send + Sync + 'static {
    /// Answers a request. `http` is the only way to call other services.
    fn handle(
        &self,
        request: &Request<'_>,
        http: &impl Http,
    ) -> impl Future<Output = Result<Response, Error>> + Send;
}

/// The whole answer to a request, errors included. `method` is `None` for a method that no function
/// answers.
pub(crate) async fn respond(
    function: &impl Function,
    method: Option<Method>,
    request: &Request<'_>,
    http: &impl Http,
) -> Response {
    if method.is_none() {
        return Response::method_not_allowed();
    }
    match function.handle(request, http).await {
        Ok(response) => response,
        Err(error) => Response::from(&error),
    }
}

/// Implements [`Function`] for a `handle`, as a type named `Served`.
#[doc(hidden)]
#[macro_export]
macro_rules! served {
    (async $handle:path) => {
        /// The function, for the front end.
        #[derive(Debug)]
        pub struct Served;

        impl $crate::Function for Served {
            async fn handle(
                &self,
                request: &$crate::Request<'_>,
                http: &impl $crate::Http,
            ) -> Result<$crate::Response, $crate::Error> {
                $handle(request, http).await
            }
        }
    };
    ($handle:path) => {
        /// The function, for the front end.
        #[derive(Debug)]
        pub struct Served;

        impl $crate::Function for Served {
            async fn handle(
                &self,
                request: &$crate::Request<'_>,
                _: &impl $crate::Http,
            ) -> Result<$crate::Response, $crate::Error> {
                $handle(request)
            }
        }
    };
}

/// Exports a `handle` as a `wasi:http` 0.2 component. On other targets the library exists for its
/// tests only, and exports nothing.
///
/// `component!(handler::handle)`, or `component!(async handler::handle)` when it uses outbound
/// HTTP.
#[macro_export]
macro_rules! component {
    ($($handle:tt)+) => {
        $crate::served!($($handle)+);

        #[cfg(target_family = "wasm")]
        impl $crate::wasm::Guest for Served {
            fn handle(
                request: $crate::wasm::IncomingRequest,
                answer: $crate::wasm::ResponseOutparam,
            ) {
                $crate::wasm::handle(&Served, &request, answer);
            }
        }

        #[cfg(target_family = "wasm")]
        $crate::wasm::export!(Served);
    };
}

/// Defines the `main` of the native program that serves a `handle`. Takes the same forms as [`component!`].
#[macro_export]
macro_rules! program {
    ($($handle:tt)+) => {
        $crate::served!($($handle)+);

        #[cfg(target_family = "wasm")]
        compile_error!("this is the native program: build the component with --lib");

        fn main() -> std::process::ExitCode {
            $crate::native::main(env!("CARGO_BIN_NAME"), &Served)
        }
    };
}
