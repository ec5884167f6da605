//! Documents and archives as other tools make them, and a registry that serves them unchecked.

use sampan_artifact::{ContentError, Digest, Error, Pulled};
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use super::{Fake, answer, status, with};

/// The fault of what a registry sent.
pub(crate) fn refused(outcome: Result<Pulled, Error>) -> ContentError {
    match outcome {
        Err(Error::Content { source, .. }) => source,
        other => panic!("not refused for its content: {other:?}"),
    }
}

/// A registry with this document as its tag, and these blobs and manifests.
pub(crate) async fn registry(root: Value, media_type: &'static str, blobs: Vec<Vec<u8>>) -> Fake {
    let root = root.to_string();
    let blobs: Vec<(String, Vec<u8>)> = blobs
        .into_iter()
        .map(|bytes| (Digest::of(&bytes).to_string(), bytes))
        .collect();
    Fake::start(move |parts, _| {
        let name = parts.uri.path().rsplit('/').next().unwrap_or_default();
        if name == "1" {
            return with(answer(200, root.clone()), "content-type", media_type);
        }
        match blobs.iter().find(|(digest, _)| digest == name) {
            Some((_, bytes)) => answer(200, bytes.clone()),
            None => status(404),
        }
    })
    .await
}

/// The descriptor of these bytes.
pub(crate) fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len()})
}

/// An archive of raw entries: unchecked path, type, link name, content.
pub(crate) fn archive(entries: &[(&str, EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, kind, link, bytes) in entries {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_link_name_literal(link).expect("a short link");
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        builder.append(&header, *bytes).expect("memory");
    }
    builder.into_inner().expect("memory")
}
