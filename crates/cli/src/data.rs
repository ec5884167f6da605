//! The data folder with compiled modules, and the engine that uses it.
//!
//! As the XDG specification requires, a relative folder in the environment is ignored.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use sampan_engine::{CompileCommand, Engine, EngineConfig};

use crate::COMPILE;
use crate::arguments::Data;
use crate::exit::Exit;
use crate::failure::Failure;

/// This program, even if its file has been replaced since the start: the compiling child must have
/// the version of its parent.
const SELF_EXE: &str = "/proc/self/exe";

impl Data {
    /// The chosen folder, or the user's default.
    pub(crate) fn resolve(&self) -> Result<PathBuf, Failure> {
        if let Some(folder) = &self.folder {
            return Ok(folder.clone());
        }
        default_folder(env::var_os("XDG_DATA_HOME"), env::home_dir()).ok_or_else(|| {
            Failure::new(
                Exit::Data,
                "there is no folder to keep compiled modules in, because no home folder is known",
                "choose one with --data FOLDER, or set HOME",
            )
        })
    }
}

/// Makes an engine that keeps its modules in `data` and runs at most `instances` at once.
pub(crate) fn engine(data: &std::path::Path, instances: Option<u32>) -> Result<Engine, Failure> {
    let compiler = CompileCommand {
        program: PathBuf::from(SELF_EXE),
        arguments: vec![COMPILE.to_owned()],
        // The allocator reserves address space in steps of a gibibyte, which would count against
        // limits.compileMemory.
        environment: vec![(sampan_allocator::ARENAS.to_owned(), "0".to_owned())],
    };
    let mut config = EngineConfig::new(data.join("cache"), compiler);
    config.release_memory = sampan_allocator::release_memory;
    if let Some(instances) = instances {
        config.instances = instances;
    }
    Engine::new(&config).map_err(|error| Failure::engine(&error))
}

/// The default of the XDG base directory specification, which permits absolute paths only.
fn default_folder(data_home: Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    let data_home = data_home
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let home = home.filter(|path| path.is_absolute());
    data_home
        .or_else(|| home.map(|home| home.join(".local/share")))
        .map(|folder| folder.join("sampan"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_follows_the_environment() {
        fn check(data_home: Option<&str>, home: Option<&str>, expected: Option<&str>) {
            let folder = default_folder(data_home.map(OsString::from), home.map(PathBuf::from));
            assert_eq!(
                folder,
                expected.map(PathBuf::from),
                "{data_home:?} {home:?}"
            );
        }
        check(Some("/data"), Some("/h/ann"), Some("/data/sampan"));
        check(None, Some("/h/ann"), Some("/h/ann/.local/share/sampan"));
        check(Some(""), Some("/h/ann"), Some("/h/ann/.local/share/sampan"));
        check(
            Some("data"),
            Some("/h/ann"),
            Some("/h/ann/.local/share/sampan"),
        );
        check(None, None, None);
        check(None, Some(""), None);
    }
}
