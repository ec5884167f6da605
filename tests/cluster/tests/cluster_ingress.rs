//! Tests functions from outside of the cluster: by host and by path, over TLS.

use sampan_cluster_tests::{Authority, Identity, Namespace, Nginx, guest, hello, push};

/// Makes the Secret of a certificate, as its owner does.
fn make_secret(namespace: &Namespace, name: &str, identity: &Identity) {
    let lines = |pem: &str| {
        let lines = pem.lines().map(|line| format!("    {line}\n"));
        lines.collect::<String>()
    };
    let Identity { certificate, key } = identity;
    namespace.apply(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{ name: {name} }}\ntype: kubernetes.io/tls\nstringData:\n  \
         tls.crt: |\n{}  tls.key: |\n{}",
        lines(certificate),
        lines(key)
    ));
}

fn ingress(host: &str, path: &str, secret: &str) -> String {
    format!(
        "  ingress: {{ className: nginx, host: {host}, path: {path}, tls: {{ secretName: {secret} }} }}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_are_called_by_host_and_path_over_tls() {
    let namespace = Namespace::create("ingress").await;
    let cluster = namespace.cluster().clone();
    let authority = Authority::new("a test's authority");
    let own = authority.sign(&["own.sampan.test"]);
    let shared = authority.sign(&["shared.sampan.test"]);
    make_secret(&namespace, "own-tls", &own);
    make_secret(&namespace, "shared-tls", &shared);
    // One function has a host of its own; two share one, each below a path.
    let by_host = push(&cluster, &hello(), "ingress/hello");
    namespace.deploy(
        "by-host",
        &by_host,
        &ingress("own.sampan.test", "/", "own-tls"),
    );
    let by_path = push(&cluster, &guest("cgi"), "ingress/cgi");
    for (name, path) in [("by-path", "/first"), ("beside", "/second")] {
        let more = ingress("shared.sampan.test", path, "shared-tls") + "  http: cgi\n";
        namespace.deploy(name, &by_path, &more);
    }
    for (name, url) in [
        ("by-host", "https://own.sampan.test/"),
        ("by-path", "https://shared.sampan.test/first"),
        ("beside", "https://shared.sampan.test/second"),
    ] {
        namespace.wait_until_ready(name);
        let wfn = namespace.json(&["wfn", name]);
        assert_eq!(wfn["status"]["url"], url);
    }

    let nginx = Nginx::start(&namespace, "nginx", &cluster.nodes[0]);
    let check = |url: &str, status: u16, words: &str| {
        let answer = nginx.get(url, authority.certificate());
        let (found, body) = answer.unwrap_or_else(|said| panic!("{url}: {said}"));
        assert!(
            found == status && body.contains(words),
            "{url}: {found} {body}"
        );
    };
    check("https://own.sampan.test/", 200, "Hello");
    check("https://own.sampan.test/any/path?and=query", 200, "Hello");
    // Path and query arrive unchanged.
    check("https://shared.sampan.test/first", 200, "GET /first?");
    check(
        "https://shared.sampan.test/first/a%20b?q=1",
        200,
        "GET /first/a",
    );
    check(
        "https://shared.sampan.test/first/x?q=1",
        200,
        "GET /first/x?q=1",
    );
    check("https://shared.sampan.test/second/x", 200, "GET /second/x?");
    // No rule matches these.
    check("https://shared.sampan.test/", 404, "");
    check("https://shared.sampan.test/firstly", 404, "");

    let refused = |url: &str, authority: &Authority, words: &str| {
        let said = nginx.get(url, authority.certificate());
        let said = said.expect_err("this cannot be trusted");
        assert!(said.contains(words), "{url}: {said}");
    };
    refused("https://unknown.sampan.test/", &authority, "SSL");
    let stranger = Authority::new("a stranger");
    refused("https://own.sampan.test/", &stranger, "certificate");
    drop(nginx);

    // Without the field, the Ingress is deleted.
    namespace.deploy("by-host", &by_host, "");
    namespace.until(&["get", "ingress", "-o", "name"], |said| {
        !said.contains("by-host") && said.contains("by-path")
    });
    namespace.delete().await;
}
