//! Checks the sources and licences of the dependencies: registries only, and licences that
//! deny.toml allows. An unused exception is a problem too.

use std::collections::BTreeSet;

use sampan_checkout::metadata::{Metadata, Package};
use spdx::{Expression, LicenseReq, ParseMode};

use super::Problem;
use super::policy::{FILE, Policy};

pub(super) fn check(policy: &Policy, workspaces: &[&Metadata]) -> Vec<Problem> {
    let packages = workspaces.iter().flat_map(|workspace| &workspace.packages);
    // A package of the project has no source, because it is on this disk.
    let foreign = packages.filter(|package| package.source.is_some());
    let (mut problems, mut used) = (Vec::new(), BTreeSet::new());
    for package in foreign {
        problems.extend(check_source(package));
        problems.extend(check_licence(policy, package, &mut used));
    }
    let exceptions = policy.exceptions.iter().map(|exception| &exception.package);
    let clarifications = policy.clarifications.iter().map(|said| &said.package);
    let idle = exceptions
        .chain(clarifications)
        .filter(|package| !used.contains(package.as_str()));
    problems.extend(idle.map(|package| {
        let message = format!("the entry of `{package}` is unused; remove it");
        Problem::new(FILE, message)
    }));
    problems.sort_by(|one, other| one.message.cmp(&other.message));
    problems.dedup();
    problems
}

fn check_source(package: &Package) -> Option<Problem> {
    let source = package.source.as_deref().unwrap_or_default();
    let is_registry = source.starts_with("registry+") || source.starts_with("sparse+");
    let named = name(package);
    (!is_registry).then(|| Problem::new("Cargo.lock", format!("{named} comes from {source}")))
}

fn check_licence<'a>(
    policy: &'a Policy,
    package: &Package,
    used: &mut BTreeSet<&'a str>,
) -> Option<Problem> {
    let problem = |message: String| Some(Problem::new("Cargo.lock", message));
    let clarified = || {
        let mut all = policy.clarifications.iter();
        let found = all.find(|clarification| clarification.package == package.name)?;
        used.insert(&found.package);
        Some(found.expression.as_str())
    };
    let Some(text) = package.license.as_deref().or_else(clarified) else {
        return problem(format!("{} does not declare a licence", name(package)));
    };
    let Ok(expression) = Expression::parse_mode(text, ParseMode::LAX) else {
        return problem(format!(
            "{} has the licence `{text}`, which is not an SPDX expression",
            name(package)
        ));
    };
    if expression.evaluate(|licence| is_in(&policy.licences, licence)) {
        return None;
    }
    let exception = policy
        .exceptions
        .iter()
        .find(|exception| exception.package == package.name);
    if let Some(exception) = exception {
        let allowed = [policy.licences.as_slice(), &exception.allow].concat();
        if expression.evaluate(|licence| is_in(&allowed, licence)) {
            used.insert(&exception.package);
            return None;
        }
    }
    problem(format!(
        "{} has the licence `{text}`, which {FILE} does not allow",
        name(package)
    ))
}

fn is_in(allowed: &[String], licence: &LicenseReq) -> bool {
    let text = licence.to_string();
    allowed.contains(&text)
}

fn name(package: &Package) -> String {
    format!("{} {}", package.name, package.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"
        graph = { targets = [] }
        [licenses]
        allow = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"]
        exceptions = [{ crate = "roots", allow = ["CDLA-Permissive-2.0"] }]
        clarify = [{ crate = "silent", expression = "MIT", license-files = [] }]
    "#;

    fn package(name: &str, licence: Option<&str>, source: &str) -> Package {
        let value = serde_json::json!({
            "id": name, "name": name, "version": "1.0.0", "manifest_path": "Cargo.toml",
            "license": licence, "source": source, "dependencies": [], "targets": [],
        });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn licences_are_allowed_for_all_or_for_one() {
        fn check(name: &str, licence: Option<&str>, expected: Option<&str>) {
            let policy = Policy::parse(POLICY).unwrap();
            let found = check_licence(&policy, &package(name, licence, ""), &mut BTreeSet::new());
            let message = found.map(|problem| problem.message);
            assert_eq!(message.is_some(), expected.is_some(), "{name}: {message:?}");
            assert!(
                message
                    .unwrap_or_default()
                    .contains(expected.unwrap_or_default())
            );
        }
        check("a", Some("MIT"), None);
        check("a", Some("MIT/Apache-2.0"), None);
        check("a", Some("GPL-3.0 OR Apache-2.0"), None);
        check("a", Some("Apache-2.0 WITH LLVM-exception"), None);
        check("a", Some("MIT AND GPL-3.0"), Some("does not allow"));
        check("a", Some("mine"), Some("not an SPDX"));
        check("a", None, Some("does not declare"));
        check("a", Some("CDLA-Permissive-2.0"), Some("does not allow"));
        check("roots", Some("CDLA-Permissive-2.0"), None);
        check("silent", None, None);
    }

    #[test]
    fn sources_are_registries() {
        let check = |source: &str, expected: bool| {
            let problem = check_source(&package("a", None, source));
            assert_eq!(problem.is_none(), expected, "{source}");
        };
        check("registry+https://example.com/index", true);
        check("git+https://example.com/a", false);
    }
}
