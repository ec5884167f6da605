//! The two layouts of a function in a registry.

/// The layout of a function in a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A layer that is the `.wasm`.
    Artifact,
    /// A file in an image.
    Image,
}

impl Layout {
    /// A short identifier for machine-readable output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Artifact => "artifact",
            Self::Image => "image",
        }
    }
}
