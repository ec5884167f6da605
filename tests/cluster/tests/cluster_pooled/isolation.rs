//! Tests what a pool keeps apart: environments of other namespaces, and ports that no rule of a function names.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::IpAddr;

use sampan_cluster_tests::pooled::{self, Pod, configure, deploy, wait_until_placed};
use sampan_cluster_tests::{Namespace, Shell, guest, push};

/// The port of a pool's reports and metrics.
const REPORT_PORT: u16 = 9090;

/// The port on which a pool's pods give compiled modules to each other, with a path that needs no proof to get 404.
const PEER_PORT: u16 = 9091;

/// The port of the API server.
const API_PORT: u16 = 6443;

/// The port of a kubelet.
const KUBELET_PORT: u16 = 10250;

/// The environments and the arguments of all processes of a pool's container.
fn environments(pod: &Pod) -> String {
    let mut all = String::new();
    for process in pod.processes() {
        for file in ["environ", "cmdline"] {
            let file = format!("/proc/{process}/{file}");
            match fs::read(&file) {
                Ok(bytes) => all += &String::from_utf8_lossy(&bytes),
                // Processes that compile modules end.
                Err(error) if is_gone(&error) => {}
                Err(error) => panic!("{file}: {error}"),
            }
        }
    }
    all
}

fn is_gone(error: &io::Error) -> bool {
    /// The error of reading a file of a process that has just ended.
    const NO_PROCESS: i32 = 3;
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(NO_PROCESS)
}

/// Two namespaces have a function of the same name with a secret value each. Each function has the
/// value of its own namespace. No process of either pool has a value in its own environment or
/// arguments, and no report and no metric shows one, neither of the other namespace nor of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_in_its_function_and_in_no_process_or_report_of_a_pool() {
    let spaces = [
        Namespace::create("pooled-mine").await,
        Namespace::create("pooled-theirs").await,
    ];
    let image = push(spaces[0].cluster(), &guest("probe"), "pooled/isolated");
    // The names of the namespaces are in environments, but not these words.
    let values = spaces
        .each_ref()
        .map(|namespace| format!("known-to-{}", namespace.name()));
    for (namespace, value) in spaces.iter().zip(&values) {
        namespace.make_secret("secrets", "token", value);
        let env = "  env: [{ name: TOKEN, valueFrom: { secretKeyRef: { name: secrets, key: token } } }]\n";
        deploy(namespace, "same", &image, env);
    }
    for namespace in &spaces {
        wait_until_placed(namespace, "same", "Pooled");
        namespace.wait_until_reachable("same");
    }
    let shell = Shell::start(&spaces[0], None).await;
    for (namespace, value) in spaces.iter().zip(&values) {
        let host = format!("same.{}", namespace.name());
        let answer = shell.get(&host, "/variables").await;
        let pair = format!("(\"TOKEN\", {value:?})");
        assert!(answer.text().contains(&pair), "{host}: {answer:?}");
        let others = values.iter().filter(|&other| other != value);
        for other in others {
            assert!(!answer.text().contains(other), "{host}: {answer:?}");
        }
    }
    for namespace in &spaces {
        let pods = pooled::pods(namespace).await;
        assert!(!pods.is_empty());
        for pod in pods {
            // What is searched has content, or the search would prove nothing.
            let mut all = environments(&pod);
            assert!(all.contains("KUBERNETES_SERVICE_HOST="), "{pod:?}: {all}");
            for path in ["/functions", "/metrics"] {
                let address = pod.address.to_string();
                let answer = shell.get_at(&address, REPORT_PORT, path).await;
                assert_eq!(answer.status, 200, "{path}: {answer:?}");
                assert!(answer.text().contains("\"same\""), "{path}: {answer:?}");
                all += answer.text();
            }
            for value in &values {
                assert!(!all.contains(value), "{value} is in {pod:?}: {all}");
            }
        }
    }
    for namespace in spaces {
        namespace.delete().await;
    }
}

/// A server of the cluster that a function might call: the origin, as a rule names it, and a path.
struct Server {
    origin: String,
    path: &'static str,
}

impl Server {
    fn http(host: impl Into<String>, port: u16, path: &'static str) -> Server {
        let host = host.into();
        let origin = format!("http://{host}:{port}");
        Server { origin, path }
    }

    fn https(host: impl Into<String>, port: u16, path: &'static str) -> Server {
        let host = host.into();
        let origin = format!("https://{host}:{port}");
        Server { origin, path }
    }

