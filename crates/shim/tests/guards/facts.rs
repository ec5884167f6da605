//! The facts that the probe prints, as names with values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};

use crate::support::until;

/// What became of a container.
pub(crate) enum Outcome {
    Ran(Facts),
    /// It was not made or did not start; with the message.
    Refused(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ran(facts) => write!(f, "ran and told {} facts", facts.0.len()),
            Self::Refused(message) => write!(f, "refused: {message}"),
        }
    }
}

/// All that is written into a pipe until its last writer is gone.
pub(crate) async fn drain(mut pipe: File) -> String {
    let mut bytes = Vec::new();
    let has_ended = || match pipe.read_to_end(&mut bytes) {
        Ok(_) => true,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
        Err(error) => panic!("the pipe: {error}"),
    };
    until("the pipe has ended", has_ended).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Names with values.
#[derive(Debug)]
pub(crate) struct Facts(BTreeMap<String, String>);

/// One fact under the shim and under runc; empty where there is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) fact: String,
    pub(crate) here: String,
    pub(crate) there: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: \"{}\", with runc \"{}\"",
            self.fact, self.here, self.there
        )
    }
}

impl Facts {
    /// Reads lines `name=value` of the container `id`. Its name is left out of values.
    pub(crate) fn parse(text: &str, errors: &str, id: &str) -> Self {
        let text = text.replace(id, "ID");
        let lines = text.lines().filter_map(|line| line.split_once('='));
        let mut facts: BTreeMap<_, _> = lines
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        assert!(!facts.is_empty(), "the probe told nothing: {errors}");
        if !errors.is_empty() {
            facts.insert("errors".to_owned(), errors.replace(id, "ID"));
        }
        Self(facts)
    }

    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Facts that differ.
    pub(crate) fn differences(&self, there: &Self) -> Vec<Difference> {
        let names: BTreeSet<_> = self.0.keys().chain(there.0.keys()).collect();
        let differences = names.into_iter().map(|fact| Difference {
            fact: fact.clone(),
            here: self.get(fact).to_owned(),
            there: there.get(fact).to_owned(),
        });
        differences
            .filter(|difference| difference.here != difference.there)
            .collect()
    }
}

#[test]
fn facts_differ_where_one_is_missing_or_another() {
    let facts = |text| Facts::parse(text, "", "x");
    let difference = |fact: &str, here: &str, there: &str| Difference {
        fact: fact.to_owned(),
        here: here.to_owned(),
        there: there.to_owned(),
    };
    let found = facts("a=1\nb=2\nc=of x").differences(&facts("a=1\nb=3\nd=4\nc=of ID"));
    assert_eq!(found, [difference("b", "2", "3"), difference("d", "", "4")]);
}
