//! Device policy: a default and exceptions from it, folded from a list of device rules. Rules mean what the devices
//! controller of version 1 makes of them ([kernel](https://docs.kernel.org/admin-guide/cgroup-v1/devices.html)).

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

/// A rule of `linux.resources.devices`. Without a number, or with a negative one, it is for all of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct DeviceRule {
    allow: bool,
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    major: Option<i64>,
    #[serde(default)]
    minor: Option<i64>,
    #[serde(default)]
    access: Option<String>,
}

/// A kind of device file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Block,
    Char,
}

impl Kind {
    /// The letter of specifications and of the devices controller.
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Block => 'b',
            Self::Char => 'c',
        }
    }
}

/// The devices that an exception is for; `None` is every number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Matched {
    pub(crate) major: Option<u32>,
    pub(crate) minor: Option<u32>,
    pub(crate) kind: Kind,
}

impl fmt::Display for Matched {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number =
            |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
        let (major, minor) = (number(self.major), number(self.minor));
        write!(formatter, "{} {major}:{minor}", self.kind.letter())
    }
}

/// What may be done with a device: `r` read, `w` write, `m` make its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) mknod: bool,
}

impl Access {
    const ALL: Self = Self {
        read: true,
        write: true,
        mknod: true,
    };

    const MKNOD: Self = Self {
        read: false,
        write: false,
        mknod: true,
    };

    fn parse(text: &str) -> Option<Self> {
        let mut access = Self::default();
        for letter in text.chars() {
            match letter {
                'r' => access.read = true,
                'w' => access.write = true,
                'm' => access.mknod = true,
                _ => return None,
            }
        }
        (access != Self::default()).then_some(access)
    }

    fn union(self, other: Self) -> Self {
        Self {
            read: self.read || other.read,
            write: self.write || other.write,
            mknod: self.mknod || other.mknod,
        }
    }

    fn without(self, other: Self) -> Self {
        Self {
            read: self.read && !other.read,
            write: self.write && !other.write,
            mknod: self.mknod && !other.mknod,
        }
    }

    fn overlaps(self, other: Self) -> bool {
        self.without(other) != self
    }
}

impl fmt::Display for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (has, letter) in [(self.read, 'r'), (self.write, 'w'), (self.mknod, 'm')] {
            if has {
                write!(formatter, "{letter}")?;
            }
        }
        Ok(())
    }
}

/// A default, and the devices for which it does not hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) allows_by_default: bool,
    pub(crate) exceptions: BTreeMap<Matched, Access>,
}

/// A device rule is unusable.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum RuleError {
    /// The type is another letter.
    #[error("device rule: the type {0:?} is not one of a, b, c, u")]
    Kind(String),
    /// The access has other letters, or none.
    #[error("device rule: the access {0:?} is not made of r, w and m")]
    Access(String),
    /// The kernel has no such device number.
    #[error("device rule: {0} is not a device number")]
    Number(i64),
    /// The rule would take a part out of a rule for more devices, which the controller of version 1 ignores.
    #[error("device rule: {rule} cannot be an exception from {wildcard}")]
    Partial { rule: Matched, wildcard: Matched },
}

/// Exceptions that runc adds to the rules of every container: device files of any kind may be made, and these devices
/// used ([runc](https://github.com/opencontainers/runc/blob/main/libcontainer/specconv/spec_linux.go), `AllowedDevices`).
const ALWAYS: [(Kind, Option<u32>, Option<u32>, Access); 11] = [
    (Kind::Char, None, None, Access::MKNOD),
    (Kind::Block, None, None, Access::MKNOD),
    // null, random, full, tty, zero, urandom
    (Kind::Char, Some(1), Some(3), Access::ALL),
    (Kind::Char, Some(1), Some(8), Access::ALL),
    (Kind::Char, Some(1), Some(7), Access::ALL),
    (Kind::Char, Some(5), Some(0), Access::ALL),
    (Kind::Char, Some(1), Some(5), Access::ALL),
    (Kind::Char, Some(1), Some(9), Access::ALL),
    // Pseudoterminals, and their multiplexer
    (Kind::Char, Some(136), None, Access::ALL),
    (Kind::Char, Some(5), Some(2), Access::ALL),
    // net/tun
    (Kind::Char, Some(10), Some(200), Access::ALL),
];

