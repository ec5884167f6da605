//! Tests of the first check of an outbound request: valid rules, and the names that they match.

use std::net::IpAddr;

use sampan_spec::{OutboundRules, Permit, Rule, RuleError};

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

#[test]
fn a_rule_has_one_shortest_form() {
    fn check(text: &str, shown: &str) {
        let rule: Rule = text
            .parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(rule.to_string(), shown, "{text}");
        assert_eq!(shown.parse::<Rule>().expect("it is valid"), rule, "{shown}");
    }
    check("http://store", "http://store");
    check("http://store:80", "http://store");
    check("https://store:443", "https://store");
    check("http://store:443", "http://store:443");
    check("HTTPS://Example.COM:8443", "https://example.com:8443");
    check("http://example.com.", "http://example.com");
    check(
        "http://my_service.default.svc:3000",
        "http://my_service.default.svc:3000",
    );
    check("https://*.example.com", "https://*.example.com");
    check("https://*.Example.com.:444", "https://*.example.com:444");
    check("https://bücher.example", "https://xn--bcher-kva.example");
    check(
        "https://*.bücher.example",
        "https://*.xn--bcher-kva.example",
    );
    check("http://127.0.0.1:8091", "http://127.0.0.1:8091");
    check("http://[::1]:8091", "http://[::1]:8091");
    check("http://[0:0::1]", "http://[::1]");
    check("http://169.254.169.254", "http://169.254.169.254");
    check("http://10.0.0.0/8:3000", "http://10.0.0.0/8:3000");
    check("http://10.0.0.0/8", "http://10.0.0.0/8");
    check("http://10.1.2.3/32:80", "http://10.1.2.3/32");
    check("https://[fc00::]/7:443", "https://[fc00::]/7");
    check(
        "https://[2001:db8::]/32:8443",
        "https://[2001:db8::]/32:8443",
    );
    check("http://a:1", "http://a:1");
    check("http://a:65535", "http://a:65535");
}

#[test]
fn invalid_rules_are_explained() {
    fn check(text: &str, expected: &RuleError) {
        let error = text.parse::<Rule>().expect_err(text);
        assert_eq!(&error, expected, "{text:?}");
        for line in [error.to_string(), error.help()] {
            assert!(
                !line.is_empty() && !line.chars().any(char::is_control),
                "{line:?}"
            );
        }
    }
    fn host(host: &str) -> RuleError {
        RuleError::Host {
            host: host.to_owned(),
        }
    }
    fn port(port: &str) -> RuleError {
        RuleError::Port {
            port: port.to_owned(),
        }
    }
    check("", &RuleError::Empty);
    for text in [
        "*",
        "*:*",
        "*://*",
        "http://*",
        "https://*:443",
        "http://0.0.0.0/0",
        "http://[::]/0",
    ] {
        check(text, &RuleError::Everything);
    }
    for text in [
        " http://a",
        "http://a ",
        "http://a b",
        "http://a\n",
        "http://a\0",
        "http://a\u{a0}b",
    ] {
        check(text, &RuleError::Space);
    }
    for text in [
        "example.com",
        "example.com:80",
        "//example.com",
        "http:/a",
        "http:a",
        "10.0.0.0/8",
    ] {
        check(text, &RuleError::NoScheme);
    }
    for scheme in ["ws", "ftp", "file", "*", "", "http+unix", "httpſ"] {
        check(
            &format!("{scheme}://a"),
            &RuleError::OtherScheme {
                scheme: scheme.to_owned(),
            },
        );
    }
    for text in [
        "http://user@a",
        "http://user:secret@a:80",
        "http://@a",
        "http://a/@",
    ] {
        check(text, &RuleError::Credentials);
    }
    for text in [
        "http://a/",
        "http://a/x",
        "http://a:80/",
        "http://a\\x",
        "http://10.0.0.1/",
        "http://a/8",
        "http://10.0.0.0/8/x",
        "http://10.0.0.0/x",
        "http://10.0.0.0:80/8",
        "http:///x",
        "http://a//",
    ] {
        check(text, &RuleError::Path);
    }
    check("http://a?x", &RuleError::Query);
    check("http://a/x?y", &RuleError::Query);
    check("http://a#x", &RuleError::Fragment);
    check("http://", &RuleError::NoHost);
    check("http://:80", &RuleError::NoHost);
    check("http://a:", &port(""));
    for text in [
        "0",
        "65536",
        "-1",
        "+80",
        "http",
        "*",
        "99999999999",
        "８０",
    ] {
        check(&format!("http://a:{text}"), &port(text));
    }
    for text in [
        "http://::1",
        "http://::1:80",
        "http://a:80:80",
        "http://fe80::1",
    ] {
        check(text, &RuleError::Brackets);
    }
    for text in [
        "a*.example.com",
        "*a.example.com",
        "example.*",
        "a.*.example.com",
        "**",
        "*example.com",
    ] {
        check(&format!("http://{text}"), &RuleError::Star);
    }
    check(
        "http://*.com",
        &RuleError::TooWide {
            parent: "com".to_owned(),
        },
    );
    check(
        "http://*.localhost",
        &RuleError::TooWide {
            parent: "localhost".to_owned(),
        },
    );
    for text in [
        "*.",
        "*.*.example.com",
        "*..com",
        "*.10.0.0.1",
        "a..b",
        ".",
        "%61",
        "a%2eb",
        "[::1",
        "[]",
        "[::1%25eth0]",
        "[127.0.0.1]",
        "256.1.1.1",
        "a\u{202e}b",
    ] {
        let shown = text.replace('\u{202e}', "\\u{202e}");
        check(&format!("http://{text}"), &host(&shown));
    }
    let local: IpAddr = "127.0.0.1".parse().expect("it is valid");
    for text in [
        "127.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "１27.0.0.1",
        "127.0.0.1.",
    ] {
        check(
            &format!("http://{text}"),
            &RuleError::Spelling { address: local },
        );
    }
    for text in [
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "[::]",
        "[ff02::1]",
        "[::ffff:224.0.0.1]",
    ] {
        check(&format!("http://{text}"), &RuleError::Unreachable);
    }
    let prefix = |prefix: &str, most| RuleError::Prefix {
        prefix: prefix.to_owned(),
        most,
    };
    check("http://10.0.0.0/33", &prefix("33", 32));
    check("http://10.0.0.0/999", &prefix("999", 32));
    check("http://[fc00::]/129", &prefix("129", 128));
    check(
        "http://10.0.0.5/8",
        &RuleError::HostBits {
            block: "10.0.0.0/8".parse().expect("it is valid"),
        },
    );
    check("http://[::ffff:10.0.0.0]/104", &RuleError::WrappedBlock);
    check("http://[2002::]/16", &RuleError::WrappedBlock);
    for text in [
        "169.254.0.0/16",
        "169.254.169.254/32",
        "240.0.0.0/4",
        "224.0.0.0/8",
        "0.0.0.0/8",
        "[fe80::]/10",
    ] {
        check(&format!("http://{text}"), &RuleError::SpecialBlock);
    }
}

