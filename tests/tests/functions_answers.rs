//! Tests the nine functions through the real `sampan up`, with the real services behind two of
//! them. Each answer meets its contract, at both kinds of URL.

use http::Method;
use sampan_tests::{FUNCTIONS, Sampan, Services, Staged};

/// The whole system.
struct System {
    services: Services,
    sampan: Sampan,
    _staged: Staged,
}

impl System {
    async fn start() -> System {
        let services = Services::start().await;
        let addresses = [services.text_address(), services.users_address()];
        let names = FUNCTIONS.map(|function| function.name);
        let staged = Staged::copy(&names, addresses);
        let sampan = Sampan::up(staged.folder()).await;
        assert_eq!(sampan.functions("ready"), names);
        System {
            services,
            sampan,
            _staged: staged,
        }
    }

    async fn stop(self) {
        assert!(self.sampan.stop().await.success());
        self.services.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_function_answers_at_its_path_and_at_its_name() {
    let system = System::start().await;
    for function in FUNCTIONS {
        let sampan = &system.sampan;
        function.check(&sampan.call(function.name, function.path).await);
        function.check(&sampan.call_by_name(function.name, function.path).await);
        // A function answers on any path, so the part before its query does not matter.
        let query = function.path.trim_start_matches('/');
        let deeper = format!("/a/b{query}");
        function.check(&sampan.call(function.name, &deeper).await);
        function.check(&sampan.call_by_name(function.name, &deeper).await);
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_function_has_an_example_that_works() {
    let system = System::start().await;
    for event in system.sampan.seen("ready") {
        let function = event["function"].as_str().unwrap();
        let example = event["example"].as_str().unwrap();
        let answer = system.sampan.call(function, example).await;
        assert_eq!(answer.status, 200, "{function}{example}: {answer:?}");
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_become_rows_of_the_database() {
    let system = System::start().await;
    let call = async |entries: usize| {
        let path = format!("/?entries={entries}");
        system.sampan.call("user-manager", &path).await
    };
    assert_eq!(call(1).await.text(), "Iterated 1 times");
    assert_eq!(system.services.rows().await.len(), 1);
    assert_eq!(call(4).await.text(), "Iterated 4 times");
    let rows = system.services.rows().await;
    assert_eq!(rows.len(), 5);
    let fields = [
        "name",
        "username",
        "ip_address",
        "user_agent",
        "country",
        "city",
        "street_name",
        "zip_code",
        "building_number",
    ];
    for row in &rows {
        for field in fields {
            let value = row[field].as_str().unwrap_or_default();
            assert!(!value.is_empty(), "{field} of {row}");
        }
    }
    let mut names: Vec<_> = rows.iter().map(|row| row["name"].to_string()).collect();
    names.sort_unstable();
    names.dedup();
    assert!(names.len() > 1, "all users have one name: {names:?}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_search_finds_the_lines_of_the_text_that_is_served() {
    let system = System::start().await;
    let text = system.services.text().await;
    let answer = system.sampan.call("fuzzysearch", "/?search=Ophelia").await;
    let found: Vec<usize> = serde_json::from_str(answer.text()).expect("a list of numbers");
    let lines: Vec<_> = text.text().lines().collect();
    assert!(found.iter().all(|line| *line < lines.len()));
    let mut named = 0;
    for (number, line) in lines.iter().enumerate() {
        let mut words = line.split(|letter: char| !letter.is_alphanumeric());
        if words.any(|word| word.eq_ignore_ascii_case("ophelia")) {
            named += 1;
            assert!(found.contains(&number), "line {number} is missed: {line}");
        }
    }
    assert!(named > 10, "the text of Hamlet names Ophelia {named} times");
    assert!(
        found.len() < lines.len() / 10,
        "that is no search: {found:?}"
    );
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_one_request_is_in_the_next() {
    let system = System::start().await;
    let sampan = &system.sampan;
    for (function, path) in [
        ("aes", "/?length=64&iterations=1"),
        ("linear-equations", "/?unknowns=4"),
        ("matmul", "/?dimensions=3"),
    ] {
        let first = sampan.call(function, path).await;
        let second = sampan.call(function, path).await;
        assert_eq!((first.status, second.status), (first.status, first.status));
        assert_ne!(first.body, second.body, "{function} repeats itself");
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_refused_in_one_line_that_names_them() {
    let system = System::start().await;
    let sampan = &system.sampan;
    let check = async |function: &str, query: &str, parameter: &str| {
        let answer = sampan.call(function, query).await;
        let context = format!("{function}{query}: {answer:?}");
        assert_eq!(answer.status, 400, "{context}");
        assert_eq!(answer.media_type(), "text/plain", "{context}");
        let lines: Vec<_> = answer.text().lines().collect();
        assert_eq!(lines.len(), 1, "{context}");
        assert!(lines[0].contains(&format!("`{parameter}`")), "{context}");
    };
    for (function, parameter, fixed, wrong) in [
        ("aes", "length", "&iterations=1", "65537"),
        ("aes", "iterations", "&length=1", "10001"),
        ("float-operation", "n", "", "inf"),
        ("fuzzysearch", "search", "", "%ff"),
        ("linear-equations", "unknowns", "", "1001"),
        ("matmul", "dimensions", "", "1001"),
        ("prime-numbers", "n", "", "1000001"),
        ("user-manager", "entries", "", "1001"),
        ("whatlang", "text", "", "%ff"),
    ] {
        check(function, &format!("/?a=1{fixed}"), parameter).await;
        check(function, &format!("/?{parameter}={fixed}"), parameter).await;
        check(
            function,
            &format!("/?{parameter}={wrong}{fixed}"),
            parameter,
        )
        .await;
        let twice = format!("/?{parameter}=1&{parameter}=1{fixed}");
        check(function, &twice, parameter).await;
    }
    for wrong in ["", "-1", "many", "10000001"] {
        check("n-body", &format!("/?n={wrong}"), "n").await;
    }
    // Rejected before any request to the database.
    assert_eq!(system.services.rows().await.len(), 0);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_get_and_head_are_answered() {
    let system = System::start().await;
    for function in FUNCTIONS {
        let answer = system
            .sampan
            .send(Method::POST, function.name, function.path)
            .await;
        assert_eq!(answer.status, 405, "{}: {answer:?}", function.name);
        assert_eq!(answer.headers["allow"], "GET, HEAD", "{}", function.name);
    }
    assert_eq!(system.services.rows().await.len(), 0);
    system.stop().await;
}
