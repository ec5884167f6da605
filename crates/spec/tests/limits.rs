//! Tests of every limit at its edges: one below, exact, one above, and malformed values.

use sampan_spec::{Bound, Function, LIMITS, Limits, REUSE_IDLE, REUSE_REQUESTS, Unit};

/// The value of a field after reading the file, or the error.
type Outcome = Result<u64, String>;

/// A bounded field of a file: its path, its bound, and a function that reads it with a given value.
struct Field {
    path: String,
    bound: Bound,
    read: Box<dyn Fn(&str) -> Outcome>,
}

/// Every field with a bound, from the crate's own tables.
fn fields() -> Vec<Field> {
    fn function(text: &str) -> Result<Function, String> {
        Function::parse(text, "f", "name").map_err(|error| error.to_string())
    }
    let limits = LIMITS.iter().map(|limit| Field {
        path: format!("limits.{}", limit.key),
        bound: limit.bound,
        read: Box::new(|value| {
            function(&format!("limits:\n  {}: {value}\n", limit.key))
                .map(|function| limit.read(&function.limits))
        }),
    });
    let reuse = |key: &'static str, bound| Field {
        path: format!("instances.reuse.{key}"),
        bound,
        read: Box::new(move |value| {
            let text = format!("instances:\n  reuse:\n    {key}: {value}\n");
            let sampan_spec::InstancePolicy::Reuse { requests, idle } = function(&text)?.instances
            else {
                return Err("not reused".to_owned());
            };
            Ok(match bound.unit {
                Unit::Count => requests.get().into(),
                _ => u64::try_from(idle.as_nanos()).expect("it is valid"),
            })
        }),
    };
    limits
        .chain([reuse("requests", REUSE_REQUESTS), reuse("idle", REUSE_IDLE)])
        .collect()
}

#[test]
fn the_memory_of_all_instances_is_no_less_than_that_of_one() {
    let check = |limits: &str, expected: Option<&str>| {
        let text = format!("limits: {{ {limits} }}\n");
        let found = Function::parse(&text, "f", "name").map_err(|error| error.to_string());
        match expected {
            None => assert!(found.is_ok(), "{limits}: {found:?}"),
            Some(expected) => {
                let error = found.expect_err("it is refused");
                assert!(error.contains(expected), "{error}");
            }
        }
    };
    check("memory: 2Mi, totalMemory: 2Mi", None);
    check("memory: 64Mi", None);
    // The default of one instance is no wish.
    check("totalMemory: 1Mi", None);
    check(
        "memory: 2Mi, totalMemory: 1Mi",
        Some("limits.totalMemory: 1Mi is less than limits.memory, which is 2Mi"),
    );
}

#[test]
fn every_bound_holds_at_its_edges() {
    for Field { path, bound, read } in fields() {
        let Bound {
            unit, least, most, ..
        } = bound;
        let show = |value: u64| unit.show(value);
        for allowed in [least, least + 1, most - 1, most] {
            assert_eq!(
                read(&show(allowed)),
                Ok(allowed),
                "{path} {}",
                show(allowed)
            );
        }
        let below = if least == 0 {
            "-1".to_owned()
        } else {
            show(least - 1)
        };
        let refused = read(&below).expect_err("it is refused");
        let said = format!(
            "{path}: {below} is less than the least allowed, {}",
            show(least)
        );
        assert!(refused.ends_with(&said), "{refused}");

        let above = show(most + 1);
        let refused = read(&above).expect_err("it is refused");
        let said = format!(
            "{path}: {above} is more than the most allowed, {}",
            show(most)
        );
        assert!(refused.ends_with(&said), "{refused}");
    }
}

#[test]
fn numbers_beyond_counting_are_too_much() {
    for Field { path, bound, read } in fields() {
        let unit = match bound.unit {
            Unit::Bytes => "Ei",
            Unit::Time => "h",
            Unit::Count => "",
        };
        for digits in [19, 20, 21, 1000, 100_000] {
            let refused =
                read(&format!("{}{unit}", "9".repeat(digits))).expect_err("it is refused");
            assert!(
                refused.contains("is more than the most allowed"),
                "{path}: {refused}"
            );
            assert!(refused.len() < 300, "{path} repeats the number");
        }
    }
}

#[test]
fn nothing_else_is_a_value() {
    for Field { path, read, .. } in fields() {
        for text in [
            "''",
            "' '",
            "true",
            "yes",
            "[1]",
            "{a: 1}",
            "[]",
            "ten",
            "0x10",
            "1e3",
            "1_000",
            "+1",
            ".5",
            "5.",
            "NaN",
            ".inf",
            "'１'",
            "'٣'",
            "\"\\0\"",
            "'5 Mi'",
            "5MB",
            "5d",
            "1,5",
            "'100%'",
            "!!binary aGk=",
            "😀",
            "\"\\u202e5\"",
        ] {
            let refused = read(text).expect_err("it is refused");
            let one_line = !refused.chars().any(char::is_control);
            assert!(
                one_line && refused.starts_with("f:"),
                "{path} {text}: {refused:?}"
            );
        }
    }
}

#[test]
fn without_a_value_the_default_applies() {
    let function = Function::parse("", "f", "name").expect("it is valid");
    assert_eq!(function.limits, Limits::default());
    for Field { path, bound, read } in fields() {
        assert_eq!(read("~"), Ok(bound.default), "{path}");
        assert_eq!(read(""), Ok(bound.default), "{path}");
    }
}

#[test]
fn the_defaults_are_the_documented_ones() {
    fn check(key: &str, range: [&str; 3]) {
        let limit = LIMITS
            .iter()
            .find(|limit| limit.key == key)
            .expect("it is valid");
        let Bound {
            unit,
            default,
            least,
            most,
        } = limit.bound;
        assert_eq!(
            [default, least, most].map(|value| unit.show(value)),
            range,
            "{key}"
        );
        assert_eq!(limit.show(&Limits::default()), range[0], "{key}");
    }
    check("memory", ["128Mi", "1Mi", "4Gi"]);
    check("totalMemory", ["1Ti", "1Mi", "1Ti"]);
    check("timeout", ["30s", "1ms", "1h"]);
    check("processorTime", ["30s", "1ms", "1h"]);
    check("concurrency", ["100", "1", "10000"]);
    check("queue", ["100", "0", "100000"]);
    check("requestBody", ["10Mi", "0", "1Gi"]);
    check("requestHeaders", ["32Ki", "1Ki", "1Mi"]);
    check("output", ["64Ki", "0", "16Mi"]);
    check("outboundConnections", ["16", "0", "1000"]);
    check("artifact", ["64Mi", "1Ki", "1Gi"]);
    check("compileTime", ["2m", "1s", "1h"]);
    check("compileMemory", ["2Gi", "128Mi", "16Gi"]);
    assert_eq!(LIMITS.len(), 13, "a new limit belongs into this list");
}
