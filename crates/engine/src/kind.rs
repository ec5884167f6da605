//! The kinds of WebAssembly files that the engine runs.

use std::fmt;

/// The kind of a file, which decides how it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A component that exports `wasi:http/incoming-handler@0.2`.
    HttpHandler02,
    /// A component that exports `wasi:http/handler@0.3`.
    HttpHandler03,
    /// A component that exports `wasi:cli/run@0.2`.
    Command02,
    /// A core module of WASI preview 1 that exports `_start`.
    CommandPreview1,
}

impl Kind {
    /// Whether the kind serves HTTP without CGI.
    pub fn handles_http(self) -> bool {
        matches!(self, Self::HttpHandler02 | Self::HttpHandler03)
    }

    /// Whether a file of this kind is a component. Otherwise it is a core module.
    pub(crate) fn is_component(self) -> bool {
        self != Self::CommandPreview1
    }

    /// A short identifier for machine-readable output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HttpHandler02 => "http-0.2",
            Self::HttpHandler03 => "http-0.3",
            Self::Command02 => "command-0.2",
            Self::CommandPreview1 => "command-preview1",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::HttpHandler02 => "an HTTP handler (wasi:http 0.2 component)",
            Self::HttpHandler03 => "an HTTP handler (wasi:http 0.3 component)",
            Self::Command02 => "a command (wasi:cli 0.2 component)",
            Self::CommandPreview1 => "a command (WASI preview 1 module)",
        })
    }
}
