//! Budget of the memory for instances, from the memory limit of the pool's container.

use std::fs;
use std::io::{self, ErrorKind};
use std::num::ParseIntError;

/// The files with the limit of this process's control group, in versions 2 and 1. A container sees its own group there.
const LIMITS: [&str; 2] = [
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
];

/// Version 1 writes the largest number of whole pages where there is no limit. No machine has as much.
const NO_LIMIT: u64 = 1 << 62;

/// The share of the limit for instances, in hundredths. The rest is for modules, connections and compilers.
const SHARE: u64 = 60;

/// Reasons why the memory limit is not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MemoryError {
    #[error("{file} cannot be read: set --instance-memory")]
    Read {
        file: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("{file} has no memory limit but {text:?}: set --instance-memory")]
    Malformed {
        file: &'static str,
        text: String,
        #[source]
        source: ParseIntError,
    },
}

/// The budget of this process; `None` where its container has no memory limit.
pub(crate) fn instance_memory() -> Result<Option<u64>, MemoryError> {
    for file in LIMITS {
        match fs::read_to_string(file) {
            Ok(text) => {
                let limit = parse(&text).map_err(|source| {
                    let text = text.trim().to_owned();
                    MemoryError::Malformed { file, text, source }
                })?;
                return Ok(limit.map(share));
            }
            // The other version, or the root group, which has no limit.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(MemoryError::Read { file, source }),
        }
    }
    Ok(None)
}

/// The limit in a file; `None` if it says that there is none.
fn parse(text: &str) -> Result<Option<u64>, ParseIntError> {
    match text.trim() {
        "max" => Ok(None),
        number => {
            let limit = number.parse()?;
            Ok((limit < NO_LIMIT).then_some(limit))
        }
    }
}

fn share(limit: u64) -> u64 {
    limit / 100 * SHARE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_both_versions_are_read() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(parse(text), Ok(expected), "{text:?}");
        };
        check("max\n", None);
        check("1073741824\n", Some(1 << 30));
        check("9223372036854771712\n", None);
        check("0\n", Some(0));
    }

    #[test]
    fn another_text_is_no_limit() {
        for text in ["", "-1\n", "1Gi\n"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_share_of_the_limit_is_for_instances() {
        assert_eq!(share(1000), 600);
    }
}