    /// The servers of the cluster and of the pool, of which one function has this port.
    fn all(pods: &[Pod], port: u16, api: &[(String, u16)]) -> Vec<Server> {
        let mut all = vec![
            Server::http("127.0.0.1", REPORT_PORT, "/functions"),
            Server::http("localhost", REPORT_PORT, "/functions"),
            Server::http("127.0.0.1", port, "/"),
        ];
        for (host, port) in api {
            all.push(Server::https(host, *port, "/version"));
        }
        for pod in pods {
            let (pod, node) = (pod.address.to_string(), pod.node_address.to_string());
            all.push(Server::http(&pod, REPORT_PORT, "/functions"));
            all.push(Server::http(&pod, REPORT_PORT, "/metrics"));
            all.push(Server::http(&pod, port, "/"));
            all.push(Server::http(&pod, PEER_PORT, "/"));
            all.push(Server::https(&node, KUBELET_PORT, "/pods"));
        }
        all
    }
}

/// What a function in one of the pool's pods says about a call.
async fn call(shell: &Shell<'_>, pod: IpAddr, port: u16, server: &Server) -> String {
    let path = format!("/call?{}{}", server.origin, server.path);
    let answer = shell.get_at(&pod.to_string(), port, &path).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.text().to_owned()
}

fn port_of(namespace: &Namespace, name: &str) -> u16 {
    let path = "jsonpath={.status.poolPort}";
    let port = namespace
        .kubectl()
        .output(&["get", "wfn", name, "-o", path]);
    port.parse().expect("a pooled function has a port")
}

/// From each pod of a pool, a function without rules reaches no report port and no function of its
/// own pod or of the other, no kubelet and no API server; a function with a rule for another
/// function reaches that one alone. A function with a rule for each of these servers reaches them
/// all. So the rules keep them apart, and nothing else does. The calls over TLS then end at the
/// certificates, because a pooled function does not trust the cluster's authority.
#[tokio::test(flavor = "multi_thread")]
async fn a_pooled_function_reaches_no_server_of_the_cluster_that_its_rules_do_not_name() {
    let namespace = Namespace::create("pooled-closed").await;
    configure(&namespace, "{ replicas: { min: 2 } }");
    let image = push(namespace.cluster(), &guest("probe"), "pooled/closed");
    let rules = |origins: &[&str]| {
        let allow: Vec<_> = origins.iter().map(|origin| format!("'{origin}'")).collect();
        format!("  outbound: {{ allow: [{}] }}\n", allow.join(", "))
    };
    let neighbour = format!("http://closed.{}.svc", namespace.name());
    deploy(&namespace, "closed", &image, "");
    deploy(&namespace, "narrow", &image, &rules(&[&neighbour]));
    for name in ["closed", "narrow"] {
        wait_until_placed(&namespace, name, "Pooled");
        namespace.wait_until_reachable(name);
    }
    pooled::wait_until_ready(&namespace, 2);
    let pods = pooled::pods(&namespace).await;
    assert_eq!(pods.len(), 2, "{pods:?}");
    // The API server has a Service, and listens at the first node.
    let cluster = namespace.cluster();
    let address = "jsonpath={.spec.clusterIP}";
    let default = cluster.kubectl().within("default");
    let service = default.output(&["get", "service", "kubernetes", "-o", address]);
    let api = [
        ("kubernetes.default.svc".to_owned(), 443),
        (service, 443),
        (cluster.nodes[0].address.to_string(), API_PORT),
    ];
    let servers = Server::all(&pods, port_of(&namespace, "closed"), &api);

    let shell = Shell::start(&namespace, None).await;
    for name in ["closed", "narrow"] {
        let port = port_of(&namespace, name);
        for pod in &pods {
            for server in &servers {
                let said = call(&shell, pod.address, port, server).await;
                let context = format!("{name} in {} calls {}", pod.name, server.origin);
                assert_eq!(said, "ErrorCode::HttpRequestDenied", "{context}");
            }
        }
    }
    let beside = Server {
        origin: neighbour,
        path: "/",
    };
    for pod in &pods {
        let port = port_of(&namespace, "narrow");
        assert_eq!(call(&shell, pod.address, port, &beside).await, "200");
    }

    // Both pods may have one node.
    let origins: BTreeSet<&str> = servers
        .iter()
        .map(|server| server.origin.as_str())
        .collect();
    let origins: Vec<&str> = origins.into_iter().collect();
    deploy(&namespace, "open", &image, &rules(&origins));
    wait_until_placed(&namespace, "open", "Pooled");
    let port = port_of(&namespace, "open");
    for pod in &pods {
        for server in &servers {
            let said = call(&shell, pod.address, port, server).await;
            let context = format!("open in {} calls {}: {said}", pod.name, server.origin);
            if server.origin.starts_with("https:") {
                assert!(said.starts_with("ErrorCode::Tls"), "{context}");
            } else {
                let is_peer = server.origin.ends_with(&format!(":{PEER_PORT}"));
                let expected = if is_peer { "404" } else { "200" };
                assert_eq!(said, expected, "{context}");
            }
        }
    }
    namespace.delete().await;
}
