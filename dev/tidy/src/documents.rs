//! Checks the documents: links inside the repository resolve, and published files exist.

use std::path::{Component, Path, PathBuf};

use super::Problem;
use super::sources::Sources;
use crate::markdown;

/// Published files, with the reason why each must exist.
const PUBLISHED: [(&str, &str); 1] = [(
    "docs/function.schema.json",
    "editors check function.yaml with it",
)];

pub(super) fn check(sources: &Sources) -> Vec<Problem> {
    let missing = PUBLISHED
        .iter()
        .filter(|(path, _)| sources.text(path).is_none());
    let missing = missing.map(|(path, why)| Problem::new(path, format!("is missing: {why}")));
    let documents = sources.with_extension("md");
    let broken = documents.flat_map(|(path, text)| check_links(sources, path, text));
    missing.chain(broken).collect()
}

fn check_links(sources: &Sources, path: &Path, text: &str) -> Vec<Problem> {
    let links = markdown::links(text).into_iter();
    let inside = links.filter(|link| !is_outside(link.text));
    let broken = inside.filter(|link| !resolves(sources, path, link.text));
    broken
        .map(|link| {
            let message = format!("the link `{}` does not resolve", link.text);
            Problem::new(path, message).at(link.number)
        })
        .collect()
}

/// Whether it is a URL, which is not looked up.
fn is_outside(link: &str) -> bool {
    link.contains("://") || link.starts_with("mailto:") || link.starts_with('<')
}

fn resolves(sources: &Sources, document: &Path, link: &str) -> bool {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() {
        Some(document.to_owned())
    } else {
        join(document, file)
    };
    let Some(target) = target else {
        return false;
    };
    if target != Path::new("") && !sources.has(&target) {
        return false;
    }
    // Links to lines of code have a fragment too, but only documents have headings.
    let is_document = target
        .extension()
        .is_some_and(|extension| extension == "md");
    let headings = target.to_str().filter(|_| is_document);
    let text = headings.and_then(|path| sources.text(path));
    anchor.is_empty()
        || text.is_none_or(|text| markdown::anchors(text).iter().any(|known| known == anchor))
}

/// The path from the root; `None` when it leads out of the repository.
fn join(document: &Path, file: &str) -> Option<PathBuf> {
    let mut path = match file.strip_prefix('/') {
        Some(_) => PathBuf::new(),
        None => document.parent()?.to_owned(),
    };
    for part in Path::new(file.trim_start_matches('/')).components() {
        match part {
            Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Component::Normal(name) => path.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_a_file_a_folder_or_a_heading() {
        let sources = Sources::of(&[
            ("README.md", "# Sampan\n"),
            ("docs/guide.md", "## A first function\n"),
            ("docs/img/a.png", ""),
        ]);
        let check = |document: &str, link: &str, expected: bool| {
            let text = format!("[a]({link})");
            let problems = check_links(&sources, Path::new(document), &text);
            assert_eq!(problems.is_empty(), expected, "{document}: {link}");
        };
        check("README.md", "docs/guide.md", true);
        check("README.md", "docs/", true);
        check("README.md", "docs/guide.md#a-first-function", true);
        check("README.md", "docs/guide.md#a-second-one", false);
        check("README.md", "#sampan", true);
        check("README.md", "#nothing", false);
        check("README.md", "guide.md", false);
        check("docs/guide.md", "../README.md", true);
        check("docs/guide.md", "..", true);
        check("docs/guide.md", "/README.md", true);
        check("docs/guide.md", "../../README.md", false);
        check("docs/guide.md", "img/a.png", true);
        check("docs/guide.md", "https://example.com/absent", true);
    }

    #[test]
    fn a_missing_published_file_is_reported() {
        assert_eq!(check(&Sources::of(&[])).len(), 1);
        assert_eq!(
            check(&Sources::of(&[("docs/function.schema.json", "{}")])),
            []
        );
    }
}
