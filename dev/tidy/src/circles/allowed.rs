//! The circles that are allowed until they are opened.

/// The path of this list.
pub(super) const FILE: &str = "dev/tidy/src/circles/allowed.rs";

/// Each circle's files. This list may only shrink: open a circle and remove it here.
pub(super) const CIRCLES: &[&[&str]] = &[&[
    "crates/engine/src/body.rs",
    "crates/engine/src/call.rs",
    "crates/engine/src/cgi/mod.rs",
    "crates/engine/src/command.rs",
    "crates/engine/src/engine.rs",
    "crates/engine/src/function.rs",
    "crates/engine/src/guest.rs",
    "crates/engine/src/guests.rs",
    "crates/engine/src/handler02.rs",
    "crates/engine/src/handler03.rs",
    "crates/engine/src/host.rs",
    "crates/engine/src/linker.rs",
    "crates/engine/src/module.rs",
    "crates/engine/src/outbound.rs",
    "crates/engine/src/output.rs",
    "crates/engine/src/runtime.rs",
]];
