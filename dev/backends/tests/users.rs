//! Tests the REST front over a real PostgreSQL: rows come back unchanged, and invalid rows are
//! rejected.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use bytes::Bytes;
use http::Method;
use sampan_backends::{Backends, Options};
use serde_json::{Value, json};
use support::{Answer, Http};

struct Front {
    backends: Backends,
    http: Http,
}

impl Front {
    async fn start() -> Front {
        let options = Options {
            text: None,
            ..Options::anywhere()
        };
        let backends = Backends::start(options)
            .await
            .expect("PostgreSQL is installed and starts");
        Front {
            backends,
            http: Http::new(),
        }
    }

    async fn send(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
        let url = self.backends.users_url().unwrap();
        self.http.send(method, &format!("{url}{path}"), body).await
    }

    async fn insert(&self, user: &Value) -> Answer {
        self.send(Method::POST, "/prest/public/users", user.to_string())
            .await
    }

    async fn read(&self, query: &str) -> Value {
        let path = format!("/prest/public/users{query}");
        let answer = self.send(Method::GET, &path, "").await;
        assert_eq!(answer.status, 200, "{query}");
        answer.json()
    }
}

fn user(name: &str) -> Value {
    json!({
        "name": name, "username": "ada", "ip_address": "192.0.2.1", "user_agent": "Mozilla/5.0",
        "country": "Österreich", "city": "Wien", "street_name": "Gürtel", "zip_code": "1010",
        "building_number": "7"
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_back_as_they_were() {
    let front = Front::start().await;
    let long = "x".repeat(60_000);
    let names = [
        "Ada",
        "",
        "'); DROP TABLE users; --",
        "$1 \\ \" \n\t",
        "日本語 \u{1F6A3}",
        &long,
    ];
    for (index, name) in names.into_iter().enumerate() {
        let answer = front.insert(&user(name)).await;
        assert_eq!(answer.status, 201, "{name}");
        assert_eq!(answer.headers["content-type"], "application/json");
        let mut row = answer.json();
        let id = row.as_object_mut().unwrap().remove("id").unwrap();
        assert_eq!((id, row), (json!(index + 1), user(name)), "{name}");
    }
    let rows = front.read("").await;
    let read: Vec<_> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["name"])
        .collect();
    assert_eq!(read, names);
    assert_eq!(
        front.read("?_count=*").await,
        json!([{ "count": names.len() }])
    );
    let page = front.read("?_page=2&_page_size=2").await;
    assert_eq!(
        (&page[0]["id"], &page[1]["id"], &page[2]),
        (&json!(3), &json!(4), &Value::Null)
    );
    assert_eq!(front.read("?_page=100").await, json!([]));
    front.backends.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_rows_are_refused() {
    async fn check(front: &Front, method: Method, path: &str, body: &str, status: u16, part: &str) {
        let context = format!("{method} {path} {body:.80}");
        let answer = front.send(method, path, body.to_owned()).await;
        assert_eq!(answer.status, status, "{context}");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(part), "{context}: {error}");
    }
    let front = Front::start().await;
    let rows = "/prest/public/users";
    let mut lacking = user("Ada");
    lacking.as_object_mut().unwrap().remove("city");
    let post = Method::POST;
    check(
        &front,
        post.clone(),
        rows,
        &lacking.to_string(),
        400,
        "missing field `city`",
    )
    .await;
    check(
        &front,
        post.clone(),
        rows,
        "name=Ada",
        400,
        "must be a JSON object",
    )
    .await;
    check(&front, post.clone(), rows, "", 400, "must be a JSON object").await;
    check(
        &front,
        post.clone(),
        rows,
        &user("a\0b").to_string(),
        400,
        "`name` must not",
    )
    .await;
    check(
        &front,
        post.clone(),
        rows,
        &user(&"x".repeat(70_000)).to_string(),
        413,
        "bytes",
    )
    .await;
    check(
        &front,
        post.clone(),
        "/prest/public/other",
        "{}",
        404,
        "there are only",
    )
    .await;
    check(&front, Method::DELETE, rows, "", 405, "GET, POST").await;
    check(&front, Method::POST, "/_health", "", 405, "GET").await;
    check(
        &front,
        Method::GET,
        "/prest/public/users?name=Ada",
        "",
        400,
        "not `name`",
    )
    .await;
    check(
        &front,
        Method::GET,
        "/prest/public/users?_page=0",
        "",
        400,
        "`_page`",
    )
    .await;
    assert_eq!(front.read("?_count=*").await, json!([{ "count": 0 }]));
    assert_eq!(front.send(Method::GET, "/_health", "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_all_stored() {
    let front = Front::start().await;
    let one = user("one of many");
    let insert = || async {
        for _ in 0..50 {
            assert_eq!(front.insert(&one).await.status, 201);
        }
    };
    tokio::join!(insert(), insert(), insert(), insert());
    assert_eq!(front.read("?_count=*").await, json!([{ "count": 200 }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_down_is_service_unavailable() {
    async fn check(front: &Front, method: Method, path: &str, body: String) {
        let answer = front.send(method, path, body).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(
            answer.json()["error"]
                .as_str()
                .unwrap()
                .contains("database")
        );
    }
    let front = Front::start().await;
    assert_eq!(front.insert(&user("Ada")).await.status, 201);
    front.backends.cluster().unwrap().stop();
    check(
        &front,
        Method::POST,
        "/prest/public/users",
        user("Bob").to_string(),
    )
    .await;
    check(&front, Method::GET, "/prest/public/users", String::new()).await;
    check(&front, Method::GET, "/_health", String::new()).await;
}
