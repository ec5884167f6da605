//! Amounts of processors in a resource: their schema, and the check of their range.

use std::ops::RangeInclusive;

use sampan_spec::Processors;
use schemars::{Schema, SchemaGenerator, json_schema};

use crate::amount::Amount;
use crate::invalid::Invalid;

/// The schema of an amount.
pub(crate) fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "pattern": r"^([0-9]{1,7}m|[0-9]{1,4}(\.[0-9]{1,3})?)$",
        "maxLength": 16,
    })
}

/// Parses an amount within a range. `field` is its path, such as `spec.pool.processors`.
///
/// # Errors
///
/// [`Invalid`] for another text, and for an amount outside of the range.
pub(crate) fn checked(
    field: &str,
    amount: &Amount,
    range: &RangeInclusive<Processors>,
) -> Result<Processors, Invalid> {
    let parsed: Processors = amount
        .to_string()
        .parse()
        .map_err(|error| Invalid::new(field, format!("{amount}: {error}")))?;
    if !range.contains(&parsed) {
        let (least, most) = (range.start(), range.end());
        let message = format!("{amount} is not allowed ({least} to {most})");
        return Err(Invalid::new(field, message));
    }
    Ok(parsed)
}