#[test]
fn a_name_is_permitted_by_scheme_host_and_port() {
    fn check(rule: &str, url: &str, expected: bool) {
        assert_eq!(permit(&[rule], url).is_some(), expected, "{rule} and {url}");
    }
    check("http://store", "http://store:80", true);
    check("http://store", "HTTP://STORE.:80", true);
    check("http://store", "https://store:80", false);
    check("http://store", "http://store:81", false);
    check("http://store", "http://stores:80", false);
    check("http://store", "http://a.store:80", false);
    check("https://store", "https://store:443", true);
    check("https://store", "http://store:443", false);
    check(
        "https://bücher.example",
        "https://xn--BCHER-kva.example:443",
        true,
    );
    check(
        "https://xn--bcher-kva.example",
        "https://BÜCHER.example:443",
        true,
    );

    check("https://*.example.com", "https://a.example.com:443", true);
    check(
        "https://*.example.com",
        "https://a.b.example.com.:443",
        true,
    );
    check("https://*.example.com", "https://example.com:443", false);
    check("https://*.example.com", "https://.example.com:443", false);
    check("https://*.example.com", "https://badexample.com:443", false);
    check(
        "https://*.example.com",
        "https://a.example.com.evil.test:443",
        false,
    );
    check("https://*.example.com", "https://*.example.com:443", false);
    check(
        "https://*.example.com",
        "https://evil.test/a.example.com:443",
        false,
    );
    check(
        "https://*.example.com",
        "https://evil.test@a.example.com:443",
        false,
    );
    check(
        "https://*.example.com",
        "https://a%2eexample.com:443",
        false,
    );
    check("https://*.example.com", "https://10.0.0.1:443", false);

    check("http://127.0.0.1:8091", "http://127.0.0.1:8091", true);
    check("http://127.0.0.1:8091", "http://127.1:8091", true);
    check(
        "http://127.0.0.1:8091",
        "http://[::ffff:127.0.0.1]:8091",
        true,
    );
    check("http://127.0.0.1:8091", "http://127.0.0.2:8091", false);
    check("http://127.0.0.1:8091", "http://localhost:8091", false);
    check("http://localhost:8091", "http://127.0.0.1:8091", false);
    check("http://[::1]:8091", "http://[::1]:8091", true);
    check("http://[::1]:8091", "http://::1:8091", true);
    check("http://[::1]:8091", "http://[::2]:8091", false);

    check("http://10.0.0.0/8:3000", "http://10.1.2.3:3000", true);
    check(
        "http://10.0.0.0/8:3000",
        "http://[::ffff:10.1.2.3]:3000",
        true,
    );
    check("http://10.0.0.0/8:3000", "http://11.0.0.0:3000", false);
    check("http://10.0.0.0/8:3000", "http://10.1.2.3:80", false);
    check("http://10.0.0.0/8:3000", "http://store:3000", false);
}

#[test]
fn without_rules_nothing_is_permitted() {
    assert!(OutboundRules::default().is_empty());
    for url in [
        "http://store:80",
        "https://example.com:443",
        "http://127.0.0.1:80",
    ] {
        assert_eq!(permit(&[], url), None);
    }
}