impl Policy {
    /// What these rules come to, applied in their order, and after them those that every container has.
    ///
    /// # Errors
    ///
    /// [`RuleError`] for a rule that has no meaning, or that the kernel would ignore.
    pub(crate) fn of(rules: &[DeviceRule]) -> Result<Self, RuleError> {
        let mut policy = Self::default();
        for rule in rules {
            policy.apply(rule)?;
        }
        for (kind, major, minor, access) in ALWAYS {
            policy.change(Matched { major, minor, kind }, access, true)?;
        }
        Ok(policy)
    }

    fn apply(&mut self, rule: &DeviceRule) -> Result<(), RuleError> {
        let text = rule.access.as_deref().unwrap_or_default();
        let access = Access::parse(text).ok_or_else(|| RuleError::Access(text.to_owned()))?;
        let kind = match rule.kind.as_deref() {
            None | Some("" | "a") => {
                // A rule for all devices replaces everything before it.
                *self = Self {
                    allows_by_default: rule.allow,
                    exceptions: BTreeMap::new(),
                };
                return Ok(());
            }
            Some("b") => Kind::Block,
            // Unbuffered character devices are character devices.
            Some("c" | "u") => Kind::Char,
            Some(other) => return Err(RuleError::Kind(other.to_owned())),
        };
        let (major, minor) = (number(rule.major)?, number(rule.minor)?);
        self.change(Matched { major, minor, kind }, access, rule.allow)
    }

    /// Allows or denies: makes an exception, or takes one back.
    fn change(&mut self, matched: Matched, access: Access, allow: bool) -> Result<(), RuleError> {
        let is_exception = allow != self.allows_by_default;
        if is_exception {
            let has = self.exceptions.entry(matched).or_default();
            *has = has.union(access);
            return Ok(());
        }
        let Matched { major, minor, kind } = matched;
        for (major, minor) in [(None, minor), (major, None), (None, None)] {
            let wildcard = Matched { major, minor, kind };
            let covers = self.exceptions.get(&wildcard);
            if wildcard != matched && covers.is_some_and(|covers| covers.overlaps(access)) {
                let rule = matched;
                return Err(RuleError::Partial { rule, wildcard });
            }
        }
        if let Some(has) = self.exceptions.get_mut(&matched) {
            *has = has.without(access);
            if *has == Access::default() {
                self.exceptions.remove(&matched);
            }
        }
        Ok(())
    }

    /// Whether everything is allowed.
    pub(crate) fn allows_all(&self) -> bool {
        self.allows_by_default && self.exceptions.is_empty()
    }

    /// Lines for `devices.deny` or `devices.allow` of version 1 that make a group have this policy: first the
    /// default, then the exceptions. `true` stands for `devices.allow`.
    pub(crate) fn version1(&self) -> Vec<(bool, String)> {
        let default = (self.allows_by_default, format!("a *:* {}", Access::ALL));
        let exceptions = self.exceptions.iter();
        let exceptions = exceptions
            .map(|(matched, access)| (!self.allows_by_default, format!("{matched} {access}")));
        std::iter::once(default).chain(exceptions).collect()
    }
}

