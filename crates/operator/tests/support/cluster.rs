//! Starts etcd and kube-apiserver as plain processes on loopback, and ends them with the test
//! program.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::config::AuthInfo;
use kube::{Client, Config};

/// The variable with the folders of etcd and kube-apiserver, separated by colons.
const TOOLS: &str = "SAMPAN_TOOLS";

/// The variable with the description of a running cluster, which names such a folder as well.
const DESCRIPTION: &str = "SAMPAN_CLUSTER";

/// Time limit of every condition in a test.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_mins(2);

/// Waits for its input to end, which it does when the test program ends for any reason.
const SCRIPT: &str = r#"
trap '' INT TERM
"$ETCD" --data-dir "$DIR/etcd" --unsafe-no-fsync --log-level error \
  --listen-client-urls "http://127.0.0.1:$ETCD_PORT" --advertise-client-urls "http://127.0.0.1:$ETCD_PORT" \
  --listen-peer-urls "http://127.0.0.1:$PEER_PORT" --initial-advertise-peer-urls "http://127.0.0.1:$PEER_PORT" \
  --initial-cluster "default=http://127.0.0.1:$PEER_PORT" >"$DIR/etcd.log" 2>&1 &
etcd=$!
"$APISERVER" --etcd-servers "http://127.0.0.1:$ETCD_PORT" --bind-address 127.0.0.1 --secure-port "$PORT" \
  --cert-dir "$DIR/certificates" --token-auth-file "$DIR/tokens" --authorization-mode RBAC \
  --service-cluster-ip-range 10.0.0.0/16 --endpoint-reconciler-type none \
  --service-account-issuer https://sampan.test --service-account-key-file "$DIR/public.pem" \
  --service-account-signing-key-file "$DIR/key.pem" --disable-admission-plugins ServiceAccount \
  --max-requests-inflight 0 --max-mutating-requests-inflight 0 --enable-priority-and-fairness=false \
  >"$DIR/apiserver.log" 2>&1 &
apiserver=$!
read -r _
kill -9 $apiserver $etcd
wait
rm -rf "$DIR"
"#;

/// The running server.
pub(crate) struct Cluster {
    url: String,
    folder: PathBuf,
    _shell: Child,
}

static CLUSTER: OnceLock<Cluster> = OnceLock::new();

/// The server of this test program.
pub(crate) async fn cluster() -> &'static Cluster {
    static READY: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    let cluster = CLUSTER.get_or_init(start);
    READY.get_or_init(|| prepare(cluster)).await;
    cluster
}

fn start() -> Cluster {
    let folder = std::env::temp_dir().join(format!("sampan-api-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for the server");
    let key = rcgen::KeyPair::generate().expect("a key");
    fs::write(folder.join("key.pem"), key.serialize_pem()).expect("the key can be written");
    fs::write(folder.join("public.pem"), key.public_key_pem()).expect("the key can be written");
    let tokens = "admin,admin,1,\"system:masters\"\noperator,operator,2\n";
    fs::write(folder.join("tokens"), tokens).expect("the tokens can be written");
    let [port, etcd_port, peer_port] = free_ports();
    let mut shell = Command::new("sh")
        .args(["-c", SCRIPT])
        .env("DIR", &folder)
        .env("ETCD", program("etcd"))
        .env("APISERVER", program("kube-apiserver"))
        .env("PORT", port.to_string())
        .env("ETCD_PORT", etcd_port.to_string())
        .env("PEER_PORT", peer_port.to_string())
        .stdin(Stdio::piped())
        .spawn()
        .expect("a shell");
    shell
        .stdin
        .as_mut()
        .expect("its input")
        .flush()
        .expect("its input is open");
    Cluster {
        url: format!("https://127.0.0.1:{port}"),
        folder,
        _shell: shell,
    }
}

fn free_ports() -> [u16; 3] {
    // All at once, so that they differ.
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("its address").port())
}

fn program(name: &str) -> PathBuf {
    let folders = folders();
    let mut candidates = folders
        .split(':')
        .map(|folder| Path::new(folder).join(name));
    candidates
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{name} is in none of the folders of {TOOLS}: {folders}"))
}

fn folders() -> String {
    if let Ok(folders) = std::env::var(TOOLS) {
        return folders;
    }
    let description = std::env::var(DESCRIPTION).unwrap_or_else(|_| {
        panic!(
            "{TOOLS} has to name the folders with etcd and kube-apiserver, or {DESCRIPTION} a cluster's \
             description: `cargo xtask test end-to-end` sets {TOOLS}, and CONTRIBUTING.md says how to run one test"
        )
    });
    let text = fs::read_to_string(&description).expect("the description can be read");
    let description: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    description["tools"]
        .as_str()
        .expect("it names the tools")
        .to_owned()
}

/// Waits for the server and installs the resource definitions.
async fn prepare(cluster: &Cluster) {
    let client = cluster.user("admin").client();
    until("the API server answers", async || {
        client.apiserver_version().await.is_ok()
    })
    .await;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in [sampan_crd::definition(), sampan_crd::pool_definition()] {
        establish(&definitions, &definition).await;
    }
}

async fn establish(
    definitions: &Api<CustomResourceDefinition>,
    definition: &CustomResourceDefinition,
) {
    definitions
        .create(&PostParams::default(), definition)
        .await
        .expect("the definition is accepted");
    let name = definition.metadata.name.as_deref().unwrap_or_default();
    until("the definition is established", async || {
        let there = definitions.get(name).await.expect("the definition");
        let conditions = there
            .status
            .and_then(|status| status.conditions)
            .unwrap_or_default();
        let all = ["Established", "NamesAccepted"];
        // Reports a rule that is not structural or costs too much.
        assert!(
            conditions
                .iter()
                .all(|it| it.type_ != "NonStructuralSchema"),
            "{conditions:?}"
        );
        all.iter().all(|kind| {
            conditions
                .iter()
                .any(|it| it.type_ == *kind && it.status == "True")
        })
    })
    .await;
}

/// A user of the server.
#[derive(Clone)]
pub(crate) struct User {
    url: String,
    token: String,
}

impl User {
    /// A client with its own connections.
    pub(crate) fn client(&self) -> Client {
        let mut config = Config::new(self.url.parse().expect("an address"));
        config.accept_invalid_certs = true;
        config.auth_info = AuthInfo {
            token: Some(self.token.clone().into()),
            ..AuthInfo::default()
        };
        Client::try_from(config).expect("a client")
    }
}

impl Cluster {
    /// The user with this token.
    pub(crate) fn user(&self, token: &str) -> User {
        User {
            url: self.url.clone(),
            token: token.to_owned(),
        }
    }

    /// Makes a namespace for one test.
    pub(crate) async fn namespace(&self, prefix: &str) -> String {
        let namespaces: Api<Namespace> = Api::all(self.user("admin").client());
        let namespace = Namespace {
            metadata: ObjectMeta {
                generate_name: Some(format!("{prefix}-")),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let mut made = None;
        // The first request of a client: a busy server may reset its connection.
        until("a namespace is made", async || {
            let answer = namespaces.create(&PostParams::default(), &namespace).await;
            made = answer.ok();
            made.is_some()
        })
        .await;
        made.and_then(|namespace| namespace.metadata.name)
            .expect("its name")
    }

    /// The last lines of the server's log.
    fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.join("apiserver.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// Waits until the condition holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + TEST_TIMEOUT;
    while !holds().await {
        assert!(
            Instant::now() < deadline,
            "timed out waiting until {what}; last lines of the API server's log:\n{}",
            CLUSTER.get().map(Cluster::log).unwrap_or_default()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
