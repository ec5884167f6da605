//! Tests of the message, advice and exit code of each failure.

use std::path::PathBuf;
use std::time::Duration;

use super::*;

const FILE: &str = "shop/cart.wasm";

fn check(failure: &Failure, exit: Exit, message: &str, help: &str) {
    assert_eq!(failure.exit, exit, "{failure:?}");
    assert!(failure.message.contains(message), "{failure:?}");
    assert!(failure.help.contains(help), "{failure:?}");
    for line in [&failure.message, &failure.help] {
        assert!(
            !line.is_empty() && !line.contains(['\n', '\u{1b}']),
            "{line:?}"
        );
    }
}

#[test]
fn each_load_error_names_the_file_and_gives_advice() {
    let check = |error: LoadError, exit, message, help| {
        let failure = Failure::load(Path::new(FILE), &error);
        check(&failure, exit, message, help);
        assert!(failure.message.contains(FILE), "{failure:?}");
    };
    check(
        LoadError::Read {
            path: PathBuf::from(FILE),
            message: "gone".into(),
        },
        Exit::Missing,
        "gone",
        "is there",
    );
    check(
        LoadError::ArtifactSize { size: 9, limit: 8 },
        Exit::Wasm,
        "9 bytes",
        "limits.artifact",
    );
    check(
        LoadError::NotWasm("it begins with 23\n21".into()),
        Exit::Wasm,
        "begins with 23 21",
        "build it again",
    );
    check(
        LoadError::Precompiled,
        Exit::Wasm,
        "native code",
        "compiles by itself",
    );
    check(
        LoadError::Unsupported("memory64 must be enabled".into()),
        Exit::NotRunnable,
        "memory64",
        "without this proposal",
    );
    check(
        LoadError::NoStart {
            exports: vec!["_initialize".into(), "evil\u{1b}[2J".into()],
        },
        Exit::NotRunnable,
        "_start, so there is nothing to run; it exports _initialize, evil\\u{1b}[2J",
        "Kotlin makes a _start from 2.4 on",
    );
    check(
        LoadError::NoEntry {
            exports: Vec::new(),
        },
        Exit::NotRunnable,
        "exports neither",
        "sampan new",
    );
    check(
        LoadError::MissingImports {
            names: vec!["acme:db/query".into(), "evil\u{1b}[2J".into()],
        },
        Exit::NotRunnable,
        "acme:db/query, evil\\u{1b}[2J",
        "sampan inspect",
    );
    check(
        LoadError::Compile("bad".into()),
        Exit::Wasm,
        "bad",
        "build it again",
    );
    check(
        LoadError::CompileTime {
            limit: Duration::from_secs(2),
        },
        Exit::Wasm,
        "2s",
        "limits.compileTime",
    );
    check(
        LoadError::CompileKilled {
            signal: 9,
            limit: 7,
        },
        Exit::Wasm,
        "signal 9",
        "limits.compileMemory",
    );
    check(
        LoadError::Compiler("no fork".into()),
        Exit::Unexpected,
        "no fork",
        "processes",
    );
    check(
        LoadError::Cache {
            path: PathBuf::from("/data/x"),
            message: "No space left on device".into(),
        },
        Exit::Data,
        "No space left",
        "--data",
    );
    check(
        LoadError::Authorities {
            path: PathBuf::from("/etc/ca.crt"),
            message: "it has no certificate in PEM".into(),
        },
        Exit::Missing,
        "/etc/ca.crt cannot be used: it has no certificate",
        "outbound.certificateAuthorities",
    );
    check(
        LoadError::Engine("no memory".into()),
        Exit::Unexpected,
        "no memory",
        "address space",
    );
    check(
        LoadError::Link("odd".into()),
        Exit::NotRunnable,
        "odd",
        "toolchain",
    );
}

#[test]
fn a_folder_of_modules_that_fails_is_about_data() {
    let at = |kind: ErrorKind| EngineError::Cache {
        path: PathBuf::from("/data/cache"),
        source: kind.into(),
    };
    let check = |error: EngineError, exit, message, help| {
        check(&Failure::engine(&error), exit, message, help);
    };
    check(
        at(ErrorKind::StorageFull),
        Exit::Data,
        "/data/cache",
        "free some space",
    );
    check(
        at(ErrorKind::ReadOnlyFilesystem),
        Exit::Data,
        "/data/cache",
        "writable",
    );
    check(
        at(ErrorKind::PermissionDenied),
        Exit::Data,
        "/data/cache",
        "--data",
    );
    check(
        at(ErrorKind::NotADirectory),
        Exit::Data,
        "/data/cache",
        "--data",
    );
    check(
        EngineError::CacheKey {
            path: PathBuf::from("/data/key"),
        },
        Exit::Data,
        "/data/key",
        "--data",
    );
    check(
        EngineError::Wasmtime("no".into()),
        Exit::Unexpected,
        "no",
        "ulimit -v",
    );
}

