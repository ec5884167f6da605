//! Tests of logins in Docker's configuration.

use super::*;

fn login(config: &str, registry: &str) -> Result<Option<Login>, CredentialsError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("config.json");
    std::fs::write(&path, config).expect("a file");
    let reference = format!("{registry}/a:1").parse().expect("a reference");
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
