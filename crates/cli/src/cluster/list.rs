//! `sampan list`: lists the functions of a namespace, or of all.

use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use k8s_openapi::jiff::Timestamp;
use kube::api::ListParams;
use sampan_crd::Placement;
use serde::Serialize;

use super::function::ClusterFunction;
use super::pool::{self, PoolLoad};
use super::{Cluster, block_on, end};
use crate::arguments::{List, Output};
use crate::failure::Failure;
use crate::output::{pretty_json, print};
use crate::sanitize::one_line;
use crate::terminal::Style;

/// Lists functions.
pub(crate) fn list(arguments: &List) -> Result<ExitCode, Failure> {
    end(run(arguments), arguments.output)
}

fn run(arguments: &List) -> Result<(), Failure> {
    let all = arguments.all_namespaces;
    let (namespace, functions, load) = block_on(async {
        let cluster = Cluster::find(&arguments.cluster).await?;
        let namespace = cluster.namespace.clone();
        let (api, action) = if all {
            (
                cluster.all_functions(),
                "list the functions of all namespaces".to_owned(),
            )
        } else {
            let action = format!("list the functions of namespace {namespace}");
            (cluster.functions(&namespace), action)
        };
        let objects = cluster.list(&action, &api, ListParams::default()).await?;
        let functions: Result<Vec<ClusterFunction>, Failure> =
            objects.iter().map(ClusterFunction::of).collect();
        let functions = functions?;
        let load = pool::gather(&cluster, &functions).await;
        Ok((namespace, functions, load))
    })?;
    let text = match arguments.output {
        Output::Json => {
            let rows: Vec<Row<'_>> = functions
                .iter()
                .map(|function| Row::of(function, &load))
                .collect();
            pretty_json(&rows)?
        }
        Output::Text => {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
            let place = (!all).then_some(namespace.as_str());
            text(&functions, &load, place, now, Style::of(&io::stdout()))
        }
    };
    print(&text)
}

/// A function as JSON. Fields may be added, never renamed.
#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    namespace: &'a str,
    ready: Option<bool>,
    reason: Option<&'a str>,
    message: Option<&'a str>,
    deleting: bool,
    pods: Option<&'a str>,
    replicas: i32,
    ready_replicas: i32,
    image: &'a str,
    digest: Option<&'a str>,
    url: Option<&'a str>,
    created: Option<String>,
    placement: Option<&'static str>,
    auto: bool,
    in_flight: Option<u64>,
    last_request: Option<String>,
    guest_seconds: Option<f64>,
    pool_error: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn of(function: &'a ClusterFunction, pools: &'a PoolLoad) -> Self {
        let status = &function.status;
        let complaint = function.complaint();
        let load = pools.of(function).filter(|_| function.is_pooled());
        let note = pools.notes.get(&function.namespace);
        let created = function
            .created
            .and_then(|second| Timestamp::from_second(second).ok());
        Self {
            name: &function.name,
            namespace: &function.namespace,
            ready: function.ready(),
            reason: complaint.map(|(reason, _)| reason),
            message: complaint.map(|(_, message)| message),
            deleting: function.deleting,
            pods: status.pods.as_deref(),
            replicas: status.replicas,
            ready_replicas: status.ready_replicas,
            image: &function.image,
            digest: status.digest.as_deref(),
            url: status.url.as_deref(),
            created: created.map(|time| time.to_string()),
            placement: status.placement.map(Placement::as_str),
            auto: function.is_auto(),
            in_flight: load.map(|load| load.in_flight),
            last_request: load
                .and_then(|load| load.last_request)
                .map(|time| time.to_string()),
            guest_seconds: load.map(|load| load.guest_seconds),
            pool_error: note.filter(|_| function.is_pooled()).map(String::as_str),
        }
    }
}