#[test]
fn each_way_of_a_command_to_fail_has_its_code() {
    let check = |error: CallError, exit, message, help| {
        check(&Failure::call(Path::new(FILE), &error), exit, message, help);
    };
    let trap = |cause| CallError::Trap {
        cause,
        message: "error while executing\n  0: somewhere\n: odd".into(),
    };
    check(trap(TrapCause::Unreachable), Exit::Trap, "panic", "printed");
    check(
        trap(TrapCause::OutOfMemory),
        Exit::Trap,
        "limits.memory",
        "function.yaml",
    );
    check(
        trap(TrapCause::Other),
        Exit::Trap,
        "0: somewhere : odd",
        "printed",
    );
    check(
        CallError::Deadline {
            limit: Duration::from_secs(10),
        },
        Exit::Timeout,
        "10s",
        "more time",
    );
    check(
        CallError::OutboundConnections {
            limit: Duration::from_secs(10),
            connections: 16,
        },
        Exit::Timeout,
        "16 connections",
        "limits.outboundConnections",
    );
    check(
        CallError::Host("odd".into()),
        Exit::Unexpected,
        "odd",
        "--dir",
    );
}

#[test]
fn unreadable_files_have_a_cause() {
    let check = |kind: ErrorKind, message, help| {
        let failure = Failure::read(Path::new(FILE), &kind.into());
        check(&failure, Exit::Missing, message, help);
        assert!(failure.message.contains(FILE), "{failure:?}");
    };
    check(ErrorKind::NotFound, "not there", "check the path");
    check(ErrorKind::PermissionDenied, "permission denied", "readable");
    check(ErrorKind::IsADirectory, "is a folder", "sampan up");
    check(ErrorKind::TimedOut, "cannot be read", "disk");
}

#[test]
fn each_way_of_a_registry_to_fail_has_its_code() {
    use sampan_artifact::{ContentError, Digest, Error, ManifestError};

    let check = |error: Error, exit, message, help| {
        check(&Failure::registry(&error), exit, message, help);
    };
    let address = || "https://r.example/v2/".to_owned();
    let content = |source: ContentError| Error::Content {
        what: "the module".into(),
        source,
    };
    let status = |status| Error::Status {
        address: address(),
        status,
        message: ": DENIED quota\u{1b}".into(),
        attempts: 4,
    };
    check(
        Error::Unreachable {
            address: address(),
            attempts: 4,
            source: "connection refused".into(),
        },
        Exit::Registry,
        "r.example/v2/ cannot be reached (4 attempts): connection refused",
        "--plain-http",
    );
    check(
        status(429),
        Exit::Registry,
        "429: DENIED quota\\u{1b}",
        "log in",
    );
    check(status(503), Exit::Registry, "503", "later");
    check(status(405), Exit::Registry, "405", "artifacts");
    check(
        Error::Unauthorized {
            registry: "r.example".into(),
            repository: "a".into(),
            action: "push to",
            how: ", without credentials",
        },
        Exit::Credentials,
        "r.example does not allow to push to a, without credentials",
        "docker login",
    );
    let reference: sampan_artifact::Reference = "r.example/a:1".parse().expect("a reference");
    check(
        Error::NotFound(Box::new(reference.clone())),
        Exit::NotFound,
        "r.example/a:1 is not in the registry",
        "tag",
    );
    check(
        Error::PushToDigest(Box::new(reference)),
        Exit::Usage,
        "digest",
        "tag",
    );
    check(
        Error::Redirect {
            from: address(),
            to: "http://169.254.169.254/".into(),
            reason: "which a registry must not redirect to",
        },
        Exit::Registry,
        "leads to http://169.254.169.254/",
        "trust",
    );
    check(
        content(ContentError::Digest {
            expected: Digest::of(b"a"),
            actual: Digest::of(b"b"),
        }),
        Exit::Content,
        "the module: the registry sent sha256:",
        "nothing was kept",
    );
    check(
        content(ContentError::Size { size: 9, limit: 8 }),
        Exit::Content,
        "9 bytes, and the most is 8",
        "debug information",
    );
    check(
        content(ManifestError::NoLayer("text/plain".into()).into()),
        Exit::Content,
        "text/plain",
        "sampan push",
    );
}
