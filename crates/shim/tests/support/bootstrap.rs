//! The messages around a shim's `start`, of the bootstrap API of containerd 2.4. Shims of containerd's own refuse to start
//! without the first.

use std::path::Path;

/// The message `BootstrapParams`, which containerd writes to standard input. Its sockets are in the folder.
pub(super) fn parameters(id: &str, namespace: &str, folder: &Path) -> Vec<u8> {
    let socket = |name: &str| folder.join(name).display().to_string();
    let fields = [
        (1, id.to_owned()),
        (2, namespace.to_owned()),
        (5, socket("events.sock")),
        (6, socket("containerd.sock")),
    ];
    let mut message = Vec::new();
    for (number, text) in fields {
        let length = u8::try_from(text.len()).expect("a short text");
        assert!(length < 128, "the length has one byte");
        message.extend([number << 3 | 2, length]);
        message.extend(text.as_bytes());
    }
    message
}

/// The address in a shim's answer: JSON, or the message `BootstrapResult`.
pub(super) fn address(reply: &[u8]) -> String {
    if let Ok(reply) = serde_json::from_slice::<serde_json::Value>(reply) {
        return reply["address"].as_str().expect("an address").to_owned();
    }
    let text = String::from_utf8_lossy(reply);
    let start = text.find("unix://").expect("an address");
    let length = usize::from(reply[start - 1]);
    text[start..start + length].to_owned()
}