/// A table, followed by the causes of functions that are not ready. `place` is the only namespace,
/// if there is one.
fn text(
    functions: &[ClusterFunction],
    pools: &PoolLoad,
    place: Option<&str>,
    now: i64,
    style: Style,
) -> String {
    if functions.is_empty() {
        return match place {
            Some(place) => {
                format!("no functions in namespace {place}; `sampan list -A` looks everywhere\n")
            }
            None => "no functions in this cluster\n".to_owned(),
        };
    }
    let pooled = functions.iter().any(ClusterFunction::is_pooled);
    let mut columns = vec!["NAME", "READY", "PODS", "PLACEMENT"];
    if pooled {
        columns.extend(["IN-FLIGHT", "LAST"]);
    }
    columns.extend(["AGE", "URL", "IMAGE"]);
    if place.is_none() {
        columns.insert(0, "NAMESPACE");
    }
    let mut rows = vec![columns.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    let mut complaints = String::new();
    for function in functions {
        let status = &function.status;
        let ready = match (function.deleting, function.ready()) {
            (true, _) => "deleting",
            (false, Some(true)) => "yes",
            (false, Some(false)) => "no",
            (false, None) => "?",
        };
        let shown = |text: Option<&str>| one_line(text.unwrap_or("-"));
        let age = function
            .created
            .map_or_else(|| "?".to_owned(), |created| age(now - created));
        let mut row = vec![
            function.name.clone(),
            ready.to_owned(),
            shown(status.pods.as_deref()),
            place_of(function),
        ];
        if pooled {
            row.extend(load(function, pools, now));
        }
        row.extend([age, shown(status.url.as_deref()), one_line(&function.image)]);
        let mut name = function.name.clone();
        if place.is_none() {
            row.insert(0, function.namespace.clone());
            name = format!("{}/{name}", function.namespace);
        }
        rows.push(row);
        let complaint = match function.complaint() {
            Some((reason, message)) => format!("{reason}: {message}"),
            None if function.ready().is_none() => {
                "the operator has not looked at it yet".to_owned()
            }
            None => continue,
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            complaints,
            "{}: {}",
            style.strong(&name),
            one_line(&complaint)
        );
    }
    for (namespace, note) in &pools.notes {
        let name = format!("the pool in namespace {namespace}");
        let _ = writeln!(complaints, "{}: {}", style.strong(&name), one_line(note));
    }
    let mut text = table(&rows, style);
    if !complaints.is_empty() {
        let _ = write!(text, "\n{complaints}");
    }
    text
}

/// Where a function is served, and whether its load decides that.
fn place_of(function: &ClusterFunction) -> String {
    let place = function.status.placement.map_or("-", Placement::as_str);
    if function.is_auto() {
        format!("{place} (auto)")
    } else {
        place.to_owned()
    }
}

/// The requests in flight of a pooled function, and the time since the last one.
fn load(function: &ClusterFunction, pools: &PoolLoad, now: i64) -> [String; 2] {
    let none = || "-".to_owned();
    let Some(load) = pools.of(function).filter(|_| function.is_pooled()) else {
        return [none(), none()];
    };
    let last = load.last_request.map(|last| age(now - last.as_second()));
    [load.in_flight.to_string(), last.unwrap_or_else(none)]
}

/// Formats columns as wide as their widest cell; the last one is not padded.
fn table(rows: &[Vec<String>], style: Style) -> String {
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len))
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        let line = line.trim_end();
        let line = if index == 0 {
            style.faint(line)
        } else {
            line.to_owned()
        };
        let _ = writeln!(text, "{line}");
    }
    text
}

