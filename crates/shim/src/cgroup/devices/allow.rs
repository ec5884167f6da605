//! A device policy as properties of a systemd unit: `DevicePolicy` and `DeviceAllow`
//! ([systemd.resource-control(5)](https://www.freedesktop.org/software/systemd/man/latest/systemd.resource-control.html#DeviceAllow=)).

use zbus::zvariant::Value;

use super::policy::{Kind, Policy};
use crate::cgroup::unit::Property;

/// The device rules of a scope, which hold from its start.
pub(in crate::cgroup) fn properties(policy: &Policy) -> Vec<Property> {
    if policy.allows_all() {
        return vec![("DevicePolicy", Value::from("auto"))];
    }
    let mut allowed: Vec<(String, String)> = Vec::new();
    if policy.allows_by_default {
        // systemd has no exceptions that deny. The group's own filter has them.
        for kind in ["char-*", "block-*"] {
            allowed.push((kind.to_owned(), "rwm".to_owned()));
        }
    } else {
        for (matched, access) in &policy.exceptions {
            let kind = match matched.kind {
                Kind::Char => "char",
                Kind::Block => "block",
            };
            let path = match (matched.major, matched.minor) {
                (Some(major), Some(minor)) => format!("/dev/{kind}/{major}:{minor}"),
                (Some(major), None) => format!("{kind}-{major}"),
                // systemd has no rule for one minor number of every kind; the group's own filter has it, and the kernel
                // allows what both do.
                (None, _) => format!("{kind}-*"),
            };
            allowed.push((path, access.to_string()));
        }
    }
    vec![
        ("DevicePolicy", Value::from("strict")),
        ("DeviceAllow", Value::from(allowed)),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::policy::DeviceRule;
    use super::*;

    #[test]
    fn a_policy_is_a_list_of_what_systemd_allows() {
        let policy = |rules: &str| {
            let rules: Vec<DeviceRule> = serde_json::from_str(rules).expect("rules");
            Policy::of(&rules).expect("a policy")
        };
        assert_eq!(
            properties(&policy(r#"[{"allow":true,"access":"rwm"}]"#)),
            [("DevicePolicy", Value::from("auto"))]
        );
        let listed = |rules: &str| match &properties(&policy(rules))[..] {
            [
                ("DevicePolicy", policy),
                ("DeviceAllow", Value::Array(allowed)),
            ] => {
                assert_eq!(policy, &Value::from("strict"));
                format!("{allowed:?}")
            }
            other => panic!("{other:?}"),
        };
        let default = listed("[]");
        for part in ["/dev/char/1:3", "char-136", "char-*", "block-*"] {
            assert!(default.contains(part), "{part} is not in {default}");
        }
        let disk = listed(r#"[{"allow":true,"type":"b","major":8,"access":"r"}]"#);
        assert!(disk.contains("block-8"), "{disk}");
    }
}
