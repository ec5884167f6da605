//! Tests that the chart's dashboards, and the page on operating, name metrics and labels that exist.
//!
//! The metrics are those that a pool and an operator serve, once each of their labels has a value.
//! They are tested here because a dashboard shows both.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::task::yield_now;
use tokio::time::timeout;

use support::registry::Registry;
use support::{Fixture, TEST_TIMEOUT, check, counting_guest, free_port, get, guest_with, resource};

/// Labels that a scraper adds to the metrics of a pod.
const TARGET_LABELS: [&str; 2] = ["namespace", "pod"];

/// The names of the encoded series, with their labels.
type Series = BTreeMap<String, BTreeSet<String>>;

/// A token of an expression, or of a line of encoded metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Text(&'a str),
    Number,
    Sign(char),
}

fn tokens(mut text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    while let Some(first) = text.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.');
        let word = || {
            text[1..]
                .find(|c| !is_word(c))
                .map_or(text.len(), |at| at + 1)
        };
        let (token, length) = match first {
            '"' => {
                let end = text[1..].find('"').expect("a text has an end");
                (Token::Text(&text[1..=end]), end + 2)
            }
            '0'..='9' => (Token::Number, word()),
            '_' | '$' | 'a'..='z' | 'A'..='Z' => (Token::Word(&text[..word()]), word()),
            sign => (Token::Sign(sign), sign.len_utf8()),
        };
        if token != Token::Sign(' ') {
            tokens.push(token);
        }
        text = &text[length..];
    }
    tokens
}

/// A metric of an expression, with the labels that select or group its series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Use<'a> {
    metric: &'a str,
    labels: BTreeSet<&'a str>,
    /// Dashboard variables of the selectors.
    variables: BTreeSet<&'a str>,
}

/// The metrics of an expression. `by` stands before what it groups. Other operators in words are
/// taken for metrics, so they need an entry here before a dashboard can use them.
fn uses(expression: &str) -> Vec<Use<'_>> {
    let tokens = tokens(expression);
    let (mut uses, mut grouping) = (Vec::new(), BTreeSet::new());
    let mut rest = tokens.as_slice();
    while let Some((token, after)) = rest.split_first() {
        rest = after;
        let Token::Word(word) = *token else { continue };
        let next = rest.first();
        let is_call = matches!(next, Some(Token::Sign('(') | Token::Word("by")));
        if word == "by" {
            let (labels, _, after) = list(rest, ')');
            (grouping, rest) = (labels, after);
        } else if !is_call && !word.starts_with('$') {
            let (mut labels, mut variables) = (grouping.clone(), BTreeSet::new());
            if next == Some(&Token::Sign('{')) {
                let (selected, texts, after) = list(rest, '}');
                labels.extend(selected);
                variables.extend(texts.into_iter().filter_map(|text| text.strip_prefix('$')));
                rest = after;
            }
            uses.push(Use {
                metric: word,
                labels,
                variables,
            });
        }
    }
    uses
}

/// The words and texts of a list, and what follows it.
fn list<'a, 'b>(
    tokens: &'b [Token<'a>],
    end: char,
) -> (BTreeSet<&'a str>, BTreeSet<&'a str>, &'b [Token<'a>]) {
    let (mut words, mut texts) = (BTreeSet::new(), BTreeSet::new());
    let length = tokens.iter().position(|token| *token == Token::Sign(end));
    let (inside, after) = tokens.split_at(length.expect("a list has an end"));
    for token in inside {
        match *token {
            Token::Word(word) => _ = words.insert(word),
            Token::Text(text) => _ = texts.insert(text),
            Token::Number | Token::Sign(_) => {}
        }
    }
    (words, texts, after)
}

/// What an expression names and the series do not have.
fn unknown(expression: &str, series: &Series) -> Vec<String> {
    let uses = uses(expression);
    let mut unknown = Vec::new();
    for Use { metric, labels, .. } in uses {
        let Some(known) = series.get(metric) else {
            unknown.push(metric.to_owned());
            continue;
        };
        let labels = labels.into_iter();
        let labels = labels.filter(|name| !known.contains(*name) && !TARGET_LABELS.contains(name));
        unknown.extend(labels.map(|name| format!("{metric}{{{name}}}")));
    }
    unknown
}

