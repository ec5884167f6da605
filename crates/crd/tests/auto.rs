//! Tests of the settings of functions with the placement `Auto`.

use std::time::Duration;

use sampan_crd::{ValidAuto, ValidFunction, ValidPlacement, WasmFunction};
use sampan_spec::Processors;
use serde_json::{Value, json};

fn valid(spec: &Value) -> Result<ValidFunction, String> {
    let mut all = json!({ "image": "registry.example/f:1" });
    for (key, value) in spec.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
    let resource: WasmFunction = serde_json::from_value(json!({
        "apiVersion": "sampan.dev/v1alpha1",
        "kind": "WasmFunction",
        "metadata": { "name": "f" },
        "spec": all,
    }))
    .map_err(|error| error.to_string())?;
    ValidFunction::of(&resource).map_err(|invalid| invalid.to_string())
}

/// The settings: thousandths of processors to move out and back, seconds of the window and of quiet.
fn settings(auto: &Value) -> Result<(u32, u32, u64, u64), String> {
    let function = valid(&json!({ "placement": "Auto", "auto": auto }))?;
    let ValidPlacement::Auto(ValidAuto {
        move_out,
        move_back,
        window,
        quiet,
        ..
    }) = function.placement
    else {
        panic!("{:?}", function.placement);
    };
    let [move_out, move_back] = [move_out, move_back].map(Processors::milli);
    let [window, quiet] = [window, quiet].map(|time: Duration| time.as_secs());
    Ok((move_out, move_back, window, quiet))
}

#[test]
fn settings_have_defaults_units_and_ranges() {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers pass temporary `json!` values"
    )]
    fn check(auto: Value, expected: Result<(u32, u32, u64, u64), &str>) {
        let found = settings(&auto);
        match expected {
            Ok(expected) => assert_eq!(found, Ok(expected), "{auto}"),
            Err(words) => {
                let message = found.expect_err("it is refused");
                assert!(message.starts_with(words), "{auto}: {message}");
            }
        }
    }
    check(json!(null), Ok((500, 100, 60, 300)));
    check(json!({}), Ok((500, 100, 60, 300)));
    check(json!({ "moveOut": 2 }), Ok((2_000, 400, 60, 300)));
    check(json!({ "moveOut": "0.05" }), Ok((50, 10, 60, 300)));
    check(
        json!({ "moveOut": "50m", "moveBack": "49m", "window": "10s", "quiet": "1m30s" }),
        Ok((50, 49, 10, 90)),
    );
    check(
        json!({ "moveOut": 1000, "moveBack": "1m", "window": "1h", "quiet": "24h" }),
        Ok((1_000_000, 1, 3_600, 86_400)),
    );
    check(
        json!({ "moveOut": "9m" }),
        Err("spec.auto.moveOut: 9m is not allowed (10m to 1000)"),
    );
    check(
        json!({ "moveOut": 1001 }),
        Err("spec.auto.moveOut: 1001 is not"),
    );
    check(
        json!({ "moveOut": "half" }),
        Err("spec.auto.moveOut: half: it is no amount"),
    );
    check(
        json!({ "moveOut": -1 }),
        Err("spec.auto.moveOut: -1: it is no amount"),
    );
    check(
        json!({ "moveBack": "0" }),
        Err("spec.auto.moveBack: 0 is not allowed (1m to"),
    );
    check(
        json!({ "moveBack": "500m" }),
        Err("spec.auto.moveBack: 500m is not less than moveOut"),
    );
    check(
        json!({ "window": "9s" }),
        Err("spec.auto.window: 9s is not allowed (10s to 1h)"),
    );
    check(
        json!({ "window": "61m" }),
        Err("spec.auto.window: 61m is not"),
    );
    check(
        json!({ "window": 60 }),
        Err("spec.auto.window: 60: it has no unit"),
    );
    check(
        json!({ "quiet": "9s" }),
        Err("spec.auto.quiet: 9s is not allowed (10s to 24h)"),
    );
    check(
        json!({ "quiet": "25h" }),
        Err("spec.auto.quiet: 25h is not"),
    );
    check(json!({ "load": 1 }), Err("unknown field `load`"));
}

#[test]
fn settings_need_the_placement_and_the_placement_needs_pods() {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers pass temporary `json!` values"
    )]
    fn check(spec: Value, refused: Option<&str>) {
        let message = valid(&spec).err();
        let field = message
            .as_deref()
            .and_then(|message| message.split(':').next());
        assert_eq!(field, refused, "{spec}: {message:?}");
    }
    check(json!({ "placement": "Auto" }), None);
    check(json!({ "placement": "Auto", "replicas": 3 }), None);
    check(
        json!({ "placement": "Auto", "replicas": 0 }),
        Some("spec.replicas"),
    );
    check(json!({ "auto": {} }), Some("spec.auto"));
    check(json!({ "placement": "Pod", "auto": {} }), Some("spec.auto"));
    check(
        json!({ "placement": "Pooled", "auto": {} }),
        Some("spec.auto"),
    );
    // What a pool cannot give.
    check(
        json!({ "placement": "Auto", "metrics": {} }),
        Some("spec.metrics"),
    );
    let template = json!({ "nodeSelector": { "a": "b" } });
    check(
        json!({ "placement": "Auto", "template": template }),
        Some("spec.template.nodeSelector"),
    );
}