fn number(number: Option<i64>) -> Result<Option<u32>, RuleError> {
    match number {
        None | Some(..0) => Ok(None),
        // Filters compare with signed numbers; the kernel's own have 12 and 20 bits.
        Some(number) => match i32::try_from(number) {
            Ok(number) => Ok(Some(number.unsigned_abs())),
            Err(_) => Err(RuleError::Number(number)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rules: &str) -> Result<Policy, RuleError> {
        Policy::of(&serde_json::from_str::<Vec<DeviceRule>>(rules).expect("rules"))
    }

    #[test]
    fn every_container_has_the_harmless_devices() {
        fn check(rules: &str) {
            let expected = [
                "c *:* m",
                "c 1:3 rwm",
                "c 1:5 rwm",
                "c 1:7 rwm",
                "c 1:8 rwm",
                "c 1:9 rwm",
                "c 5:0 rwm",
                "c 5:2 rwm",
                "c 10:200 rwm",
                "c 136:* rwm",
                "b *:* m",
            ];
            let mut lines = policy(rules).expect("a policy").version1();
            assert_eq!(lines.remove(0), (false, "a *:* rwm".to_owned()), "{rules}");
            let mut lines: Vec<_> = lines
                .into_iter()
                .map(|(allow, line)| {
                    assert!(allow, "{line}");
                    line
                })
                .collect();
            lines.sort();
            let mut expected = expected.map(str::to_owned);
            expected.sort();
            assert_eq!(lines, expected, "{rules}");
        }
        check("[]");
        // containerd's list begins with this one.
        check(r#"[{"allow":false,"access":"rwm"}]"#);
        // A rule that takes away what every container has is of no consequence.
        check(
            r#"[{"allow":false,"access":"rwm"},{"allow":false,"type":"c","major":1,"minor":3,"access":"r"}]"#,
        );
        // What came before a rule for all devices is forgotten.
        check(
            r#"[{"allow":true,"type":"b","major":8,"access":"r"},{"allow":false,"type":"a","access":"rwm"}]"#,
        );
    }

    #[test]
    fn rules_add_to_and_take_from_what_came_before() {
        fn check(rules: &str, matched: &str, expected: Option<&str>) {
            let policy = policy(rules).expect("a policy");
            let access = policy
                .exceptions
                .iter()
                .find(|(found, _)| found.to_string() == matched);
            let access = access.map(|(_, access)| access.to_string());
            assert_eq!(access.as_deref(), expected, "{rules}");
        }
        let disk = r#"{"allow":true,"type":"b","major":8,"minor":0,"access":"r"}"#;
        check(&format!("[{disk}]"), "b 8:0", Some("r"));
        let more = r#"{"allow":true,"type":"b","major":8,"minor":0,"access":"w"}"#;
        check(&format!("[{disk},{more}]"), "b 8:0", Some("rw"));
        let less = r#"{"allow":false,"type":"b","major":8,"minor":0,"access":"r"}"#;
        check(&format!("[{disk},{more},{less}]"), "b 8:0", Some("w"));
        check(&format!("[{disk},{less}]"), "b 8:0", None);
        let any = r#"{"allow":true,"type":"u","major":-1,"minor":-1,"access":"r"}"#;
        check(&format!("[{any}]"), "c *:*", Some("rm"));
    }

    #[test]
    fn a_policy_that_allows_all_has_what_is_denied_as_its_exceptions() {
        let all = policy(r#"[{"allow":true,"access":"rwm"}]"#).expect("a policy");
        assert!(all.allows_all());
        assert_eq!(all.version1(), [(true, "a *:* rwm".to_owned())]);
        let but = policy(
            r#"[{"allow":true,"access":"rwm"},{"allow":false,"type":"b","major":8,"access":"w"}]"#,
        )
        .expect("a policy");
        assert!(!but.allows_all());
        assert_eq!(
            but.version1(),
            [
                (true, "a *:* rwm".to_owned()),
                (false, "b 8:* w".to_owned())
            ]
        );
    }

    #[test]
    fn rules_without_a_meaning_are_refused_by_name() {
        fn check(rule: &str, expected: &str) {
            let refused = policy(&format!("[{rule}]")).expect_err("refused");
            assert_eq!(refused.to_string(), expected);
        }
        check(
            r#"{"allow":true,"type":"p","access":"r"}"#,
            r#"device rule: the type "p" is not one of a, b, c, u"#,
        );
        for access in ["x", "", "rwx"] {
            let expected = format!("device rule: the access {access:?} is not made of r, w and m");
            check(
                &format!(r#"{{"allow":true,"type":"c","access":"{access}"}}"#),
                &expected,
            );
        }
        check(
            r#"{"allow":true,"type":"c","major":4294967296,"access":"r"}"#,
            "device rule: 4294967296 is not a device number",
        );
        check(
            r#"{"allow":true,"type":"b","major":8,"access":"r"},{"allow":false,"type":"b","major":8,"minor":1,"access":"r"}"#,
            "device rule: b 8:1 cannot be an exception from b 8:*",
        );
    }
}