/// The labels of a legend such as `{{namespace}}/{{function}}`.
fn legend_labels(legend: &str) -> impl Iterator<Item = &str> {
    let parts = legend.split("{{").skip(1);
    parts.map(|part| part.split("}}").next().expect("a split has a first part"))
}

/// The series of a pool that has answered and failed, and of an operator.
async fn series() -> Series {
    let (pool, registry) = (Fixture::start(), Registry::start().await);
    let (works, _) = registry.push("works", "1", counting_guest("works", 1_000_000));
    let (fails, _) = registry.push("fails", "1", guest_with("never", "(unreachable)"));
    for (name, image) in [("works", &works), ("fails", &fails)] {
        let port = free_port();
        pool.apply(resource(name, 1, port, image, json!({}))).await;
        pool.until_serving(name, 1).await;
        if name == "works" {
            check(port, 200, &["works"], &[]).await;
        } else {
            get(port).await;
        }
    }
    let operator = sampan_operator::Metrics::new(&pool.metrics);
    operator.request("GET", Some(200));
    operator.set_refused("wasmpools", false);
    // A failure is counted after the answer.
    let counted = async {
        loop {
            let text = pool.metrics.encode().expect("the metrics");
            if text.contains("sampan_function_failures_total{") {
                return text;
            }
            yield_now().await;
        }
    };
    let text = timeout(TEST_TIMEOUT, counted).await.expect("it is counted");
    pool.stop().await;
    let mut series = Series::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let sample = uses(line).swap_remove(0);
        let labels = series.entry(sample.metric.to_owned()).or_default();
        labels.extend(sample.labels.into_iter().map(str::to_owned));
    }
    series
}

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The dashboards with the names of their files.
fn dashboards() -> Vec<(String, Value)> {
    let folder = checkout().join("deploy/chart/sampan/dashboards");
    let files = fs::read_dir(folder).expect("the folder of dashboards");
    let dashboards: Vec<_> = files
        .map(|file| {
            let file = file.expect("a file");
            let text = fs::read_to_string(file.path()).expect("a dashboard");
            let name = file.file_name().to_string_lossy().into_owned();
            (name, serde_json::from_str(&text).expect("JSON"))
        })
        .collect();
    assert!(!dashboards.is_empty());
    dashboards
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("no {pointer} in {value}"))
}

fn array<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.unwrap_or_else(|| panic!("no {pointer} in {value}"))
}

/// The panels that show something.
fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let panels = array(dashboard, "/panels").iter();
    panels.filter(|panel| panel["type"] != "row")
}

