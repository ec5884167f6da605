//! Uninstalls: removes the label, so that no new pod is scheduled here, then the configuration,
//! then the shim.

use crate::arguments::Uninstall;
use crate::config;
use crate::error::Error;
use crate::install::{LIBRARIES, NodeContext, SHIM, State, clear_ready, report, signal_ready};

/// Number of folders made for the shim: `/opt/sampan/bin` and `/opt/sampan`.
const SHIM_FOLDERS: usize = 2;

/// Removes everything that install has written. Missing parts are no error.
pub(crate) async fn uninstall(arguments: Uninstall) -> Result<(), Error> {
    let context = NodeContext::new(arguments.node).await?;
    clear_ready(arguments.ready_file.as_deref())?;
    if let Some(kubernetes) = &context.kubernetes {
        kubernetes.set_label(false).await?;
        report(&format!(
            "the label {} is removed from the node",
            context.node.label
        ));
    }
    let before = context.state()?;
    let main = match &before.main {
        Some(text) if context.node.template => config::template_without_block(text),
        Some(text) => {
            let rest = config::without_sampan(text).map_err(|source| Error::Config {
                path: context.node.config.clone(),
                source,
            })?;
            // A file that becomes empty was made by install.
            (!rest.is_empty()).then_some(rest)
        }
        None => None,
    };
    let after = State {
        main,
        drop_in: None,
    };
    if context.put(&after)? {
        context.restart().await?;
        report("containerd's configuration is restored");
    }
    context.root.remove_backup(&context.node.config)?;
    context.root.remove(&context.node.shim_folder.join(SHIM))?;
    context
        .root
        .remove_folder(&context.node.shim_folder.join(LIBRARIES))?;
    context
        .root
        .prune(&context.node.shim_folder, SHIM_FOLDERS)?;
    report("done: the shim is removed; running pods keep their shim process");
    signal_ready(arguments.ready_file.as_deref(), arguments.stay).await
}
