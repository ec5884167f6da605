//! `sampan new`: writes the source of a function that builds and runs as it stands.
//!
//! It overwrites no files.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sampan_spec::FunctionName;

use crate::arguments::New;
use crate::exit::Exit;
use crate::failure::{Failure, advice_on_folder};
use crate::output::finish;
use crate::sanitize::one_line;

/// The files with their templates.
const FILES: [(&str, &str); 6] = [
    ("Cargo.toml", include_str!("../templates/Cargo.toml.txt")),
    (
        ".cargo/config.toml",
        include_str!("../templates/cargo-config.toml.txt"),
    ),
    ("src/lib.rs", include_str!("../templates/lib.rs.txt")),
    (
        "function.yaml",
        include_str!("../templates/function.yaml.txt"),
    ),
    ("README.md", include_str!("../templates/README.md.txt")),
    (".gitignore", include_str!("../templates/gitignore.txt")),
];

/// Names that cargo rejects for a package, or that clash with a crate that every function uses.
const RESERVED: [&str; 58] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "wasip2",
    "where",
    "while",
    "wit-bindgen",
    "yield",
];

/// Writes a function's folder.
pub(crate) fn new(arguments: &New) -> Result<ExitCode, Failure> {
    let name: FunctionName = arguments.name.parse().map_err(|error| {
        Failure::new(
            Exit::Usage,
            format!("{error}"),
            "choose a name such as hello or prime-numbers",
        )
    })?;
    let folder = arguments
        .path
        .clone()
        .unwrap_or_else(|| PathBuf::from(name.as_str()));
    make_empty(&folder)?;
    let package = package(&name);
    for (file, template) in FILES {
        let text = fill(template, &name, &package);
        let path = folder.join(file);
        write(&path, &text).map_err(|error| cannot_write(&path, &error))?;
    }
    let shown = one_line(&folder.display().to_string());
    finish(&format!(
        "made {shown}; next:\n  cd {shown}\n  cargo build --release\n  sampan up\n"
    ))
}

/// The package's name: the function's, unless cargo rejects it.
fn package(name: &FunctionName) -> String {
    let name = name.as_str();
    let digit = name.starts_with(|first: char| first.is_ascii_digit());
    if digit || RESERVED.contains(&name) {
        format!("function-{name}")
    } else {
        name.to_owned()
    }
}

fn fill(template: &str, name: &FunctionName, package: &str) -> String {
    template
        .replace("{{name}}", name.as_str())
        .replace("{{package}}", package)
        .replace("{{crate}}", &package.replace('-', "_"))
}

/// Makes the folder; an empty one may exist.
fn make_empty(folder: &Path) -> Result<(), Failure> {
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => in_the_way(folder),
        _ => cannot_write(folder, &error),
    };
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(in_the_way(folder)),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(folder).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}

fn in_the_way(path: &Path) -> Failure {
    Failure::new(
        Exit::Exists,
        format!("{} is there already", path.display()),
        "remove it, or choose another folder with --path",
    )
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    if error.kind() == ErrorKind::AlreadyExists {
        return in_the_way(path);
    }
    Failure::new(
        Exit::Unexpected,
        format!("{} cannot be written: {error}", path.display()),
        advice_on_folder(Some(error.kind()), "--path"),
    )
}

#[cfg(test)]
mod tests {
    use sampan_spec::Function;

    use super::*;

    #[test]
    fn a_package_has_a_name_that_cargo_takes() {
        fn check(name: &str, expected: &str) {
            let name = name.parse().expect("it is a function's name");
            assert_eq!(package(&name), expected);
        }
        check("hello", "hello");
        check("prime-numbers", "prime-numbers");
        check("9lives", "function-9lives");
        check("match", "function-match");
        check("core", "function-core");
        check("wasip2", "function-wasip2");
    }

    #[test]
    fn templates_are_filled_and_the_description_is_valid() {
        for name in ["hello", "prime-numbers", "9lives"] {
            let name: FunctionName = name.parse().expect("it is a function's name");
            let package = package(&name);
            for (file, template) in FILES {
                let text = fill(template, &name, &package);
                assert!(!text.contains("{{"), "{file}: {text}");
                if file == "function.yaml" {
                    let function = Function::parse(&text, file, "x").expect("it is valid");
                    assert_eq!(function.name, name);
                    let wasm = format!(
                        "target/wasm32-wasip2/release/{}.wasm",
                        package.replace('-', "_")
                    );
                    assert_eq!(function.file, Some(wasm));
                }
            }
        }
    }
}
