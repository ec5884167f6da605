//! Reads the known exceptions of critest from the table of docs/shim.md.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result, bail};
use sampan_checkout::repository::Repository;

const DOCUMENT: &str = "docs/shim.md";

/// The head of the table; its rows are the exceptions.
const HEAD: &str = "| spec of critest | why it does not pass |";

/// Reasons by the names of specs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Exceptions(pub(super) BTreeMap<String, String>);

impl Exceptions {
    pub(super) fn read(repository: &Repository) -> Result<Exceptions> {
        let file = repository.root().join(DOCUMENT);
        let text = fs::read_to_string(&file)
            .with_context(|| format!("failed to read {}", file.display()))?;
        parse(&text).with_context(|| format!("in {DOCUMENT}"))
    }
}

fn parse(text: &str) -> Result<Exceptions> {
    let Some((_, table)) = text.split_once(HEAD) else {
        bail!("there is no table with the head `{HEAD}`");
    };
    let mut exceptions = Exceptions::default();
    // The rest of the head's line, and the line below it.
    for row in table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
    {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [spec, reason] = cells[..] else {
            bail!("this row must have two cells: {row}");
        };
        if reason.is_empty() {
            bail!("`{spec}` has no reason");
        }
        let spec = spec.trim_matches('`').to_owned();
        if exceptions.0.insert(spec, reason.to_owned()).is_some() {
            bail!("this row is a duplicate: {row}");
        }
    }
    Ok(exceptions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_spec_and_its_reason() {
        fn check(rows: &str, expected: Option<&[(&str, &str)]>) {
            let text = format!("# Shim\n\n{HEAD}\n|---|---|\n{rows}\nMore | text\n");
            let expected = expected.map(|pairs| {
                let pairs = pairs.iter();
                let pairs = pairs.map(|(spec, reason)| ((*spec).to_owned(), (*reason).to_owned()));
                Exceptions(pairs.collect())
            });
            assert_eq!(parse(&text).ok(), expected, "{rows}");
        }
        check("", Some(&[]));
        check(
            "| `[k8s.io] A b` | not yet |\n| c | never |\n",
            Some(&[("[k8s.io] A b", "not yet"), ("c", "never")]),
        );
        check("| a | |\n", None);
        check("| a |\n", None);
        check("| a | b |\n| a | c |\n", None);
        assert!(parse("nothing").is_err());
    }

    #[test]
    fn the_document_has_the_table() {
        Exceptions::read(&Repository::find().unwrap()).unwrap();
    }
}
