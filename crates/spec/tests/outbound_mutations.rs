//! Tests of mutated rules and hosts: none panics, and every accepted rule means what it prints.

use std::net::IpAddr;

use sampan_spec::{HostPattern, OutboundRules, Rule};

const SEEDS: [&str; 8] = [
    "http://store.default.svc:3000",
    "https://*.example.com",
    "http://127.0.0.1:8091",
    "http://[::ffff:10.0.0.1]:80",
    "http://10.0.0.0/8:3000",
    "https://[fc00::]/7:443",
    "https://bücher.example",
    "http://xn--bcher-kva.localhost.",
];

const SPLICES: [&str; 20] = [
    "*", "*.", ".", "..", ":", "::", "/", "//", "[", "]", "@", "%", "0", "255", "xn--", "ß",
    "\u{3002}", "\u{ad}", "\u{200d}", "１",
];

#[test]
fn accepted_rules_read_back_and_permit_their_own_host() {
    // The same walk in every run.
    let mut walk = fastrand::Rng::with_seed(1);
    let mut random = |below: usize| walk.usize(..below);
    let mut accepted = 0;
    for _ in 0..50_000 {
        let mut characters: Vec<char> = SEEDS[random(SEEDS.len())].chars().collect();
        for _ in 0..=random(3) {
            let at = random(characters.len());
            match random(3) {
                0 if characters.len() > 1 => drop(characters.remove(at)),
                1 => drop(characters.splice(at..at, SPLICES[random(SPLICES.len())].chars())),
                _ => characters.swap(at, 0),
            }
        }
        let text: String = characters.into_iter().collect();
        let Ok(rule) = text.parse::<Rule>() else {
            continue;
        };
        accepted += 1;
        assert_eq!(rule.to_string().parse().as_ref(), Ok(&rule), "{text:?}");
        check_own_host(&rule, &text);
    }
    assert!(accepted > 1_000, "only {accepted} mutations were rules");
}

fn check_own_host(rule: &Rule, text: &str) {
    let host = match rule.host() {
        HostPattern::Name(name) => name.clone(),
        HostPattern::Below(parent) => format!("a.{parent}"),
        HostPattern::Address(address) => address.to_string(),
        HostPattern::Block(block) => block.addr().to_string(),
    };
    let rules: OutboundRules = [rule.clone()].into_iter().collect();
    let permit = rules.permit(rule.scheme(), &host, rule.port());
    let permit = permit.unwrap_or_else(|| panic!("{text:?} does not permit {host}"));
    for never in [
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "ff02::1",
        "::ffff:0.0.0.0",
    ] {
        let never: IpAddr = never.parse().expect("it is an address");
        assert!(!permit.allows_address(never), "{text:?} allows {never}");
    }
    let metadata: IpAddr = [169, 254, 169, 254].into();
    let literal = matches!(rule.host(), HostPattern::Address(_));
    assert!(
        literal || !permit.allows_address(metadata),
        "{text:?} allows {metadata}"
    );
}
