//! Changes the configuration of a pushed image, as instructions of a Dockerfile do.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::Cluster;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Pushes a copy of an image that has `STOPSIGNAL`, and returns the copy by its digest.
///
/// `image` is `REGISTRY/REPOSITORY@DIGEST` and lies in the cluster's registry.
pub fn with_stop_signal(cluster: &Cluster, image: &str, signal: &str) -> String {
    let path = image.strip_prefix(&format!("{}/", cluster.registry));
    let (name, digest) = path
        .and_then(|path| path.split_once('@'))
        .unwrap_or_else(|| panic!("{image} is not an image by its digest"));
    let repository = Repository {
        name,
        url: format!("http://{}/v2/{name}", cluster.registry),
    };
    let mut manifest = repository.manifest(digest);
    if let Some(entries) = manifest["manifests"].as_array() {
        let of_linux = entries
            .iter()
            .find(|entry| entry["platform"]["os"] == "linux");
        let entry = of_linux.unwrap_or_else(|| panic!("{manifest} has no entry for Linux"));
        manifest = repository.manifest(text(&entry["digest"]));
    }
    let url = format!(
        "{}/blobs/{}",
        repository.url,
        text(&manifest["config"]["digest"])
    );
    let mut config: Value = parsed(&curl(&["--location", &url], &[]));
    config["config"]["StopSignal"] = json!(signal);
    let bytes = config.to_string().into_bytes();
    manifest["config"]["digest"] = json!(repository.push_blob(&bytes));
    manifest["config"]["size"] = json!(bytes.len());
    format!(
        "{}/{}",
        cluster.registry,
        repository.push_manifest(&manifest)
    )
}

/// A repository of a registry without TLS.
struct Repository<'a> {
    name: &'a str,
    url: String,
}

impl Repository<'_> {
    fn manifest(&self, digest: &str) -> Value {
        let accept = format!("Accept: {INDEX}, {MANIFEST}");
        let url = format!("{}/manifests/{digest}", self.url);
        parsed(&curl(&["--header", &accept, &url], &[]))
    }

    /// Uploads bytes in one piece, and returns their digest.
    fn push_blob(&self, bytes: &[u8]) -> String {
        let uploads = format!("{}/blobs/uploads/", self.url);
        let words = [
            "--request",
            "POST",
            "--output",
            "/dev/null",
            "--write-out",
            "%header{location}",
            &uploads,
        ];
        let location = String::from_utf8(curl(&words, &[])).expect("a URL is ASCII");
        let digest = digest_of(bytes);
        let separator = if location.contains('?') { '&' } else { '?' };
        put(
            &format!("{location}{separator}digest={digest}"),
            "application/octet-stream",
            bytes,
        );
        digest
    }

    /// Uploads a manifest, and returns `NAME@DIGEST`.
    fn push_manifest(&self, manifest: &Value) -> String {
        let bytes = manifest.to_string().into_bytes();
        let digest = digest_of(&bytes);
        put(
            &format!("{}/manifests/{digest}", self.url),
            MANIFEST,
            &bytes,
        );
        format!("{}@{digest}", self.name)
    }
}

fn put(url: &str, media_type: &str, bytes: &[u8]) {
    let header = format!("Content-Type: {media_type}");
    curl(
        &[
            "--request",
            "PUT",
            "--header",
            &header,
            "--data-binary",
            "@-",
            url,
        ],
        bytes,
    );
}

/// Runs `curl` with an input, and returns its output. Panics when the answer is a failure.
fn curl(words: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--fail"])
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("failed to start curl");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input).expect("failed to write to curl");
    drop(stdin);
    let output = child.wait_with_output().expect("failed to wait for curl");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl {words:?}: {said}");
    output.stdout
}

fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("the registry answered with invalid JSON")
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}
