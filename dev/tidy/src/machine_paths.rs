//! Checks that no file names paths of one machine or hosts of package registries.
//!
//! Each client's own configuration selects its registries.

use super::Problem;
use super::sources::Sources;

/// Folders that exist on one machine only. They are split, because this file is checked too.
const PATHS: [&str; 3] = [
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/wo", "rk/"),
];

/// Hosts of registries, split for the same reason.
const HOSTS: [&str; 10] = [
    concat!("index.crates", ".io"),
    concat!("static.crates", ".io"),
    concat!("static.rust-lang", ".org"),
    concat!("deb.debian", ".org"),
    concat!("security.debian", ".org"),
    concat!("pypi", ".org"),
    concat!("files.pythonhosted", ".org"),
    concat!("registry.npmjs", ".org"),
    concat!("proxy.golang", ".org"),
    concat!("repo.maven.apache", ".org"),
];

pub(super) fn check(sources: &Sources) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in sources.texts() {
        for (index, line) in text.lines().enumerate() {
            if let Some(message) = machine_path_or_host(line) {
                problems.push(Problem::new(path, message).at(index + 1));
            }
        }
    }
    problems
}

fn machine_path_or_host(line: &str) -> Option<String> {
    let path = PATHS.iter().find(|path| has_path(line, path));
    let path = path.map(|path| format!("`{path}` is a path of one machine; remove it"));
    path.or_else(|| {
        let host = HOSTS.iter().find(|host| line.contains(*host));
        host.map(|host| format!("`{host}` is a host of a registry; leave it to its clients"))
    })
}

/// Whether the folder occurs at the start of a path, not inside of one.
fn has_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || "._-}~/*".contains(before))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_a_machine_are_found() {
        fn check(line: &str, expected: bool) {
            assert_eq!(machine_path_or_host(line).is_some(), expected, "{line}");
        }
        check(concat!("see /ro", "ot/.cargo"), true);
        check(concat!("let path = \"/wo", "rk/main\";"), true);
        check(concat!("crates/wo", "rk/src"), false);
        check(concat!("$HOME/wo", "rk/src"), false);
        check(concat!("https://pypi", ".org/simple"), true);
        check("https://docs.rs/hyper", false);
        check("a framework/ root", false);
    }
}
