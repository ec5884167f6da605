//! Reads the file of a function: its specification and the path of its WebAssembly.
//!
//! The WebAssembly itself is left to the engine, which reads it within the function's limits.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sampan_spec::{Function, FunctionName, MAX_FILE_BYTES};

use crate::exit::Exit;
use crate::failure::Failure;

/// The default name of a function's file.
pub(crate) const FUNCTION_FILE: &str = "function.yaml";

/// The file that defines a function, and its identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Origin {
    /// A `function.yaml`, which names a .wasm.
    Described(PathBuf),
    /// A .wasm with default settings.
    Bare(PathBuf),
}

/// A function as its files define it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// The validated function.
    pub(crate) function: Arc<Function>,
    /// Its WebAssembly.
    pub(crate) wasm: PathBuf,
    /// The files of its certificate authorities.
    pub(crate) authorities: Vec<PathBuf>,
}

impl Source {
    /// The files that are loaded: its .wasm, and those of its certificate authorities.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.wasm)
            .chain(&self.authorities)
            .map(PathBuf::as_path)
    }

    /// The function as it is loaded here: no path depends on the current folder's being that of
    /// its file.
    pub(crate) fn resolved(&self) -> Arc<Function> {
        let mut function = Arc::clone(&self.function);
        if !self.authorities.is_empty() {
            let paths = self.authorities.iter();
            Arc::make_mut(&mut function).certificate_authorities =
                paths.map(|path| path.display().to_string()).collect();
        }
        function
    }
}

impl Origin {
    /// Classifies a file by its name.
    pub(crate) fn of_file(path: PathBuf) -> Self {
        let yaml = path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml");
        if yaml {
            Self::Described(path)
        } else {
            Self::Bare(path)
        }
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Described(path) | Self::Bare(path) => path,
        }
    }

    /// The name of a function without a name in its files: the folder's, or the .wasm's.
    pub(crate) fn default_name(&self) -> String {
        let stem = match self {
            Self::Described(path) => path.parent().and_then(Path::file_name),
            Self::Bare(path) => path.file_stem(),
        };
        stem.unwrap_or(OsStr::new(""))
            .to_string_lossy()
            .into_owned()
    }

    /// Reads the function's `function.yaml`, if it has one.
    pub(crate) fn read(&self) -> Result<Source, Failure> {
        match self {
            Self::Described(path) => described(path, &self.default_name()),
            Self::Bare(path) => {
                let name = FunctionName::from_file_stem(&self.default_name()).map_err(|error| {
                    Failure::new(
                        Exit::FunctionFile,
                        format!("{}: {error}", path.display()),
                        "rename the file, or name the function in a function.yaml in a folder of its own",
                    )
                })?;
                Ok(Source {
                    function: Arc::new(Function::bare(name)),
                    wasm: path.clone(),
                    authorities: Vec::new(),
                })
            }
        }
    }
}

/// Reads a file up to one byte past `most`.
pub(crate) fn read_bytes(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn described(path: &Path, default_name: &str) -> Result<Source, Failure> {
    // One byte more than allowed is enough to detect a file that is too large.
    let bytes =
        read_bytes(path, MAX_FILE_BYTES as u64).map_err(|error| Failure::read(path, &error))?;
    let shown = path.display().to_string();
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::new(
            Exit::FunctionFile,
            format!("{shown}: not a text in UTF-8, from byte {at} on"),
            "save it as UTF-8",
        )
    })?;
    let function = Function::parse(&text, &shown, default_name)
        .map_err(|error| Failure::function_file(&error))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    // Validation gives every such function a file.
    let wasm = folder.join(function.file.as_deref().unwrap_or_default());
    let authorities = function.certificate_authorities.iter();
    let authorities = authorities.map(|file| folder.join(file)).collect();
    Ok(Source {
        function: Arc::new(function),
        wasm,
        authorities,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_judged_by_its_name() {
        fn check(path: &str, described: bool, default_name: &str) {
            let origin = Origin::of_file(PathBuf::from(path));
            assert_eq!(matches!(origin, Origin::Described(_)), described, "{path}");
            assert_eq!(origin.default_name(), default_name, "{path}");
        }
        check("/shop/cart/function.yaml", true, "cart");
        check("/shop/cart/other.yml", true, "cart");
        check("/shop/cart.wasm", false, "cart");
        check("/shop/cart.v2.wasm", false, "cart.v2");
        check("/shop/cart", false, "cart");
    }

    #[test]
    fn relative_paths_start_at_the_description() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(FUNCTION_FILE);
        let text = "name: cart\noutbound: { certificateAuthorities: [ca.crt, /etc/ca.crt] }\n";
        fs::write(&path, text).expect("a file");
        let source = Origin::of_file(path).read().expect("it is valid");
        let beside = folder.path().join("ca.crt");
        assert_eq!(source.authorities, [beside.clone(), "/etc/ca.crt".into()]);
        let expected = [beside.display().to_string(), "/etc/ca.crt".to_owned()];
        assert_eq!(source.resolved().certificate_authorities, expected);
        assert_eq!(
            source.function.certificate_authorities,
            ["ca.crt", "/etc/ca.crt"]
        );
    }

    #[test]
    fn a_description_leads_to_its_wasm() {
        fn check(text: &[u8], expected: Result<(&str, &str), (Exit, &str)>) {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let cart = folder.path().join("cart");
            fs::create_dir(&cart).expect("a folder");
            let path = cart.join(FUNCTION_FILE);
            fs::write(&path, text).expect("a file");
            let read = Origin::of_file(path).read();
            match (read, expected) {
                (Ok(source), Ok((name, wasm))) => {
                    assert_eq!(source.function.name.as_str(), name);
                    assert_eq!(source.wasm, cart.join(wasm));
                }
                (Err(failure), Err((exit, message))) => {
                    assert_eq!(failure.exit, exit, "{failure:?}");
                    assert!(failure.message.contains(message), "{failure:?}");
                }
                (read, expected) => panic!("{read:?}, expected {expected:?}"),
            }
        }
        check(b"", Ok(("cart", "cart.wasm")));
        check(b"name: basket", Ok(("basket", "basket.wasm")));
        check(b"file: target/x.wasm", Ok(("cart", "target/x.wasm")));
        check(
            b"name: basket\nlimit: {}\n",
            Err((
                Exit::FunctionFile,
                "function.yaml:2:1: unknown key \"limit\"",
            )),
        );
        check(
            b"limits: { memory: 5Ti }",
            Err((Exit::FunctionFile, "limits.memory")),
        );
        check(
            b"name: \xff",
            Err((Exit::FunctionFile, "UTF-8, from byte 6")),
        );
        check(
            &vec![b' '; MAX_FILE_BYTES + 1],
            Err((Exit::FunctionFile, "the most is")),
        );
    }
}
