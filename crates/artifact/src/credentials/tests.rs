//! Tests of logins in Docker's configuration.

use super::*;

fn login(config: &str, registry: &str) -> Result<Option<Login>, CredentialsError> {
    login_for(config, &format!("{registry}/a:1"))
}

fn login_for(config: &str, reference: &str) -> Result<Option<Login>, CredentialsError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("config.json");
    std::fs::write(&path, config).expect("a file");
    let reference = reference.parse().expect("a reference");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async { DockerConfig::read(&path)?.login(&reference).await })
}

fn password(user: &str, password: &str) -> Login {
    Login::Password {
        user: user.to_owned(),
        password: password.to_owned(),
    }
}

#[test]
fn logins_are_found_by_the_registry() {
    let check = |config: &str, registry: &str, expected: Option<Login>| {
        let found = login(config, registry).expect("a good configuration");
        assert_eq!(found, expected, "{config} {registry}");
    };
    // me:secret
    let auth = r#"{"auths": {"r.example": {"auth": "bWU6c2VjcmV0"}}}"#;
    check(auth, "r.example", Some(password("me", "secret")));
    check(auth, "r.example:5000", None);
    check(auth, "other.example", None);
    let address = r#"{"auths": {"https://r.example/v1/": {"username": "me", "password": "a:b"}}}"#;
    check(address, "r.example", Some(password("me", "a:b")));
    let port = r#"{"auths": {"localhost:5000": {"auth": "bWU6c2VjcmV0"}}}"#;
    check(port, "localhost:5000", Some(password("me", "secret")));
    let identity = r#"{"auths": {"r.example": {"auth": "bWU6", "identitytoken": "t"}}}"#;
    check(identity, "r.example", Some(Login::Identity("t".into())));
    let token = r#"{"auths": {"r.example": {"registrytoken": "t"}}}"#;
    check(token, "r.example", Some(Login::Registry("t".into())));
    check(r#"{"auths": {"r.example": {}}}"#, "r.example", None);
    check(
        r#"{"HttpHeaders": {"x": "y"}, "credsStore": ""}"#,
        "r.example",
        None,
    );
    check("{}", "r.example", None);
}

#[test]
fn the_longest_path_that_covers_the_repository_wins() {
    fn check(keys: &[&str], reference: &str, expected: Option<&str>) {
        let entries: Vec<_> = keys
            .iter()
            .map(|key| format!(r#""{key}": {{"username": "{key}", "password": "p"}}"#))
            .collect();
        let config = format!(r#"{{"auths": {{{}}}}}"#, entries.join(", "));
        let found = login_for(&config, reference).expect("a good configuration");
        let expected = expected.map(|key| password(key, "p"));
        assert_eq!(found, expected, "{keys:?} {reference}");
    }
    let teams = ["r.example/team-a", "r.example/team-b"];
    check(&teams, "r.example/team-a/x", Some("r.example/team-a"));
    check(&teams, "r.example/team-b/x", Some("r.example/team-b"));
    check(&teams, "r.example/team-b/x/y:1", Some("r.example/team-b"));
    check(&teams, "r.example/team-b", Some("r.example/team-b"));
    check(&teams, "r.example/team-bc/x", None);
    check(&teams, "r.example/team-c/x", None);
    check(&teams, "r.example/x/team-a", None);
    check(&teams, "other.example/team-a/x", None);
    let nested = ["r.example", "r.example/a/b/", "r.example/a"];
    check(&nested, "r.example/a/b/c", Some("r.example/a/b/"));
    check(&nested, "r.example/a/c", Some("r.example/a"));
    check(&nested, "r.example/c", Some("r.example"));
    let urls = ["https://r.example/v1/", "https://r.example/v2/team-a"];
    check(&urls, "r.example/x", Some("https://r.example/v1/"));
    check(
        &urls,
        "r.example/team-a/x",
        Some("https://r.example/v2/team-a"),
    );
    check(
        &["https://r.example", "r.example"],
        "r.example/x",
        Some("r.example"),
    );
    check(&["r.example/v2"], "r.example/x", None);
    check(
        &["docker.io/team-a"],
        "docker.io/team-a/x",
        Some("docker.io/team-a"),
    );
    check(
        &["https://index.docker.io/v1/"],
        "docker.io/team-a/x",
        Some("https://index.docker.io/v1/"),
    );
}

#[test]
fn a_helper_is_asked_for_the_repositories_that_its_key_covers() {
    fn check(config: &str, reference: &str, helper: Option<&str>) {
        let outcome = login_for(config, reference);
        match (outcome, helper) {
            // It is not installed: the error names it.
            (Err(CredentialsError::HelperStart { program, .. }), Some(helper)) => {
                assert_eq!(program, format!("docker-credential-{helper}"), "{config}");
            }
            (Ok(login), None) => assert_eq!(login, Some(password("me", "secret"))),
            (outcome, _) => panic!("{config} {reference}: {outcome:?}, expected {helper:?}"),
        }
    }
    let both = r#"{"auths": {"r.example/team-a": {"auth": "bWU6c2VjcmV0"}},
        "credHelpers": {"r.example": "sampan-none", "r.example/team-b": "sampan-none-b"}}"#;
    check(both, "r.example/x", Some("sampan-none"));
    check(both, "r.example/team-a/x", None);
    check(both, "r.example/team-b/x", Some("sampan-none-b"));
    let same = r#"{"auths": {"r.example": {"auth": "bWU6c2VjcmV0"}},
        "credHelpers": {"r.example": "sampan-none"}}"#;
    check(same, "r.example/x", Some("sampan-none"));
    let store = r#"{"auths": {"r.example/team-a": {"auth": "bWU6c2VjcmV0"}},
        "credsStore": "sampan-none"}"#;
    check(store, "r.example/team-a/x", None);
    check(store, "r.example/team-b/x", Some("sampan-none"));
}

#[test]
fn a_broken_configuration_is_reported_without_secrets() {
    let check = |config: &str, expected: &str| {
        let error = login(config, "r.example").expect_err("refused");
        let text = format!("{error} {error:?}");
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains("c2VjcmV0"), "{text}");
    };
    check("[", "not Docker's configuration");
    check(
        r#"{"auths": {"r.example": {"auth": "c2VjcmV0!"}}}"#,
        "base64",
    );
    check(
        r#"{"auths": {"r.example": {"auth": "c2VjcmV0"}}}"#,
        "USER:PASSWORD",
    );
    check(r#"{"credsStore": "../evil"}"#, "../evil");
    check(r#"{"credHelpers": {"r.example": "a b"}}"#, "a b");
    check(
        r#"{"credsStore": "sampan-is-not-there"}"#,
        "docker-credential-sampan-is-not-there",
    );
}

#[test]
fn a_file_that_is_not_there_has_no_logins() {
    let config = DockerConfig::read(Path::new("/nowhere/config.json")).expect("nothing");
    assert!(config.file.auths.is_empty());
}

#[test]
fn logins_are_not_shown() {
    for login in [
        password("me", "secret"),
        Login::Identity("secret".into()),
        Login::Registry("secret".into()),
    ] {
        assert!(!format!("{login:?}").contains("secret"));
    }
}

#[test]
fn a_clusters_secret_has_logins_and_chooses_no_program() {
    fn check(config: &str, expected: Result<Vec<Login>, &str>) {
        let reference = "r.example/a/b:1".parse().expect("a reference");
        let parsed = DockerConfig::parse("the Secret pull", config.as_bytes());
        let found = parsed.and_then(|config| config.written_logins(&reference));
        let found = found.map_err(|error| error.to_string());
        assert_eq!(found, expected.map_err(str::to_owned), "{config}");
    }
    let me = password("me", "secret");
    check("{}", Ok(Vec::new()));
    check(
        r#"{"auths": {"r.example": {"auth": "bWU6c2VjcmV0"}}}"#,
        Ok(vec![me.clone()]),
    );
    check(
        r#"{"auths": {"other.example": {"auth": "bWU6c2VjcmV0"}}}"#,
        Ok(Vec::new()),
    );
    check(
        r#"{"auths": {"r.example": {"username": "x", "password": "y"}, "r.example/a": {"auth": "bWU6c2VjcmV0"}}}"#,
        Ok(vec![me, password("x", "y")]),
    );
    check(
        r#"{"credsStore": "nothing", "credHelpers": {"r.example": "nothing"}}"#,
        Ok(Vec::new()),
    );
    check(
        "auths",
        Err("the Secret pull is not Docker's configuration"),
    );
    check(
        r#"{"auths": {"r.example": {"auth": "!"}}}"#,
        Err(r#"the "auth" for r.example in the Secret pull is not USER:PASSWORD in base64"#),
    );
    check(
        &format!("{{}}{}", " ".repeat(1 << 20)),
        Err("the Secret pull has more than 1048576 bytes"),
    );
    // Without padding.
    check(
        r#"{"auths": {"r.example": {"auth": "YTpiYw"}}}"#,
        Ok(vec![password("a", "bc")]),
    );
}

#[test]
fn a_clusters_secret_may_have_patterns_of_hosts() {
    fn check(key: &str, image: &str, expected: bool) {
        let config = format!(r#"{{"auths": {{"{key}": {{"username": "x", "password": "y"}}}}}}"#);
        let parsed = DockerConfig::parse("the Secret pull", config.as_bytes());
        let reference = image.parse().expect("a reference");
        let found = parsed.and_then(|config| config.written_logins(&reference));
        assert_eq!(
            found.is_ok_and(|logins| logins.len() == 1),
            expected,
            "{key} {image}"
        );
    }
    check("*.example.com", "eu.example.com/a:1", true);
    check("*.example.com", "example.com/a:1", false);
    check("*.example.com", "a.eu.example.com/a:1", false);
    check("*.*.example.com", "a.eu.example.com/a:1", true);
    check("eu-*.example.com/team", "eu-1.example.com/team/a:1", true);
    check("eu-*.example.com/team", "eu-1.example.com/teams/a:1", false);
    check("*.example.com:5000", "eu.example.com:5000/a:1", true);
    check("*.example.com", "eu.example.com:5000/a:1", false);
    check("e*u*.example.com", "eu.example.com/a:1", true);
    check("e*e.example.com", "e.example.com/a:1", false);
    check("*a*b*.example.com", "xaxbx.example.com/a:1", true);
    check("*a*b*.example.com", "xbxax.example.com/a:1", false);
    check("*", "localhost:5000/a:1", false);
}

#[test]
fn the_most_specific_login_comes_first() {
    let config = r#"{"auths": {
        "*.example": {"username": "pattern", "password": "p"},
        "r.example": {"username": "host", "password": "p"},
        "https://r.example/v1/": {"username": "url", "password": "p"},
        "*.example/a": {"username": "path", "password": "p"}
    }}"#;
    let reference = "r.example/a/b:1".parse().expect("a reference");
    let config = DockerConfig::parse("the Secret pull", config.as_bytes()).expect("it is one");
    let found = config.written_logins(&reference).expect("they are logins");
    let expected = ["path", "host", "url", "pattern"].map(|user| password(user, "p"));
    assert_eq!(found, expected);
    // Programs of a user's machine know no patterns.
    let one = r#"{"auths": {"*.example": {"username": "x", "password": "y"}}}"#;
    let found = login_for(one, "r.example/a/b:1").expect("a good configuration");
    assert_eq!(found, None);
}
