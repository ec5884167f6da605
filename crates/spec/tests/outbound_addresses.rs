//! Tests of the second check of an outbound request: the resolved addresses that a rule allows.

use std::net::IpAddr;

use sampan_spec::{OutboundRules, Permit, Rule, Scheme};

fn rules(rules: &[&str]) -> OutboundRules {
    rules
        .iter()
        .map(|rule| rule.parse::<Rule>().expect(rule))
        .collect()
}

/// The permit for `scheme://host:port`, all three explicit.
fn permit(allow: &[&str], url: &str) -> Option<Permit> {
    let (scheme, rest) = url.split_once("://").expect("it is valid");
    let (host, port) = rest.rsplit_once(':').expect("it is valid");
    rules(allow).permit(
        scheme.parse().expect("it is valid"),
        host,
        port.parse().expect("it is valid"),
    )
}

/// The kinds of rule that the address policy distinguishes, each with a matching request.
const RULES: [(&str, &str); 4] = [
    ("http://store", "http://store:80"),
    ("http://localhost", "http://localhost:80"),
    ("http://app.localhost", "http://app.localhost:80"),
    ("http://*.example.com", "http://a.example.com:80"),
];

#[test]
fn resolved_addresses_are_judged_by_the_rule() {
    // Whether an exact name, localhost, a name below it, and a wildcard may resolve to the address.
    const PUBLIC: [bool; 4] = [true, true, true, true];
    const PRIVATE: [bool; 4] = [true, true, true, false];
    const LOOPBACK: [bool; 4] = [false, true, true, false];
    const NONE: [bool; 4] = [false; 4];
    fn check(address: &str, expected: [bool; 4]) {
        let ip: IpAddr = address.parse().expect(address);
        let mut disguises = vec![ip];
        if let IpAddr::V4(v4) = ip {
            let [a, b, c, d] = v4.octets().map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            disguises.extend([
                IpAddr::from([0, 0, 0, 0, 0, 0xffff, high, low]),
                IpAddr::from([0, 0, 0, 0, 0xffff, 0, high, low]),
                IpAddr::from([0x64, 0xff9b, 0, 0, 0, 0, high, low]),
                IpAddr::from([0x2002, high, low, 0, 0, 0, 0, 1]),
            ]);
            // 0.0.0.0 and 0.0.0.1 have no compatible form: those are unspecified and loopback.
            if high > 0 {
                disguises.push(IpAddr::from([0, 0, 0, 0, 0, 0, high, low]));
            }
        }
        for ip in disguises {
            let allowed = RULES.map(|(rule, url)| {
                permit(&[rule], url)
                    .expect("it is valid")
                    .allows_address(ip)
            });
            assert_eq!(allowed, expected, "{address} as {ip}");
        }
    }
    check("0.0.0.0", NONE);
    check("0.0.0.1", NONE);
    check("0.255.255.255", NONE);
    check("1.0.0.0", PUBLIC);
    check("9.255.255.255", PUBLIC);
    check("10.0.0.0", PRIVATE);
    check("10.255.255.255", PRIVATE);
    check("11.0.0.0", PUBLIC);
    check("100.63.255.255", PUBLIC);
    check("100.64.0.0", PRIVATE);
    check("100.100.100.199", PRIVATE);
    check("100.100.100.200", NONE);
    check("100.100.100.201", PRIVATE);
    check("100.127.255.255", PRIVATE);
    check("100.128.0.0", PUBLIC);
    check("126.255.255.255", PUBLIC);
    check("127.0.0.0", LOOPBACK);
    check("127.0.0.1", LOOPBACK);
    check("127.255.255.255", LOOPBACK);
    check("128.0.0.0", PUBLIC);
    check("169.253.255.255", PUBLIC);
    check("169.254.0.0", NONE);
    check("169.254.169.254", NONE);
    check("169.254.255.255", NONE);
    check("169.255.0.0", PUBLIC);
    check("172.15.255.255", PUBLIC);
    check("172.16.0.0", PRIVATE);
    check("172.31.255.255", PRIVATE);
    check("172.32.0.0", PUBLIC);
    check("192.0.0.0", NONE);
    check("192.0.0.192", NONE);
    check("192.0.1.0", PUBLIC);
    check("192.0.2.1", PUBLIC);
    check("192.167.255.255", PUBLIC);
    check("192.168.0.0", PRIVATE);
    check("192.168.255.255", PRIVATE);
    check("192.169.0.0", PUBLIC);
    check("223.255.255.255", PUBLIC);
    check("224.0.0.0", NONE);
    check("239.255.255.255", NONE);
    check("240.0.0.0", NONE);
    check("255.255.255.254", NONE);
    check("255.255.255.255", NONE);

    check("::", NONE);
    check("::1", LOOPBACK);
    check("::2", NONE);
    check("64:ff9b:1::", NONE);
    check("64:ff9b:1:ffff:ffff:ffff:ffff:ffff", NONE);
    check("64:ff9b:2::", PUBLIC);
    check("100::1", NONE);
    check("2001::1", NONE);
    check("2001:1::1", PUBLIC);
    check("2001:db8::1", PUBLIC);
    check("2001:4860:4860::8888", PUBLIC);
    check("fbff::1", PUBLIC);
    check("fc00::", PRIVATE);
    check("fd00:ec2::253", PRIVATE);
    check("fd00:ec2::254", NONE);
    check("fdff:ffff::1", PRIVATE);
    check("fe80::1", NONE);
    check("febf::1", NONE);
    check("fec0::1", PRIVATE);
    check("feff::1", PRIVATE);
    check("ff00::", NONE);
    check("ff02::1", NONE);
}

