//! What a cluster tells of itself to people and to shells.

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use super::layout::Layout;
use super::name::Name;
use super::processes::{Processes, shell_quoted};
use super::state::Memory;
use super::{DESCRIPTION, existing};

/// Prints what runs and where; fails unless all of it does.
pub(crate) fn run(layout: &Layout) -> Result<ExitCode> {
    let (layout, memory) = existing(layout)?;
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
    for node in memory.all_nodes(&layout) {
        println!(
            "  {:<24} {:<16} containerd at {}",
            node.name(),
            node.address().to_string(),
            node.containerd_socket().display()
        );
    }
    println!("  API server               https://{}", memory.api);
    println!(
        "  registry                 {} here, {} or the same in the cluster",
        memory.registry,
        Memory::registry_in_cluster(&layout)
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

/// Says how to use a cluster that has come up.
pub(crate) fn tell_use(layout: &Layout, named: Option<&Name>) -> Result<()> {
    let (_, memory) = existing(layout)?;
    let name = named
        .map(|name| format!(" --name {name}"))
        .unwrap_or_default();
    eprintln!("  to use it:    eval \"$(cargo xtask cluster{name} env)\"; kubectl get pods -A");
    eprintln!(
        "  its registry: {}, for the kubelet as well",
        memory.registry
    );
    eprintln!("  to end it:    cargo xtask cluster{name} down");
    Ok(())
}

/// Variables for whoever uses the cluster.
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

/// The same for a POSIX shell to evaluate.
pub(crate) fn environment(layout: &Layout) -> String {
    let lines = variables(layout)
        .into_iter()
        .map(|(name, value)| format!("export {name}={}\n", shell_quoted(&value.to_string_lossy())));
    lines.collect()
}
