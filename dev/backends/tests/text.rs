//! Tests the text server, with the real text of Hamlet and with another file.

mod support;

use std::net::SocketAddr;

use http::Method;
use sampan_backends::{Backends, Options, TextOptions, cache_folder, obtain_hamlet};
use support::Http;

async fn start(file: Option<&std::path::Path>) -> Backends {
    let mut options = Options {
        users: None,
        ..Options::anywhere()
    };
    options.text = options.text.map(|text| TextOptions {
        file: file.map(Into::into),
        ..text
    });
    Backends::start(options).await.expect("a text server")
}

#[tokio::test]
async fn hamlet_is_served_whole_and_without_marks() {
    let file = obtain_hamlet(&cache_folder().unwrap()).expect("pip fetches the play");
    let text = std::fs::read_to_string(file).unwrap();
    assert_eq!(text.lines().count(), 6861);
    assert!(text.starts_with("Hamlet\n\nACT I\n\nSCENE I. Elsinore."));
    assert!(text.contains("\nTo be, or not to be: that is the question:\n"));
    assert!(!text.contains(['*', '_', '\\', '#']));
    assert!(text.lines().all(|line| line == line.trim_end()));

    let backends = start(None).await;
    let url = backends.text_url().unwrap();
    assert!(url.ends_with("/hamlet.txt"), "{url}");
    let answer = Http::new().get(&url).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(answer.headers["content-length"], text.len().to_string());
    assert_eq!(answer.body, text);
    backends.stop().await;
}

#[tokio::test]
async fn any_other_file_is_served_at_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lear.txt");
    std::fs::write(&file, "Nothing will come of nothing.\n").unwrap();
    let backends = start(Some(&file)).await;
    let root = format!("http://{}", backends.text_address().unwrap());
    let http = Http::new();
    let url = format!("{root}/lear.txt");
    assert_eq!(backends.text_url().unwrap(), url);
    assert_eq!(http.get(&url).await.body, "Nothing will come of nothing.\n");
    let head = http.send(Method::HEAD, &url, "").await;
    assert_eq!(
        (
            head.headers["content-length"].to_str().unwrap(),
            head.body.len()
        ),
        ("30", 0)
    );
    assert_eq!(http.get(&format!("{root}/hamlet.txt")).await.status, 404);
    let posted = http.send(Method::POST, &url, "mine").await;
    assert_eq!(
        (posted.status.as_u16(), &posted.headers["allow"]),
        (405, &"GET,HEAD".parse().unwrap())
    );
}

#[tokio::test]
async fn a_file_that_cannot_be_served_is_named() {
    let options = Options {
        text: Some(TextOptions {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)).into(),
            file: Some("/absent/text.txt".into()),
        }),
        users: None,
    };
    let error = Backends::start(options).await.expect_err("no such file");
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(
        source.to_string(),
        "failed to read the text /absent/text.txt"
    );
    assert!(error.help().contains("--text FILE"));
}
