//! The place of the runtimes in containerd's configuration, and the name of Sampan's.

use toml::Table;

/// The name of the runtime, in containerd and as RuntimeClass handler.
pub(crate) const RUNTIME: &str = "sampan";

/// The plugin with the runtimes of the kubelet's pods, in a version of the configuration.
pub(crate) fn plugin(version: i64) -> &'static str {
    if version == 2 {
        "io.containerd.grpc.v1.cri"
    } else {
        "io.containerd.cri.v1.runtime"
    }
}

/// The runtimes of a configuration.
pub(crate) fn runtimes<'a>(table: &'a Table, plugin: &str) -> Option<&'a Table> {
    let mut table = table;
    for key in path(plugin) {
        table = table.get(key)?.as_table()?;
    }
    Some(table)
}

/// The runtimes of a configuration, to change them.
pub(crate) fn runtimes_mut<'a>(table: &'a mut Table, plugin: &str) -> Option<&'a mut Table> {
    let mut table = table;
    for key in path(plugin) {
        table = table.get_mut(key)?.as_table_mut()?;
    }
    Some(table)
}

/// The keys that lead to the runtimes of a plugin.
fn path(plugin: &str) -> [&str; 4] {
    ["plugins", plugin, "containerd", "runtimes"]
}
