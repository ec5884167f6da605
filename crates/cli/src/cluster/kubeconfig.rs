//! Finds the cluster: kubeconfig, context, namespace and proxy, as kubectl finds them.
//!
//! A kubeconfig that is named and cannot be read is a failure; no other cluster is used instead.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::arguments::ClusterChoice;
use crate::exit::Exit;
use crate::failure::{Failure, chain};

/// Time limit for connecting to the API server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the client configuration of the chosen cluster.
pub(super) async fn config(choice: &ClusterChoice) -> Result<Config, Failure> {
    let variable = env::var_os("KUBECONFIG");
    let home = env::home_dir();
    let named = choice.kubeconfig.as_deref();
    let files = files(named, variable.as_deref(), home.as_deref(), Path::exists);
    let mut config = if files.is_empty() {
        pod(choice)?
    } else {
        let kubeconfig = read(&files)?;
        let own_proxy = own_proxy(&kubeconfig, choice.context.as_deref());
        let options = KubeConfigOptions {
            context: choice.context.clone(),
            ..KubeConfigOptions::default()
        };
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(|error| Failure::kubeconfig(&error))?;
        // The client applies HTTPS_PROXY without NO_PROXY.
        if !own_proxy && !is_proxied(&config.cluster_url, &Matcher::from_env()) {
            config.proxy_url = None;
        }
        config
    };
    if let Some(namespace) = &choice.namespace {
        config.default_namespace.clone_from(namespace);
    }
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    Ok(config)
}

/// The files to read. A named file must exist; of the others, missing ones are skipped.
fn files(
    named: Option<&Path>,
    variable: Option<&OsStr>,
    home: Option<&Path>,
    is_there: impl Fn(&Path) -> bool,
) -> Vec<PathBuf> {
    if let Some(named) = named {
        return vec![named.to_owned()];
    }
    let listed: Vec<PathBuf> = variable
        .map(|list| env::split_paths(list).collect())
        .unwrap_or_default();
    let listed: Vec<PathBuf> = (listed.into_iter())
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    // A list of one counts as named; in a longer one, files may be missing.
    if listed.len() == 1 {
        return listed;
    }
    let candidates = if listed.is_empty() {
        home.map(|home| home.join(".kube/config"))
            .into_iter()
            .collect()
    } else {
        listed
    };
    let there = candidates.into_iter().filter(|path| is_there(path));
    there.collect()
}

/// Merges files by kubectl's rules: the first to set a value wins.
fn read(files: &[PathBuf]) -> Result<Kubeconfig, Failure> {
    let mut merged = Kubeconfig::default();
    for file in files {
        merged = Kubeconfig::read_from(file)
            .and_then(|next| merged.merge(next))
            .map_err(|error| Failure::kubeconfig(&error))?;
    }
    Ok(merged)
}

/// The cluster of the pod in which this program runs, if it runs in one.
fn pod(choice: &ClusterChoice) -> Result<Config, Failure> {
    if env::var_os("KUBERNETES_SERVICE_HOST").is_none() || choice.context.is_some() {
        return Err(Failure::new(
            Exit::Kubeconfig,
            "there is no kubeconfig: neither KUBECONFIG nor ~/.kube/config leads to one",
            "give it with --kubeconfig FILE",
        ));
    }
    Config::incluster().map_err(|error| {
        Failure::new(
            Exit::Kubeconfig,
            format!(
                "the cluster around this pod cannot be asked: {}",
                chain(&error)
            ),
            "mount the pod's service account token, or give a kubeconfig with --kubeconfig",
        )
    })
}

/// Whether the kubeconfig itself sets a proxy for the chosen cluster.
fn own_proxy(kubeconfig: &Kubeconfig, context: Option<&str>) -> bool {
    let context = context.or(kubeconfig.current_context.as_deref());
    let chosen = (kubeconfig.contexts.iter()).find(|named| Some(named.name.as_str()) == context);
    let cluster = chosen.and_then(|named| Some(&named.context.as_ref()?.cluster));
    let found = (kubeconfig.clusters.iter()).find(|named| Some(&named.name) == cluster);
    found
        .and_then(|named| named.cluster.as_ref()?.proxy_url.as_ref())
        .is_some_and(|proxy| !proxy.is_empty())
}

/// Whether the environment's proxy applies to this server. It never applies to this machine.
fn is_proxied(server: &Uri, proxies: &Matcher) -> bool {
    let host = server.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let local = bare == "localhost"
        || bare
            .parse()
            .is_ok_and(|address: std::net::IpAddr| address.is_loopback());
    !local && proxies.intercept(server).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_those_that_kubectl_reads() {
        fn check(
            named: Option<&str>,
            variable: Option<&str>,
            home: Option<&str>,
            expected: &[&str],
        ) {
            let found = files(
                named.map(Path::new),
                variable.map(OsStr::new),
                home.map(Path::new),
                |path| !path.ends_with("missing"),
            );
            let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(found, expected, "{named:?} {variable:?} {home:?}");
        }
        check(Some("a"), Some("b"), Some("/h"), &["a"]);
        check(Some("missing"), Some("b"), Some("/h"), &["missing"]);
        check(None, Some("b:c"), Some("/h"), &["b", "c"]);
        check(None, Some("b:missing:"), Some("/h"), &["b"]);
        check(None, Some("missing"), Some("/h"), &["missing"]);
        check(None, Some(""), Some("/h"), &["/h/.kube/config"]);
        check(None, None, Some("/h"), &["/h/.kube/config"]);
        check(None, None, None, &[]);
    }

    #[test]
    fn a_proxy_is_for_servers_elsewhere() {
        let proxies = Matcher::builder()
            .all("http://proxy.example:3128")
            .no("k.internal,10.0.0.0/8")
            .build();
        let check = |server: &str, expected| {
            let server: Uri = server.parse().expect("an address");
            assert_eq!(is_proxied(&server, &proxies), expected, "{server}");
        };
        check("https://k.example:6443", true);
        check("https://k.internal:6443", false);
        check("https://10.1.2.3:6443", false);
        check("https://127.0.0.1:6443", false);
        check("https://localhost:6443", false);
        check("https://[::1]:6443", false);
    }

    #[test]
    fn a_proxy_of_the_kubeconfig_is_that_of_the_context() {
        let kubeconfig = "
current-context: a
contexts:
  - { name: a, context: { cluster: a } }
  - { name: b, context: { cluster: b } }
clusters:
  - { name: a, cluster: { server: 'https://a' } }
  - { name: b, cluster: { server: 'https://b', proxy-url: 'http://proxy' } }
";
        let kubeconfig = Kubeconfig::from_yaml(kubeconfig).expect("a kubeconfig");
        assert!(!own_proxy(&kubeconfig, None));
        assert!(own_proxy(&kubeconfig, Some("b")));
        assert!(!own_proxy(&kubeconfig, Some("c")));
    }
}