#[test]
fn a_literal_grants_itself_and_a_block_its_own_kind() {
    fn check(rule: &str, host: &str, address: &str, expected: bool) {
        let permit = rules(&[rule]).permit(Scheme::Http, host, 80);
        let permit = permit.unwrap_or_else(|| panic!("{rule} does not match {host}"));
        let ip: IpAddr = address.parse().expect(address);
        assert_eq!(
            permit.allows_address(ip),
            expected,
            "{rule} for {host} and {address}"
        );
    }
    for literal in [
        "8.8.8.8",
        "10.0.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "0.1.2.3",
        "250.0.0.1",
    ] {
        let rule = format!("http://{literal}");
        check(&rule, literal, literal, true);
        check(&rule, literal, &format!("::ffff:{literal}"), true);
        check(&rule, literal, "10.0.0.2", false);
        check(&rule, literal, "127.0.0.2", false);
        check(&rule, literal, "1.1.1.1", false);
        check(&rule, literal, "::1", false);
    }
    for literal in [
        "::1",
        "fe80::1",
        "fd00:ec2::254",
        "2001:db8::1",
        "64:ff9b:1::1",
    ] {
        let rule = format!("http://[{literal}]");
        check(&rule, literal, literal, true);
        check(&rule, literal, "2001:db8::2", false);
        check(&rule, literal, "127.0.0.1", false);
    }
    check("http://[::ffff:127.0.0.1]", "127.0.0.1", "127.0.0.1", true);

    check("http://10.0.0.0/8", "10.0.0.1", "10.0.0.1", true);
    check("http://10.0.0.0/8", "10.0.0.1", "::ffff:10.0.0.1", true);
    check("http://10.0.0.0/8", "10.0.0.1", "11.0.0.1", false);
    check("http://10.0.0.0/8", "10.0.0.1", "127.0.0.1", false);
    check("http://100.64.0.0/10", "100.64.0.1", "100.64.0.1", true);
    check(
        "http://100.64.0.0/10",
        "100.64.0.1",
        "100.100.100.200",
        false,
    );
    check("http://127.0.0.0/8", "127.0.0.1", "127.0.0.5", true);
    check("http://[fc00::]/7", "fd00::1", "fd00::1", true);
    check("http://[fc00::]/7", "fd00::1", "fd00:ec2::254", false);
    // A block of several classes allows only its public addresses.
    check("http://8.0.0.0/5", "8.8.8.8", "8.8.8.8", true);
    check("http://8.0.0.0/5", "8.8.8.8", "10.0.0.1", false);
    check("http://128.0.0.0/1", "128.0.0.1", "169.254.169.254", false);
    check("http://128.0.0.0/1", "128.0.0.1", "192.168.0.1", false);
    check("http://128.0.0.0/1", "128.0.0.1", "224.0.0.1", false);
    check("http://[2000::]/3", "2001:db8::1", "2001:db8::1", true);
    check("http://[2000::]/3", "2001:db8::1", "2002:7f00:1::", false);
    check("http://[2000::]/3", "2001:db8::1", "2002:808:808::", false);
}

#[test]
fn an_address_is_allowed_if_any_rule_allows_it() {
    let private: IpAddr = "10.0.0.1".parse().expect("it is valid");
    let public: IpAddr = "8.8.8.8".parse().expect("it is valid");
    let special: IpAddr = "169.254.169.254".parse().expect("it is valid");
    let allow = [
        "http://*.example.com",
        "http://a.example.com",
        "https://b.example.com",
    ];

    let both = permit(&allow, "http://a.example.com:80").expect("it is valid");
    assert!(both.allows_address(private) && both.allows_address(public));
    assert!(!both.allows_address(special));

    let wildcard = permit(&allow, "http://b.example.com:80").expect("it is valid");
    assert!(!wildcard.allows_address(private) && wildcard.allows_address(public));

    let allow = ["http://128.0.0.0/1", "http://169.254.169.254"];
    let literal = permit(&allow, "http://169.254.169.254:80").expect("it is valid");
    assert!(literal.allows_address(special));
    let block = permit(&allow, "http://169.254.169.253:80").expect("it is valid");
    assert!(!block.allows_address(special));
}