/// The variables that have the values of a label, with their queries.
fn queries(dashboard: &Value) -> impl Iterator<Item = &str> {
    let variables = array(dashboard, "/templating/list").iter();
    let of_labels = variables.filter(|variable| variable["type"] == "query");
    of_labels.map(|variable| text(variable, "/query/query"))
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboards_name_metrics_and_labels_that_exist() {
    let series = series().await;
    for (file, dashboard) in dashboards() {
        let variables = array(&dashboard, "/templating/list").iter();
        let variables: BTreeSet<_> = variables.map(|one| text(one, "/name")).collect();
        for target in panels(&dashboard).flat_map(|panel| array(panel, "/targets")) {
            let expression = text(target, "/expr");
            let uses = uses(expression);
            assert!(!uses.is_empty(), "{file}: {expression}");
            assert_eq!(
                unknown(expression, &series),
                [""; 0],
                "{file}: {expression}"
            );
            for label in legend_labels(text(target, "/legendFormat")) {
                let is_there = uses.iter().all(|one| one.labels.contains(label));
                assert!(is_there, "{file}: no {label} in {expression}");
            }
            for used in uses.iter().flat_map(|one| &one.variables) {
                assert!(variables.contains(used), "{file}: ${used} in {expression}");
            }
        }
        for query in queries(&dashboard) {
            let inside = query.strip_prefix("label_values(");
            let inside = inside.and_then(|inside| inside.strip_suffix(')'));
            let (selector, label) = inside
                .and_then(|inside| inside.rsplit_once(", "))
                .expect(query);
            let expression = format!("sum by ({label}) ({selector})");
            assert_eq!(unknown(&expression, &series), [""; 0], "{file}: {query}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_on_operating_lists_each_metric() {
    let page = fs::read_to_string(checkout().join("docs/operations.md")).expect("the page");
    let listed = page.split('`').filter(|word| word.starts_with("sampan_"));
    let listed: BTreeSet<_> = listed.map(str::to_owned).collect();
    let series = series().await;
    // A histogram is listed once.
    let histograms: Vec<_> = series
        .keys()
        .filter_map(|name| name.strip_suffix("_bucket"))
        .collect();
    let families = series.keys().map(|name| {
        let family = histograms.iter().find(|histogram| {
            let suffix = name.strip_prefix(**histogram);
            matches!(suffix, Some("_bucket" | "_sum" | "_count"))
        });
        family.map_or_else(|| name.clone(), |family| (*family).to_owned())
    });
    assert_eq!(listed, families.collect());
}

#[test]
fn unknown_metrics_and_labels_are_found() {
    let known = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect();
    let series = Series::from([
        ("a_total".to_owned(), known(&["code", "function"])),
        ("b_bucket".to_owned(), known(&["function", "le"])),
    ]);
    let check = |expression: &str, expected: &[&str]| {
        assert_eq!(unknown(expression, &series), expected, "{expression}");
    };
    check(
        "sum by (namespace, code) (rate(a_total{function=~\"$function\", code=~\"5..\"}[$__rate_interval]))",
        &[],
    );
    check(
        "histogram_quantile(0.95, sum by (le, pod) (rate(b_bucket[5m])))",
        &[],
    );
    check("rate(a[5m]) / rate(a_total[5m])", &["a"]);
    check("rate(a_bucket[5m])", &["a_bucket"]);
    check(
        "sum by (le) (a_total) / sum by (code) (b_bucket)",
        &["a_total{le}", "b_bucket{code}"],
    );
    check("a_total{cause=\"code\"}", &["a_total{cause}"]);
    check("a_total or c", &["or", "c"]);
}

#[test]
fn each_panel_has_a_title_a_description_and_a_unit() {
    fn check_sources(file: &str, value: &Value) {
        if let Some(source) = value.get("datasource") {
            assert_eq!(source["uid"], "${datasource}", "{file}: {source}");
        }
        match value {
            Value::Array(values) => values.iter().for_each(|value| check_sources(file, value)),
            Value::Object(fields) => fields.values().for_each(|value| check_sources(file, value)),
            _ => {}
        }
    }
    let mut identifiers = BTreeSet::new();
    for (file, dashboard) in dashboards() {
        assert!(
            identifiers.insert(text(&dashboard, "/uid").to_owned()),
            "{file}"
        );
        assert!(!text(&dashboard, "/title").is_empty(), "{file}");
        assert!(dashboard["schemaVersion"].as_u64() >= Some(39), "{file}");
        assert_eq!(
            dashboard["templating"]["list"][0]["name"], "datasource",
            "{file}"
        );
        assert_eq!(
            dashboard["templating"]["list"][0]["type"], "datasource",
            "{file}"
        );
        let mut panel_identifiers = BTreeSet::new();
        for panel in array(&dashboard, "/panels") {
            assert!(!text(panel, "/title").is_empty(), "{file}: {panel}");
            assert!(
                panel_identifiers.insert(panel["id"].as_u64()),
                "{file}: {panel}"
            );
        }
        for panel in panels(&dashboard) {
            for pointer in ["/description", "/fieldConfig/defaults/unit"] {
                assert!(!text(panel, pointer).is_empty(), "{file}: {panel}");
            }
            assert!(panel.get("datasource").is_some(), "{file}: {panel}");
        }
        check_sources(&file, &dashboard);
    }
}
