//! Debian's nginx as an ingress controller.
//!
//! No real controller can be installed without internet access. The Ingress objects are what a
//! controller reads, and nginx is what the usual one configures. It implements the fields that the
//! operator sets, and rejects all others.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Namespace, Node, TEST_TIMEOUT};

/// A running nginx in a node's network, on port 443 of the node's address. It ends when this is
/// dropped.
#[derive(Debug)]
pub struct Nginx {
    process: Child,
    folder: TempDir,
    node: Node,
}

/// The routes of one host name.
#[derive(Debug, Default)]
struct Site {
    /// The name of the Secret with the certificate.
    secret: String,
    /// The upstream of each path.
    upstreams: BTreeMap<String, String>,
}

impl Nginx {
    /// Renders the Ingress objects of a class in a namespace, and serves them.
    pub fn start(namespace: &Namespace, class: &str, node: &Node) -> Nginx {
        let folder = tempfile::tempdir().expect("failed to make a folder");
        let sites = read(namespace, class);
        for site in sites.values() {
            write_identity(namespace, &site.secret, folder.path());
        }
        let settings = render(&sites, node.address, folder.path());
        let file = folder.path().join("nginx.conf");
        fs::write(&file, &settings).expect("failed to write a file");
        let errors = fs::File::create(folder.path().join("errors")).expect("failed to make a file");
        let process = node
            .inside("nginx")
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(errors)
            .spawn()
            .expect("failed to start nginx");
        let mut nginx = Nginx {
            process,
            folder,
            node: node.clone(),
        };
        nginx.wait();
        nginx
    }

    /// Calls a URL through nginx as a browser does, with one trusted authority. Returns the status
    /// and the body, or the reason why there is no answer.
    pub fn get(&self, url: &str, authority: &str) -> Result<(u16, String), String> {
        let file = self.folder.path().join("authority.pem");
        fs::write(&file, authority).expect("failed to write a file");
        let output = self
            .node
            .inside("curl")
            .args(["--silent", "--show-error", "--max-time", "60"])
            .args(["--write-out", "\n%{http_code}", "--cacert"])
            .arg(&file)
            .args(["--connect-to", &format!("::{}:443", self.node.address)])
            .arg(url)
            .output()
            .expect("failed to start curl");
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let said = String::from_utf8(output.stdout).expect("the answer is UTF-8");
        let (body, status) = said.rsplit_once('\n').expect("curl writes the status");
        let status = status.parse().expect("a status is a number");
        Ok((status, body.to_owned()))
    }

    /// Waits until it listens.
    fn wait(&mut self) {
        let begun = Instant::now();
        loop {
            let mut look = self.node.inside("ss");
            let output = look.args(["--listening", "--tcp", "--numeric"]).output();
            let output = output.expect("failed to start ss");
            let listens = format!("{}:443 ", self.node.address);
            if String::from_utf8_lossy(&output.stdout).contains(&listens) {
                return;
            }
            let ended = self.process.try_wait().expect("failed to wait for nginx");
            let late = begun.elapsed() > TEST_TIMEOUT;
            assert!(ended.is_none() && !late, "nginx: {}", self.complaints());
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn complaints(&self) -> String {
        let errors = fs::read_to_string(self.folder.path().join("errors"));
        errors.unwrap_or_else(|error| error.to_string())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- nginx\n{}", self.complaints());
        }
        // SIGTERM ends its worker as well; SIGKILL would not.
        let number = self.process.id().to_string();
        let asked = std::process::Command::new("kill").arg(number).status();
        if !asked.is_ok_and(|status| status.success()) {
            eprintln!("nginx had ended before");
        }
        let _ = self.process.wait();
    }
}

/// Reads the Ingress objects.
fn read(namespace: &Namespace, class: &str) -> BTreeMap<String, Site> {
    let text = |value: &Value| match value.as_str() {
        Some(text) => text.to_owned(),
        None => panic!("no text: {value}"),
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut sites: BTreeMap<String, Site> = BTreeMap::new();
    for ingress in list(&namespace.json(&["ingress"])["items"]) {
        let spec = &ingress["spec"];
        if spec["ingressClassName"] != class {
            continue;
        }
        for tls in list(&spec["tls"]) {
            for host in list(&tls["hosts"]) {
                sites.entry(text(&host)).or_default().secret = text(&tls["secretName"]);
            }
        }
        for rule in list(&spec["rules"]) {
            let site = sites.entry(text(&rule["host"])).or_default();
            for path in list(&rule["http"]["paths"]) {
                assert_eq!(path["pathType"], "Prefix", "{ingress}");
                let backend = &path["backend"]["service"];
                let upstream = upstream(namespace, &text(&backend["name"]), &backend["port"]);
                site.upstreams.insert(text(&path["path"]), upstream);
            }
        }
    }
    sites
}

/// The address and the port of a Service.
fn upstream(namespace: &Namespace, service: &str, port: &Value) -> String {
    let found = namespace.json(&["service", service]);
    let ports = found["spec"]["ports"].as_array().expect("a list of ports");
    let is_meant = |has: &&Value| has["name"] == port["name"] || has["port"] == port["number"];
    let number = ports.iter().find(is_meant).map(|has| &has["port"]);
    let number = number.unwrap_or_else(|| panic!("{service} has no port {port}"));
    let address = found["spec"]["clusterIP"].as_str().expect("an address");
    format!("{address}:{number}")
}

fn write_identity(namespace: &Namespace, secret: &str, folder: &Path) {
    for (key, file) in [("tls.crt", "crt"), ("tls.key", "key")] {
        let template = format!("go-template={{{{index .data \"{key}\" | base64decode}}}}");
        let text = namespace
            .kubectl()
            .output(&["get", "secret", secret, "-o", &template]);
        let file = folder.join(format!("{secret}.{file}"));
        fs::write(file, text).expect("failed to write a file");
    }
}

fn render(sites: &BTreeMap<String, Site>, address: IpAddr, folder: &Path) -> String {
    let folder = folder.display();
    let mut text = format!(
        "daemon off;\nuser root;\nworker_processes 1;\npid {folder}/pid;\nerror_log stderr;\n\
         events {{}}\nhttp {{\naccess_log off;\nclient_body_temp_path {folder}/body;\n\
         proxy_temp_path {folder}/proxy;\nfastcgi_temp_path {folder}/fastcgi;\n\
         uwsgi_temp_path {folder}/uwsgi;\nscgi_temp_path {folder}/scgi;\n\
         server {{ listen {address}:443 ssl default_server; ssl_reject_handshake on; }}\n"
    );
    for (host, site) in sites {
        let Site { secret, upstreams } = site;
        let head = format!(
            "server {{\nlisten {address}:443 ssl;\nserver_name {host};\n\
             ssl_certificate {folder}/{secret}.crt;\nssl_certificate_key {folder}/{secret}.key;\n"
        );
        text.push_str(&head);
        if !upstreams.contains_key("/") {
            text.push_str("location / { return 404; }\n");
        }
        for (path, upstream) in upstreams {
            let to = format!("{{ proxy_pass http://{upstream}; proxy_set_header Host $host; }}");
            let path = path.trim_end_matches('/');
            // A prefix matches whole elements of a path.
            let written = if path.is_empty() {
                writeln!(text, "location / {to}")
            } else {
                writeln!(text, "location = {path} {to}\nlocation {path}/ {to}")
            };
            written.expect("a text can be written to");
        }
        text.push_str("}\n");
    }
    text + "}\n"
}
