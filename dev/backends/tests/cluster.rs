//! Tests the private PostgreSQL: it is real, unprivileged, on no port, and leaves nothing behind.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

use sampan_backends::{Cluster, ClusterError, ClusterOptions};
use support::processes_of;
use tokio_postgres::NoTls;

async fn start() -> Cluster {
    let cluster = Cluster::start(&ClusterOptions::default()).await;
    cluster.expect("PostgreSQL is installed and starts")
}

async fn setting(cluster: &Cluster, name: &'static str) -> String {
    let config = cluster.connection("postgres");
    let (client, connection) = config.connect(NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let row = client
        .query_one("SELECT current_setting($1)", &[&name])
        .await
        .unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
    row.get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_listens_on_its_socket_only_and_runs_unprivileged() {
    let cluster = start().await;
    assert_eq!(setting(&cluster, "listen_addresses").await, "");
    let processes = processes_of(cluster.folder());
    assert!(!processes.is_empty());
    for process in processes {
        let owner = std::fs::metadata(&process).unwrap().uid();
        assert_ne!(owner, 0, "{}", process.display());
    }
    let mode = std::fs::metadata(cluster.folder()).unwrap().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_when_it_is_stopped_or_dropped() {
    fn check(end: impl FnOnce(Cluster), cluster: Cluster) {
        let folder = &cluster.folder().to_owned();
        assert!(folder.join("data/postmaster.pid").exists());
        end(cluster);
        assert!(!folder.exists(), "{}", folder.display());
        assert_eq!(processes_of(folder), Vec::<PathBuf>::new());
    }
    let (one, other) = tokio::join!(start(), start());
    let stopped = |cluster: Cluster| {
        cluster.stop();
        cluster.stop();
        assert!(!cluster.folder().exists());
    };
    check(stopped, one);
    check(drop, other);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_while_a_client_is_connected() {
    let cluster = start().await;
    let config = cluster.connection("postgres");
    let (client, connection) = config.connect(NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let folder = cluster.folder().to_owned();
    cluster.stop();
    assert!(!folder.exists());
    assert!(connection.await.unwrap().is_err());
    drop(client);
}

#[tokio::test]
async fn a_folder_without_the_programs_is_refused_with_advice() {
    let empty = tempfile::tempdir().unwrap();
    let options = ClusterOptions {
        programs: Some(empty.path().to_owned()),
    };
    let error = Cluster::start(&options).await.expect_err("no programs");
    assert!(matches!(error, ClusterError::Programs(_)), "{error}");
    assert!(error.help().contains("apt-get install"));
}

#[tokio::test]
async fn a_server_that_ends_while_it_starts_reports_why() {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let program = |name: &str, script: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    };
    program("initdb", "#!/bin/sh\nexit 0\n");
    program("postgres", "#!/bin/sh\necho no room >&2\nexit 1\n");
    let options = ClusterOptions {
        programs: Some(folder.path().to_owned()),
    };
    let error = Cluster::start(&options).await.expect_err("it ended");
    assert!(
        matches!(&error, ClusterError::Ended { said } if said == "no room"),
        "{error}"
    );

    program("initdb", "#!/bin/sh\necho no space >&2\nexit 3\n");
    let error = Cluster::start(&options).await.expect_err("initdb failed");
    assert_eq!(
        error.to_string(),
        "initdb failed with exit status: 3: no space"
    );
}
