//! A compiled and linked module, ready to be instantiated.

use std::sync::Arc;

use wasmtime::InstancePre;
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi_http::handler::ProxyPre;
use wasmtime_wasi_http::p2::bindings as bindings02;
use wasmtime_wasi_http::p3::bindings as bindings03;

use super::runtime::Runtime;
use crate::compile::cache::Code;
use crate::error::LoadError;
use crate::instance::handler::Handler;
use crate::instance::host::Host;
use crate::kind::Kind;

/// The smallest page size of a supported processor, in bytes.
const MIN_PAGE_SIZE: usize = 4096;

pub(crate) struct Module {
    engine: wasmtime::Engine,
    pub(crate) entry: Entry,
}

/// The entry point of a module.
pub(crate) enum Entry {
    Handler(Arc<Handler>),
    Command02(CommandPre<Host>),
    Preview1(InstancePre<Host>),
}

impl Module {
    /// Links code of this kind.
    ///
    /// # Errors
    ///
    /// [`LoadError::Link`] when an import has another type than the host's.
    pub(crate) fn link(kind: Kind, code: &Code, runtime: &Runtime) -> Result<Self, LoadError> {
        let failed = |error: wasmtime::Error| LoadError::Link(format!("{error:#}"));
        let entry = match (kind, code, &runtime.components, &runtime.preview1) {
            (Kind::CommandPreview1, Code::Module(module), _, Some(linker)) => {
                Entry::Preview1(linker.instantiate_pre(module).map_err(failed)?)
            }
            (_, Code::Component(component), Some(linker), _) => {
                let pre = linker.instantiate_pre(component).map_err(failed)?;
                match kind {
                    Kind::HttpHandler02 => {
                        let pre = bindings02::ProxyPre::new(pre).map_err(failed)?;
                        Entry::Handler(Handler::new(ProxyPre::P2(pre)))
                    }
                    Kind::HttpHandler03 => {
                        let pre = bindings03::ServicePre::new(pre).map_err(failed)?;
                        Entry::Handler(Handler::new(ProxyPre::P3(pre)))
                    }
                    Kind::Command02 => Entry::Command02(CommandPre::new(pre).map_err(failed)?),
                    Kind::CommandPreview1 => return Err(LoadError::Link("a component".into())),
                }
            }
            (_, Code::Module(_), ..) => return Err(LoadError::Link("a core module".into())),
            (_, Code::Component(_), ..) => return Err(LoadError::Link("a component".into())),
        };
        Ok(Self {
            engine: runtime.engine.clone(),
            entry,
        })
    }

    /// Reads every page of the compiled code. The code is a mapped file: each part would cost a
    /// page fault in the call that runs it first. All processes that have the file open share its
    /// pages.
    pub(crate) fn prefault_code(&self) {
        let code = match &self.entry {
            Entry::Handler(handler) => handler.component().text(),
            Entry::Command02(command) => command.instance_pre().component().text(),
            Entry::Preview1(command) => command.module().text(),
        };
        for byte in code.iter().step_by(MIN_PAGE_SIZE) {
            std::hint::black_box(*byte);
        }
    }

    pub(crate) fn engine(&self) -> &wasmtime::Engine {
        &self.engine
    }
}
