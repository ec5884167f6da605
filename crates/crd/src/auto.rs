//! The settings of a function with the placement `Auto`: which load moves it out of the pool, and back.

use std::time::Duration;

use sampan_spec::{Processors, Timespan};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::amount::Amount;
use crate::invalid::Invalid;
use crate::limits::amount;
use crate::placement::PlacementPolicy;
use crate::processors;

/// The allowed processors of `moveOut` and `moveBack`.
const MIN_MOVE_OUT: Processors = Processors::from_milli(10);
const MIN_MOVE_BACK: Processors = Processors::from_milli(1);
const MAX_PROCESSORS: Processors = Processors::from_milli(1_000_000);

const MOVE_OUT: Processors = Processors::from_milli(500);
/// The default of `moveBack`, as a part of `moveOut`.
const MOVE_BACK_PART: u32 = 5;

const WINDOW: Duration = Duration::from_mins(1);
const MIN_WINDOW: Duration = Duration::from_secs(10);
const MAX_WINDOW: Duration = Duration::from_hours(1);

const QUIET: Duration = Duration::from_mins(5);
const MIN_QUIET: Duration = Duration::from_secs(10);
const MAX_QUIET: Duration = Duration::from_hours(24);

const ONLY_AUTO: &str = "it has a meaning only with placement: Auto";
const NO_PODS: &str =
    "with placement: Auto, it is the number of pods under load, which is at least 1";

/// When a function with the placement Auto moves between the pool and pods of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Auto {
    /// The processors that the function has to use in the pool, on average over the window, to move
    /// to pods of its own: 10m to 1000. Default: 500m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "processors::schema")]
    pub move_out: Option<Amount>,
    /// The processors below which all of its pods together have to stay to move back into the pool.
    /// Less than moveOut, at least 1m. Default: a fifth of moveOut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "processors::schema")]
    pub move_back: Option<Amount>,
    /// The time over which the load is averaged, 10s to 1h. Default: 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time")]
    pub window: Option<Amount>,
    /// How long the load has to stay below moveBack before the function moves back, 10s to 24h.
    /// Default: 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time")]
    pub quiet: Option<Amount>,
}

/// The validated settings of a function with the placement `Auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValidAuto {
    /// The load above which it moves to pods of its own.
    pub move_out: Processors,
    /// The load below which it moves back; less than `move_out`.
    pub move_back: Processors,
    /// The time over which the load is averaged.
    pub window: Duration,
    /// How long the load has to stay below `move_back`.
    pub quiet: Duration,
}

impl Default for ValidAuto {
    fn default() -> Self {
        Self {
            move_out: MOVE_OUT,
            move_back: Processors::from_milli(MOVE_OUT.milli() / MOVE_BACK_PART),
            window: WINDOW,
            quiet: QUIET,
        }
    }
}

impl ValidAuto {
    /// Validates the settings.
    ///
    /// # Errors
    ///
    /// [`Invalid`] for the first value that is not allowed.
    pub(crate) fn of(auto: &Auto) -> Result<Self, Invalid> {
        let move_out = checked_processors("moveOut", auto.move_out.as_ref(), MIN_MOVE_OUT)?;
        let move_out = move_out.unwrap_or(MOVE_OUT);
        let move_back = checked_processors("moveBack", auto.move_back.as_ref(), MIN_MOVE_BACK)?;
        let move_back =
            move_back.unwrap_or_else(|| Processors::from_milli(move_out.milli() / MOVE_BACK_PART));
        if move_back >= move_out {
            let message = format!("{move_back} is not less than moveOut, which is {move_out}");
            return Err(Invalid::new("spec.auto.moveBack", message));
        }
        let window = checked_time("window", auto.window.as_ref(), MIN_WINDOW..=MAX_WINDOW)?;
        let quiet = checked_time("quiet", auto.quiet.as_ref(), MIN_QUIET..=MAX_QUIET)?;
        Ok(Self {
            move_out,
            move_back,
            window: window.unwrap_or(WINDOW),
            quiet: quiet.unwrap_or(QUIET),
        })
    }
}

/// Checks the fields of a resource that depend on whether its placement is `Auto`.
///
/// # Errors
///
/// [`Invalid`] for settings without the placement, and for no pods under load.
pub(crate) fn check(
    policy: PlacementPolicy,
    auto: Option<&Auto>,
    replicas: Option<i32>,
) -> Result<(), Invalid> {
    match policy {
        PlacementPolicy::Pod | PlacementPolicy::Pooled if auto.is_some() => {
            Err(Invalid::new("spec.auto", ONLY_AUTO))
        }
        PlacementPolicy::Auto if replicas == Some(0) => Err(Invalid::new("spec.replicas", NO_PODS)),
        _ => Ok(()),
    }
}

/// The validation rules of `spec`, in CEL, as the API server evaluates them.
pub(crate) fn rules() -> [Value; 2] {
    [
        json!({
            "rule": "!has(self.auto) || (has(self.placement) && self.placement == 'Auto')",
            "message": format!("auto: {ONLY_AUTO}"),
            "fieldPath": ".auto",
        }),
        json!({
            "rule": "!has(self.placement) || self.placement != 'Auto' || !has(self.replicas) || self.replicas > 0",
            "message": format!("replicas: {NO_PODS}"),
            "fieldPath": ".replicas",
        }),
    ]
}

fn checked_processors(
    key: &str,
    amount: Option<&Amount>,
    least: Processors,
) -> Result<Option<Processors>, Invalid> {
    let field = format!("spec.auto.{key}");
    let amount =
        amount.map(|amount| processors::checked(&field, amount, &(least..=MAX_PROCESSORS)));
    amount.transpose()
}

fn checked_time(
    key: &str,
    amount: Option<&Amount>,
    range: std::ops::RangeInclusive<Duration>,
) -> Result<Option<Duration>, Invalid> {
    let Some(amount) = amount else {
        return Ok(None);
    };
    let refuse = |message| Invalid::new(format!("spec.auto.{key}"), message);
    let Timespan(time) = amount.to_string().parse().map_err(|error| {
        refuse(format!(
            "{amount}: {error} (write a time such as 30s or 5m)"
        ))
    })?;
    if !range.contains(&time) {
        let (least, most) = (Timespan(*range.start()), Timespan(*range.end()));
        return Err(refuse(format!(
            "{amount} is not allowed ({least} to {most})"
        )));
    }
    Ok(Some(time))
}

fn time(_: &mut SchemaGenerator) -> Schema {
    amount("ReuseFile", "idle")
}
