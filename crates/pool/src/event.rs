//! Events that the pool receives: what its watches of the API server have seen, or what a test says
//! instead of them.

use std::collections::HashMap;

use crate::objects::{ObjectKey, ObjectKind, SeenObject};
use crate::resource::Seen;

/// One event. Only [`Event::Deleted`], and the absence from a complete list, remove a function.
#[derive(Debug)]
pub enum Event {
    /// A function was made or changed.
    Seen(Seen),
    /// A function was deleted.
    Deleted {
        /// Its UID.
        uid: String,
    },
    /// The complete list of functions.
    Listed(Vec<Seen>),
    /// An object was found, or was not.
    Object(ObjectKey, SeenObject),
    /// A complete list of objects of a kind.
    ObjectsListed {
        /// The kind.
        kind: ObjectKind,
        /// The names for which the list is an answer.
        asked: Vec<String>,
        /// The objects that were found, by name.
        found: HashMap<String, SeenObject>,
    },
    /// Whether objects of a kind may be read.
    Access {
        /// The kind.
        kind: ObjectKind,
        /// Whether the API server forbids it.
        forbidden: bool,
    },
}
