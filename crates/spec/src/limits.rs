//! The table of limits: key, default and range of each.
//!
//! The validated [`Limits`], the raw [`LimitsFile`], the schema and the tests are all made from
//! this table.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::bound::{Bound, Unit};
use crate::located::{Located, Scalar};
use crate::quantity::{ByteSize, Timespan};

const KI: u64 = 1 << 10;
const MI: u64 = 1 << 20;
const GI: u64 = 1 << 30;
const TI: u64 = 1 << 40;
const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;

/// One limit: its key and its range.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Its key in `function.yaml`.
    pub key: &'static str,
    /// Its default and its range.
    pub bound: Bound,
    read: fn(&Limits) -> u64,
    write: fn(&mut Limits, u64),
    raw: fn(&LimitsFile) -> Option<&Located<Scalar>>,
}

impl Limit {
    /// The value in `limits`, in the bound's unit.
    pub fn read(&self, limits: &Limits) -> u64 {
        (self.read)(limits)
    }

    /// Sets the value in `limits`, in the bound's unit, without checking the range.
    pub(crate) fn write(&self, limits: &mut Limits, value: u64) {
        (self.write)(limits, value);
    }

    /// The value of this limit in the file, if there is one.
    pub(crate) fn raw<'a>(&self, file: &'a LimitsFile) -> Option<&'a Located<Scalar>> {
        (self.raw)(file)
    }

    /// The value in `limits` as text.
    pub fn show(&self, limits: &Limits) -> String {
        self.bound.unit.show(self.read(limits))
    }
}

/// Converts a limit's type to and from the table's number.
trait Value: Copy {
    const UNIT: Unit;
    fn to_number(self) -> u64;
    fn of_number(number: u64) -> Self;
}

impl Value for ByteSize {
    const UNIT: Unit = Unit::Bytes;

    fn to_number(self) -> u64 {
        self.bytes()
    }

    fn of_number(number: u64) -> Self {
        Self(number)
    }
}

impl Value for Duration {
    const UNIT: Unit = Unit::Time;

    fn to_number(self) -> u64 {
        Timespan(self).nanoseconds_saturating()
    }

    fn of_number(number: u64) -> Self {
        Self::from_nanos(number)
    }
}

impl Value for u32 {
    const UNIT: Unit = Unit::Count;

    fn to_number(self) -> u64 {
        u64::from(self)
    }

    fn of_number(number: u64) -> Self {
        Self::try_from(number).expect("`Bound::count` keeps what it bounds within 32 bits")
    }
}

macro_rules! limits {
    ($( $(#[doc = $about:literal])+ $field:ident, $key:literal: $type:ty = $bound:expr; )+) => {
        /// The limits of a function. [`LIMITS`] has the range of each.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $( $(#[doc = $about])+ pub $field: $type, )+
        }

        /// The limits as in a file: each is optional.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct LimitsFile {
            $( $(#[doc = $about])+ #[serde(rename = $key)] pub $field: Option<Located<Scalar>>, )+
        }

        impl LimitsFile {
            /// Sets one limit; `false` if the key is unknown.
            #[must_use]
            pub fn set(&mut self, key: &str, value: Scalar) -> bool {
                match key {
                    $( $key => self.$field = Some(value.into()), )+
                    _ => return false,
                }
                true
            }
        }

        /// Every limit, in the order in which they are documented.
        pub const LIMITS: &[Limit] = &[
            $( Limit {
                key: $key,
                bound: {
                    const BOUND: Bound = $bound;
                    // A mistake in the table fails the build.
                    const { assert!(BOUND.unit as u8 == <$type as Value>::UNIT as u8) };
                    const { assert!(BOUND.least <= BOUND.default && BOUND.default <= BOUND.most) };
                    BOUND
                },
                read: |limits| limits.$field.to_number(),
                write: |limits, value| limits.$field = Value::of_number(value),
                raw: |file| file.$field.as_ref(),
            }, )+
        ];

        impl Default for Limits {
            fn default() -> Self {
                Self { $( $field: Value::of_number($bound.default), )+ }
            }
        }
    };
}

limits! {
    /// The linear memory of one instance, all its memories together.
    memory, "memory": ByteSize = Bound::bytes(128 * MI, MI, 4 * GI);
    /// The linear memory of all instances together. The default is more than a machine has.
    total_memory, "totalMemory": ByteSize = Bound::bytes(TI, MI, TI);
    /// How long a request may take, from its head to the end of its response.
    timeout, "timeout": Duration = Bound::milliseconds(30 * SECOND, 1, HOUR);
    /// How long a request may occupy a processor. Waiting does not count.
    processor_time, "processorTime": Duration = Bound::milliseconds(30 * SECOND, 1, HOUR);
    /// How many requests are served at once.
    concurrency, "concurrency": u32 = Bound::count(100, 1, 10_000);
    /// How many more requests may wait in the queue; beyond them the response is 503.
    queue, "queue": u32 = Bound::count(100, 0, 100_000);
    /// The body of a request.
    request_body, "requestBody": ByteSize = Bound::bytes(10 * MI, 0, GI);
    /// The fields of a request's head: their names, their values, and 32 bytes for each.
    request_headers, "requestHeaders": ByteSize = Bound::bytes(32 * KI, KI, MI);
    /// How much a request may write to stdout, and as much to stderr; the rest is dropped.
    output, "output": ByteSize = Bound::bytes(64 * KI, 0, 16 * MI);
    /// How many outbound connections a request may have at once.
    outbound_connections, "outboundConnections": u32 = Bound::count(16, 0, 1_000);
    /// The .wasm file.
    artifact, "artifact": ByteSize = Bound::bytes(64 * MI, KI, GI);
    /// How long the compiler may occupy processors.
    compile_time, "compileTime": Duration = Bound::milliseconds(120 * SECOND, SECOND, HOUR);
    /// The memory of the compiler.
    compile_memory, "compileMemory": ByteSize = Bound::bytes(2 * GI, 128 * MI, 16 * GI);
}
