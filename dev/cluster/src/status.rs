//! Prints the state of a cluster for people and for shells.

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use sampan_checkout::shell::shell_quoted;

use super::layout::Layout;
use super::name::Name;
use super::processes::Processes;
use super::state::SavedState;
use super::{DESCRIPTION, existing};

/// Prints the components and their logs; fails unless all of them run.
pub(crate) fn run(layout: &Layout) -> Result<ExitCode> {
    let (layout, saved) = existing(layout)?;
    let processes = Processes::new(&layout, Vec::new());
    let mut whole = true;
    println!("cluster {}", layout.name());
    for name in processes.recorded()? {
        let record = processes.running(&name)?;
        whole &= record.is_some();
        let state = match record {
            Some(record) => format!("process {}", record.pid),
            None => "ENDED".to_owned(),
        };
        println!(
            "  {name:<24} {state:<16} {}",
            processes.log(&name).display()
        );
    }
    for node in saved.all_nodes(&layout) {
        println!(
            "  {:<24} {:<16} containerd at {}",
            node.name(),
            node.address().to_string(),
            node.containerd_socket().display()
        );
    }
    println!("  API server               https://{}", saved.api);
    println!(
        "  registry                 {} here, {} or the same in the cluster",
        saved.registry,
        SavedState::registry_in_cluster(&layout)
    );
    if !whole {
        println!("`cargo xtask cluster up` starts again what has ended");
    }
    Ok(if whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Prints how to use a cluster that has come up.
pub(crate) fn print_usage(layout: &Layout, named: Option<&Name>) -> Result<()> {
    let (_, saved) = existing(layout)?;
    let name = named
        .map(|name| format!(" --name {name}"))
        .unwrap_or_default();
    eprintln!("  to use it:    eval \"$(cargo xtask cluster{name} env)\"; kubectl get pods -A");
    eprintln!(
        "  its registry: {}, for the kubelet as well",
        saved.registry
    );
    eprintln!("  to end it:    cargo xtask cluster{name} down");
    Ok(())
}

/// The variables of a cluster's users.
pub(crate) fn variables(layout: &Layout) -> Vec<(&'static str, OsString)> {
    let mut path = layout.programs().into_os_string();
    if let Some(before) = env::var_os("PATH") {
        path.push(":");
        path.push(before);
    }
    vec![
        ("KUBECONFIG", layout.kubeconfig().into_os_string()),
        (DESCRIPTION, layout.description().into_os_string()),
        ("PATH", path),
    ]
}

/// The same, for a POSIX shell to evaluate.
pub(crate) fn environment(layout: &Layout) -> String {
    let lines = variables(layout)
        .into_iter()
        .map(|(name, value)| format!("export {name}={}\n", shell_quoted(&value.to_string_lossy())));
    lines.collect()
}
