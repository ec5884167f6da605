//! Push and pull against the reference registry, `registry` of the CNCF's distribution project.
//!
//! The tests start it on a loopback port with its storage in a temporary folder. It is one of the
//! programs of a cluster, so they run with the tests of the cluster: `SAMPAN_TOOLS` names its
//! folder.

mod fake;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fake::{WASM, brisk, function, silent};
use sampan_artifact::{Artifact, Error, Layout, Login, Options, Reference, Registry};
use tempfile::TempDir;

/// Time limit for a registry to respond.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// `me:secret` in htpasswd's format, with bcrypt.
const HTPASSWD: &str = "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// A running registry. Dropping it ends it and removes its storage.
struct Real {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Real {
    async fn start(password: bool) -> Self {
        let tools = std::env::var_os("SAMPAN_TOOLS").map(PathBuf::from).expect(
            "SAMPAN_TOOLS must name the folder with the program `registry`: `cargo xtask test cluster` builds it",
        );
        let program = tools.join("registry");
        assert!(program.is_file(), "{} is not there", program.display());
        let folder = tempfile::tempdir().expect("a temporary folder");
        // The port is free now. If another program takes it, the registry ends, which is reported
        // below.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a port")
            .port();
        let users = folder.path().join("htpasswd");
        fs::write(&users, HTPASSWD).expect("a file");
        let auth = if password {
            format!(
                "auth: {{ htpasswd: {{ realm: registry, path: {} }} }}\n",
                users.display()
            )
        } else {
            String::new()
        };
        let config = folder.path().join("config.yml");
        let storage = folder.path().join("storage");
        let text = format!(
            "version: 0.1\nlog: {{ level: warn }}\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\n\
             http: {{ addr: '127.0.0.1:{port}' }}\n{auth}",
            storage.display()
        );
        fs::write(&config, text).expect("a file");
        let log = fs::File::create(folder.path().join("log")).expect("a file");
        let child = Command::new(program)
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the registry starts");
        let mut real = Self {
            child,
            port,
            folder,
        };
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_err()
        {
            let ended = real.child.try_wait().expect("a child");
            assert!(ended.is_none(), "the registry ended: {}", real.log());
            assert!(begun.elapsed() < START_TIMEOUT, "no answer: {}", real.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        real
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn registry(&self, rest: &str, login: Option<Login>) -> Registry {
        let text = format!("127.0.0.1:{}/functions/hello{rest}", self.port);
        let reference: Reference = text.parse().expect("a reference");
        let options = Options {
            login,
            retry: brisk(),
            ..Options::default()
        };
        Registry::new(reference, options).expect("a client")
    }
}

#[tokio::test]
async fn registry_takes_and_gives_back_a_function() {
    check_round_trip(function(WASM), Layout::Artifact).await;
    check_round_trip(fake::images(WASM), Layout::Image).await;
}

async fn check_round_trip(artifact: Artifact, layout: Layout) {
    let real = Real::start(false).await;
    let tagged = real.registry(":1", None);
    let pushed = sampan_artifact::push(&tagged, &artifact, &silent()).await;
    let pushed = pushed.unwrap_or_else(|error| panic!("{error}: {}", real.log()));
    assert_eq!(pushed.sent, artifact.size());
    let pulled = sampan_artifact::pull(&tagged, fake::MAX_BYTES, &silent())
        .await
        .expect("pulled");
    assert_eq!(pulled.wasm, WASM);
    assert_eq!(pulled.digest, artifact.root.digest);
    assert_eq!(pulled.layout, layout);
    // By the digest, and each manifest by its own.
    let by_digest = |digest: &sampan_artifact::Digest| real.registry(&format!("@{digest}"), None);
    for part in artifact.manifests.iter().chain([&artifact.root]) {
        let registry = by_digest(&part.digest);
        let pulled = sampan_artifact::pull(&registry, fake::MAX_BYTES, &silent())
            .await
            .expect("pulled");
        assert_eq!(pulled.wasm, WASM);
    }
    let again = sampan_artifact::push(&tagged, &artifact, &silent())
        .await
        .expect("pushed");
    let blobs = artifact.blobs.iter().map(|blob| blob.bytes.len() as u64);
    assert_eq!(again.known, blobs.sum::<u64>(), "{again:?}");
}

#[tokio::test]
async fn registry_takes_a_large_function() {
    let real = Real::start(false).await;
    let mut wasm = WASM.to_vec();
    // One custom section of 16 MiB that does not compress.
    let mut state = 1u32;
    wasm.resize_with(16 << 20, || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    });
    let source = sampan_artifact::Source {
        name: "large".parse().expect("a name"),
        wasm: Bytes::from(wasm.clone()),
        component: true,
        imports: Vec::new(),
        exports: Vec::new(),
        annotations: [].into(),
    };
    let artifact = Artifact::build(&source, Layout::Image).expect("an artifact");
    let registry = real.registry(":large", None);
    sampan_artifact::push(&registry, &artifact, &silent())
        .await
        .expect("pushed");
    let pulled = sampan_artifact::pull(&registry, 64 << 20, &silent())
        .await
        .expect("pulled");
    assert_eq!(pulled.wasm, wasm);
    let small = sampan_artifact::pull(&registry, 1 << 20, &silent()).await;
    assert!(matches!(small, Err(Error::Content { .. })), "{small:?}");
}

#[tokio::test]
async fn registry_that_knows_users_asks_for_them() {
    let real = Real::start(true).await;
    let artifact = function(WASM);
    let login = |password: &str| {
        Some(Login::Password {
            user: "me".to_owned(),
            password: password.to_owned(),
        })
    };
    for refused in [None, login("wrong")] {
        let outcome =
            sampan_artifact::push(&real.registry(":1", refused), &artifact, &silent()).await;
        assert!(
            matches!(outcome, Err(Error::Unauthorized { .. })),
            "{outcome:?}"
        );
    }
    let registry = real.registry(":1", login("secret"));
    sampan_artifact::push(&registry, &artifact, &silent())
        .await
        .expect("pushed");
    let anonymous =
        sampan_artifact::pull(&real.registry(":1", None), fake::MAX_BYTES, &silent()).await;
    assert!(
        matches!(anonymous, Err(Error::Unauthorized { .. })),
        "{anonymous:?}"
    );
}

#[tokio::test]
async fn registry_reports_a_missing_reference() {
    let real = Real::start(false).await;
    let outcome =
        sampan_artifact::pull(&real.registry(":none", None), fake::MAX_BYTES, &silent()).await;
    assert!(matches!(outcome, Err(Error::NotFound(_))), "{outcome:?}");
}
