//! Undoing: the label first, so that nothing new is sent here, then the configuration, then the shim.

use crate::arguments::Uninstall;
use crate::config;
use crate::error::Error;
use crate::install::{LIBRARIES, SHIM, State, Work, ready, tell, unready};

/// How many folders of ours there are above a file: `/opt/sampan/bin` and `/opt/sampan`.
const SHIM_FOLDERS: usize = 2;

/// Takes everything away that install has brought. What is not there is no mistake.
pub(crate) async fn uninstall(arguments: Uninstall) -> Result<(), Error> {
    let work = Work::new(arguments.node).await?;
    unready(arguments.ready_file.as_deref())?;
    if let Some(kubernetes) = &work.kubernetes {
        kubernetes.mark(false).await?;
        tell(&format!(
            "the node has no label {} any more",
            work.node.label
        ));
    }
    let before = work.state()?;
    let main = match &before.main {
        Some(text) if work.node.template => config::template_without_ours(text),
        Some(text) => {
            let rest = config::without_ours(text).map_err(|source| Error::Config {
                path: work.node.config.clone(),
                source,
            })?;
            // A file of which nothing is left was made by us.
            (!rest.is_empty()).then_some(rest)
        }
        None => None,
    };
    let after = State {
        main,
        drop_in: None,
    };
    if work.put(&after)? {
        work.restart().await?;
        tell("containerd's configuration is as it was");
    }
    work.root.forget(&work.node.config)?;
    work.root.remove(&work.node.shim_folder.join(SHIM))?;
    work.root
        .remove_folder(&work.node.shim_folder.join(LIBRARIES))?;
    work.root.prune(&work.node.shim_folder, SHIM_FOLDERS)?;
    tell("done: the shim is gone; pods that still run keep the one that they have");
    ready(arguments.ready_file.as_deref(), arguments.stay).await
}
