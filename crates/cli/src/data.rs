//! The data folder with compiled modules, and the engine that uses it.
//!
//! As the XDG specification requires, a relative folder in the environment is ignored.
//! `SSL_CERT_FILE` and `SSL_CERT_DIR` replace the compiled-in certificate authorities, as they do for
//! OpenSSL.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rustls_native_certs::load_certs_from_paths;
use sampan_engine::{Authorities, CompileCommand, Engine, EngineConfig};

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
pub(crate) fn engine(data: &Path, instances: Option<u32>) -> Result<Engine, Failure> {
    let compiler = CompileCommand {
        program: PathBuf::from(SELF_EXE),
        arguments: vec![COMPILE.to_owned()],
        // The allocator reserves address space in steps of a gibibyte, which would count against
        // limits.compileMemory.
        environment: vec![(sampan_allocator::ARENAS.to_owned(), "0".to_owned())],
    };
    let mut config = EngineConfig::new(data.join("cache"), compiler);
    config.release_memory = sampan_allocator::release_memory;
    config.authorities = authorities(env::var_os("SSL_CERT_FILE"), env::var_os("SSL_CERT_DIR"))?;
    if let Some(instances) = instances {
        config.instances = instances;
    }
    Engine::new(&config).map_err(|error| Failure::engine(&error))
}

/// The certificate authorities in the file and the folders that the environment names. An empty
/// variable counts as none.
fn authorities(file: Option<OsString>, folders: Option<OsString>) -> Result<Authorities, Failure> {
    let file = file.filter(|file| !file.is_empty()).map(PathBuf::from);
    let folders = folders.unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&folders)
        .filter(|folder| !folder.as_os_str().is_empty())
        .collect();
    if file.is_none() && folders.is_empty() {
        return Ok(Authorities::Public);
    }
    let folders = folders
        .iter()
        .map(|folder| load_certs_from_paths(None, Some(folder)));
    let all: Vec<_> = std::iter::once(load_certs_from_paths(file.as_deref(), None))
        .chain(folders)
        .collect();
    let refuse = |message: String| {
        Failure::new(
            Exit::Missing,
            format!("SSL_CERT_FILE, SSL_CERT_DIR: {message}"),
            "name a file with certificates in PEM and folders of such files, or unset both",
        )
    };
    if let Some(error) = all.iter().flat_map(|loaded| &loaded.errors).next() {
        return Err(refuse(error.to_string()));
    }
    let certificates: Vec<_> = all.into_iter().flat_map(|loaded| loaded.certs).collect();
    if certificates.is_empty() {
        return Err(refuse("there is no certificate".to_owned()));
    }
    Ok(Authorities::Given(certificates))
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
    fn the_environment_may_replace_the_authorities() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).into_os_string();
        let key = rcgen::KeyPair::generate().expect("a key");
        let parameters = rcgen::CertificateParams::default();
        let certificate = parameters.self_signed(&key).expect("a certificate").pem();
        for (folder, file) in [("one", "a.pem"), ("two", "b.pem")] {
            std::fs::create_dir(path(folder)).expect("a folder");
            std::fs::write(PathBuf::from(path(folder)).join(file), &certificate).expect("a file");
        }
        std::fs::write(path("empty.pem"), "").expect("a file");
        let one = PathBuf::from(path("one")).join("a.pem").into_os_string();
        let both = env::join_paths([path("one"), path("two")]).expect("no colon in the paths");
        let check = |file: Option<OsString>, folders: Option<OsString>, expected: Option<usize>| {
            let found = match authorities(file.clone(), folders.clone()) {
                Ok(Authorities::Public) => Some(0),
                Ok(Authorities::Given(certificates)) => Some(certificates.len()),
                Err(failure) => {
                    assert_eq!(failure.exit, Exit::Missing, "{failure:?}");
                    None
                }
            };
            assert_eq!(found, expected, "{file:?} {folders:?}");
        };
        check(None, None, Some(0));
        check(Some(OsString::new()), Some(OsString::new()), Some(0));
        check(Some(one.clone()), None, Some(1));
        check(None, Some(both.clone()), Some(2));
        check(Some(one), Some(both), Some(3));
        check(Some(path("empty.pem")), None, None);
        check(Some(path("absent.pem")), None, None);
        check(None, Some(path("absent")), None);
    }

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
