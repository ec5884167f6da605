//! A compiled and linked module, ready to be instantiated.

use wasmtime::InstancePre;
use wasmtime::component::Linker;
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p3::bindings::ServicePre;

use crate::cache::Code;
use crate::error::LoadError;
use crate::handler02::Handler02;
use crate::handler03::Handler03;
use crate::host::Host;
use crate::kind::Kind;

pub(crate) struct Module {
    engine: wasmtime::Engine,
    pub(crate) entry: Entry,
}

/// How the module is called.
pub(crate) enum Entry {
    Handler02(Handler02),
    Handler03(Handler03),
    Command02(CommandPre<Host>),
    Preview1(InstancePre<Host>),
}

/// The linkers that a module of some kind may need.
pub(crate) struct Linkers {
    pub(crate) sequential: Linker<Host>,
    pub(crate) concurrent: Linker<Host>,
    pub(crate) preview1: wasmtime::Linker<Host>,
}

impl Module {
    /// Links code of this kind.
    ///
    /// # Errors
    ///
    /// [`LoadError::Link`] when an import has another type than the host's.
    pub(crate) fn link(
        kind: Kind,
        code: &Code,
        engine: &wasmtime::Engine,
        linkers: &Linkers,
    ) -> Result<Self, LoadError> {
        let failed = |error: wasmtime::Error| LoadError::Link(format!("{error:#}"));
        let entry = match (kind, code) {
            (Kind::HttpHandler02, Code::Component(component)) => {
                let pre = linkers
                    .sequential
                    .instantiate_pre(component)
                    .map_err(failed)?;
                Entry::Handler02(Handler02::new(ProxyPre::new(pre).map_err(failed)?))
            }
            (Kind::HttpHandler03, Code::Component(component)) => {
                let pre = linkers
                    .concurrent
                    .instantiate_pre(component)
                    .map_err(failed)?;
                Entry::Handler03(Handler03::new(ServicePre::new(pre).map_err(failed)?))
            }
            (Kind::Command02, Code::Component(component)) => {
                let pre = linkers
                    .sequential
                    .instantiate_pre(component)
                    .map_err(failed)?;
                Entry::Command02(CommandPre::new(pre).map_err(failed)?)
            }
            (Kind::CommandPreview1, Code::Module(module)) => {
                Entry::Preview1(linkers.preview1.instantiate_pre(module).map_err(failed)?)
            }
            (_, Code::Module(_)) => return Err(LoadError::Link("a core module".into())),
            (_, Code::Component(_)) => return Err(LoadError::Link("a component".into())),
        };
        Ok(Self {
            engine: engine.clone(),
            entry,
        })
    }

    pub(crate) fn engine(&self) -> &wasmtime::Engine {
        &self.engine
    }
}