/// Formats an age as kubectl does: its largest unit, and the next one while the first is small.
fn age(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |first: i64, unit: char, second: i64, smaller: char| match second {
        0 => format!("{first}{unit}"),
        _ => format!("{first}{unit}{second}{smaller}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, 'm', seconds % 60, 's'),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, 'h', minutes % 60, 'm'),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, 'd', hours % 24, 'h'),
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::function::tests::function;

    /// An hour after the creation of the tests' functions.
    const NOW: i64 = 1_767_225_600 + 3_600;

    #[test]
    fn the_table_lists_functions_and_causes() {
        let mut well = function(1, &[("Ready", "True", "AllReady", "", 1)]);
        well.status.placement = Some(Placement::Pod);
        let mut bad = function(
            1,
            &[("Ready", "False", "ImagePullFailed", "not\nfound\u{1b}", 1)],
        );
        bad.name = "prime-numbers".to_owned();
        bad.status.pods = Some("0/12".to_owned());
        let mut new = function(1, &[]);
        new.name = "new".to_owned();
        (new.status.pods, new.status.url) = (None, None);
        let functions = [well, bad, new];
        let text = |place| super::text(&functions, &PoolLoad::default(), place, NOW, Style::PLAIN);
        assert_eq!(
            text(Some("shop")),
            "NAME           READY  PODS  PLACEMENT  AGE  URL                    IMAGE
hello          yes    1/1   Pod        60m  http://hello.shop.svc  r.example/hello:1
prime-numbers  no     0/12  -          60m  http://hello.shop.svc  r.example/hello:1
new            ?      -     -          60m  -                      r.example/hello:1

prime-numbers: ImagePullFailed: not found\\u{1b}
new: the operator has not looked at it yet
"
        );
        let everywhere = text(None);
        assert!(everywhere.starts_with("NAMESPACE  NAME"), "{everywhere}");
        assert!(everywhere.contains("\nshop/new: "), "{everywhere}");
    }

    #[test]
    fn an_empty_list_is_a_sentence() {
        let empty = |place| text(&[], &PoolLoad::default(), place, NOW, Style::PLAIN);
        assert!(empty(Some("shop")).contains("shop"));
        assert!(empty(None).contains("cluster"));
    }

    #[test]
    fn pooled_functions_have_their_requests_and_a_pool_that_is_silent_is_named() {
        let mut pooled = function(1, &[("Ready", "True", "AllReady", "", 1)]);
        pooled.status.placement = Some(Placement::Pooled);
        let mut own = pooled.clone();
        (own.name, own.status.placement) = ("own".to_owned(), Some(Placement::Pod));
        own.placement = "Auto".to_owned();
        let last = Timestamp::from_second(NOW - 5).expect("a time");
        let mut pools = PoolLoad::default();
        pools
            .notes
            .insert("shop".to_owned(), "no answer".to_owned());
        let functions = [pooled, own];
        let silent = text(&functions, &pools, Some("shop"), NOW, Style::PLAIN);
        assert!(
            silent.contains("\nthe pool in namespace shop: no answer\n"),
            "{silent}"
        );
        let pools = PoolLoad::with("u", 3, last);
        let text = text(&functions, &pools, Some("shop"), NOW, Style::PLAIN);
        assert_eq!(
            text,
            "NAME   READY  PODS  PLACEMENT   IN-FLIGHT  LAST  AGE  URL                    IMAGE
hello  yes    1/1   Pooled      3          5s    60m  http://hello.shop.svc  r.example/hello:1
own    yes    1/1   Pod (auto)  -          -     60m  http://hello.shop.svc  r.example/hello:1
"
        );
        let rows = functions
            .each_ref()
            .map(|function| Row::of(function, &pools));
        let rows = serde_json::to_value(rows).expect("JSON");
        assert_eq!(rows[0]["in_flight"], 3);
        assert_eq!(rows[0]["last_request"], last.to_string());
        assert_eq!(rows[0]["auto"], false);
        assert_eq!(rows[1]["auto"], true);
        assert_eq!(rows[0]["guest_seconds"], 1.5);
        assert_eq!(rows[1]["in_flight"], serde_json::Value::Null);
    }

    #[test]
    fn the_fields_are_those_of_the_documentation() {
        let function = function(1, &[("Ready", "False", "Starting", "m", 1)]);
        let row = serde_json::to_value(Row::of(&function, &PoolLoad::default()));
        let row = row.expect("JSON");
        let page = include_str!("../../../../docs/cli.md");
        for field in row.as_object().expect("an object").keys() {
            assert!(
                page.contains(&format!("`{field}`")),
                "docs/cli.md lacks {field}"
            );
        }
        assert_eq!(row["ready"], false);
        assert_eq!(row["reason"], "Starting");
        assert_eq!(row["created"], "2026-01-01T00:00:00Z");
    }

    #[test]
    fn ages_are_short() {
        let check = |seconds, expected: &str| assert_eq!(age(seconds), expected);
        check(-5, "0s");
        check(119, "119s");
        check(120, "2m");
        check(185, "3m5s");
        check(601, "10m");
        check(3 * 3_600 + 60, "3h1m");
        check(9 * 3_600, "9h");
        check(49 * 3_600, "2d1h");
        check(400 * 86_400, "400d");
    }
}
