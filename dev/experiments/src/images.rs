//! Reads the images and the settings of each function from the file that `cargo xtask bench`
//! writes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use sampan_measure::files::FUNCTIONS;
use serde::Deserialize;

use super::kind::Kind;

/// The content of the file.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Images {
    pub(crate) functions: BTreeMap<String, Function>,
}

/// A function in all its kinds.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Function {
    wasm: String,
    scratch: String,
    distro: String,
    /// The query of the published experiments, without a question mark.
    pub(crate) query: String,
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// The targets that the component may call.
    #[serde(default)]
    pub(crate) outbound: Vec<String>,
}

impl Images {
    /// Reads the file, and keeps the requested functions; by default those of the published
    /// experiments.
    pub(crate) fn read(path: &Path, asked: &[String]) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
        let images: Self = serde_json::from_slice(&text)
            .with_context(|| format!("{} describes no images", path.display()))?;
        images.select(asked)
    }

    fn select(mut self, asked: &[String]) -> Result<Self> {
        for name in asked {
            if !self.functions.contains_key(name) {
                let known: Vec<_> = self.functions.keys().map(String::as_str).collect();
                bail!(
                    "there is no function {name}; there are {}",
                    known.join(", ")
                );
            }
        }
        let is_published = |name: &str| FUNCTIONS.iter().any(|(known, ..)| *known == name);
        self.functions.retain(|name, _| match asked {
            [] => is_published(name),
            asked => asked.contains(name),
        });
        if self.functions.is_empty() {
            bail!("there are no functions to measure");
        }
        Ok(self)
    }

    /// A function by its name.
    pub(crate) fn function(&self, name: &str) -> Result<&Function> {
        let found = self.functions.get(name);
        found.with_context(|| format!("there are no images of {name}"))
    }
}

impl Function {
    /// Its image of a kind.
    pub(crate) fn image(&self, kind: Kind) -> &str {
        match kind {
            Kind::Wasm | Kind::Pooled => &self.wasm,
            Kind::Scratch => &self.scratch,
            Kind::Distro => &self.distro,
        }
    }

    /// The path of its requests.
    pub(crate) fn path(&self) -> String {
        match self.query.as_str() {
            "" => "/".to_owned(),
            query => format!("/?{query}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"functions": {
        "aes": {"wasm": "r/aes:w", "scratch": "r/aes:s", "distro": "r/aes:d", "query": "length=1"},
        "hello": {"wasm": "r/h:w", "scratch": "r/h:s", "distro": "r/h:d", "query": ""},
        "n-body": {"wasm": "r/n:w", "scratch": "r/n:s", "distro": "r/n:d", "query": "",
                   "env": {"A": "b"}, "outbound": ["http://text"]}}}"#;

    #[test]
    fn functions_are_those_asked_for() {
        fn check(asked: &[&str], expected: Option<&[&str]>) {
            let images: Images = serde_json::from_str(FILE).unwrap();
            let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
            let selected = images.select(&asked).ok();
            let names: Option<Vec<&str>> = selected
                .as_ref()
                .map(|images| images.functions.keys().map(String::as_str).collect());
            assert_eq!(names.as_deref(), expected);
        }
        check(&[], Some(&["aes", "n-body"]));
        check(&["n-body"], Some(&["n-body"]));
        check(&["hello"], Some(&["hello"]));
        check(&["n-bodies"], None);
    }

    #[test]
    fn a_query_follows_a_question_mark_when_there_is_one() {
        let images: Images = serde_json::from_str(FILE).unwrap();
        assert_eq!(images.functions["aes"].path(), "/?length=1");
        assert_eq!(images.functions["n-body"].path(), "/");
        assert_eq!(images.functions["aes"].image(Kind::Distro), "r/aes:d");
    }

    #[test]
    fn a_pooled_function_is_the_component_of_the_pods() {
        let images: Images = serde_json::from_str(FILE).unwrap();
        let aes = &images.functions["aes"];
        assert_eq!(aes.image(Kind::Pooled), aes.image(Kind::Wasm));
    }
}
