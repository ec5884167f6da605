//! A pool with real guests and a registry on a loopback port, fed with events in place of watches.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test file uses its part"
)]

pub(crate) mod registry;

use std::fmt::Debug;
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use sampan_artifact::Trust;
use sampan_crd::POOL_PORTS;
use sampan_crd::pool_report::{PoolCause, PoolReport, PooledFunction};
use sampan_engine::CompileCommand;
use sampan_pool::{
    Event, ObjectData, ObjectKey, PodFields, Query, Resource, Seen, SeenObject, Serving, Settings,
    serve,
};
use sampan_runner::ServerConfig;
use sampan_telemetry::{Document as _, Health, Registry as Metrics};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than any operation under test takes.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_mins(2);

/// A CGI program that answers with a word and its environment, of which each variable ends with a
/// NUL character.
pub(crate) fn guest(word: &str) -> Vec<u8> {
    guest_with(word, "")
}

/// A [`guest`] that uses a processor before it answers: it counts to a number.
pub(crate) fn counting_guest(word: &str, to: u32) -> Vec<u8> {
    let count = format!(
        "(local $count i32)
         (loop $again
           (local.set $count (i32.add (local.get $count) (i32.const 1)))
           (br_if $again (i32.lt_u (local.get $count) (i32.const {to}))))"
    );
    guest_with(word, &count)
}

/// A [`guest`] that computes until its call ends.
pub(crate) fn endless_guest() -> Vec<u8> {
    guest_with("never", "(loop $again (br $again))")
}

/// A [`guest`] that runs instructions before it answers.
pub(crate) fn guest_with(word: &str, first: &str) -> Vec<u8> {
    guest_of(word, first, 2)
}

/// A [`guest`] with so many pages of memory.
pub(crate) fn guest_of(word: &str, first: &str, pages: u32) -> Vec<u8> {
    program(word, first, "", pages)
}

/// A [`guest_of`] that computes after its answer until its call ends.
pub(crate) fn lasting_guest(word: &str, first: &str, pages: u32) -> Vec<u8> {
    program(word, first, "(loop $again (br $again))", pages)
}

fn program(word: &str, first: &str, last: &str, pages: u32) -> Vec<u8> {
    let head = format!("content-type: text/plain\\n\\n{word}\\n");
    let length = head.replace("\\n", "\n").len();
    let text = format!(
        r#"(module
          (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") {pages})
          (data (i32.const 1024) "{head}")
          (func (export "_start")
            {first}
            (drop (call $sizes (i32.const 0) (i32.const 4)))
            (drop (call $environ (i32.const 4096) (i32.const 8192)))
            (i32.store (i32.const 16) (i32.const 1024))
            (i32.store (i32.const 20) (i32.const {length}))
            (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 32)))
            (i32.store (i32.const 16) (i32.const 8192))
            (i32.store (i32.const 20) (i32.load (i32.const 4)))
            (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 32)))
            {last}))"#
    );
    wat::parse_str(text).expect("the text is WebAssembly")
}

/// A running pool with its folders.
pub(crate) struct Fixture {
    pub(crate) serving: Serving,
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    pub(crate) folder: TempDir,
}

impl Fixture {
    pub(crate) fn start() -> Self {
        Self::start_in(tempfile::tempdir().expect("a temporary folder"))
    }

    /// Starts with folders that another pool may have used.
    pub(crate) fn start_in(folder: TempDir) -> Self {
        let settings = settings(folder.path());
        Self::start_with(folder, settings)
    }

    pub(crate) fn start_with(folder: TempDir, settings: Settings) -> Self {
        let (health, metrics) = (Health::not_ready("starting"), Metrics::new());
        let (serving, _added) = serve(settings, &metrics, health.clone()).expect("it starts");
        Self {
            serving,
            health,
            metrics,
            folder,
        }
    }

    /// Ends the pool; its folders stay.
    pub(crate) async fn stop(self) -> TempDir {
        let stopped = self.serving.stop(Duration::ZERO);
        timeout(TEST_TIMEOUT, stopped).await.expect("it stops");
        self.folder
    }

    pub(crate) async fn send(&self, event: Event) {
        self.serving.events.send(event).await.expect("it receives");
    }

    pub(crate) async fn apply(&self, resource: Resource) {
        self.send(Event::Seen(pooled(resource))).await;
    }

    pub(crate) async fn set(&self, key: ObjectKey, pairs: Option<&[(&str, &str)]>) {
        let data = pairs.map(|pairs| {
            let pairs = pairs.iter();
            ObjectData::new(
                pairs.map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())),
            )
        });
        let version = None;
        self.send(Event::Object(key, SeenObject { data, version }))
            .await;
    }

    pub(crate) fn report(&self) -> PoolReport {
        self.serving.reports.report(&Query::default())
    }

    /// The value of a metric's series, with its labels; 0 without one.
    pub(crate) fn value<T: FromStr<Err: Debug> + Default>(&self, series: &str) -> T {
        let metrics = self.metrics.encode().expect("the metrics");
        let mut lines = metrics.lines().filter_map(|line| line.rsplit_once(' '));
        lines
            .find(|(found, _)| *found == series)
            .map_or_else(T::default, |(_, value)| value.parse().expect("a number"))
    }

    /// Waits for a report for which the condition holds.
    pub(crate) async fn until(
        &self,
        what: &str,
        condition: impl Fn(&PoolReport) -> bool,
    ) -> PoolReport {
        let reports = &self.serving.reports;
        let wait = async {
            loop {
                let report = reports.report(&Query::default());
                if condition(&report) {
                    return report;
                }
                let known = format!("boot={}&after={}", report.boot, report.revision);
                let query = reports.parse(&known).expect("it is a query");
                reports.changed(&query).await;
            }
        };
        let waited = timeout(TEST_TIMEOUT, wait).await;
        waited.unwrap_or_else(|_| panic!("{what}: {:?}", reports.report(&Query::default())))
    }

    /// Waits until a generation of a function is served.
    pub(crate) async fn until_serving(&self, name: &str, generation: i64) -> PooledFunction {
        let is_served = |function: &PooledFunction| {
            let serving = function.serving.as_ref();
            serving.is_some_and(|serving| serving.generation == generation)
                && function.failure.is_none()
        };
        let what = format!("{name} serves generation {generation}");
        let report = self
            .until(&what, |report| {
                function(report, name).is_some_and(is_served)
            })
            .await;
        function(&report, name).expect("it is there").clone()
    }

    /// Waits until a function fails for a cause.
    pub(crate) async fn until_failed(&self, name: &str, cause: PoolCause) -> PooledFunction {
        let fails = |function: &PooledFunction| {
            let failure = function.failure.as_ref();
            failure.is_some_and(|failure| failure.cause == cause)
        };
        let what = format!("{name} fails for {cause:?}");
        let report = self
            .until(&what, |report| function(report, name).is_some_and(fails))
            .await;
        function(&report, name).expect("it is there").clone()
    }

    /// Waits until the pod is ready.
    pub(crate) async fn until_ready(&self) {
        let ready = async {
            while self.health.reason().is_some() {
                tokio::task::yield_now().await;
            }
        };
        timeout(TEST_TIMEOUT, ready).await.expect("it gets ready");
    }

    pub(crate) async fn until_removed(&self, name: &str) {
        let what = format!("{name} is removed");
        self.until(&what, |report| function(report, name).is_none())
            .await;
    }
}

pub(crate) fn function<'a>(report: &'a PoolReport, name: &str) -> Option<&'a PooledFunction> {
    report.functions.iter().find(|one| one.name == name)
}

/// Settings with the folders of a pool.
pub(crate) fn settings(folder: &Path) -> Settings {
    Settings {
        state: folder.join("state"),
        cache: folder.join("cache"),
        compiler: CompileCommand {
            program: env!("CARGO_BIN_EXE_sampan-pool").into(),
            arguments: vec!["__compile".to_owned()],
            environment: vec![(sampan_allocator::ARENAS.to_owned(), "0".to_owned())],
        },
        instances: 16,
        instance_memory: None,
        processors: 2,
        server: ServerConfig::new(Vec::new()),
        plain_http_registries: Vec::new(),
        trust: Trust::Public,
        loads: 4,
        ready_timeout: TEST_TIMEOUT,
        list_timeout: Duration::from_secs(1),
        fields: PodFields::of(|name| Some(format!("<{name}>"))),
        peers: None,
    }
}

pub(crate) fn pooled(resource: Resource) -> Seen {
    Seen::Served {
        resource: Box::new(resource),
        leaves_in: None,
    }
}

/// A CGI function of an image; `more` are further fields of its specification.
pub(crate) fn resource(
    name: &str,
    generation: i64,
    port: u16,
    image: &str,
    more: Value,
) -> Resource {
    let mut spec = json!({ "placement": "Pooled", "http": "cgi", "image": image });
    if let Value::Object(more) = more {
        for (key, value) in more {
            spec[key] = value;
        }
    }
    Resource {
        uid: format!("uid-of-{name}"),
        name: name.to_owned(),
        generation,
        port,
        spec: serde_json::from_value(spec).expect("a specification"),
    }
}

/// A port that no program uses now, of those that the system gives to no connection. No other test
/// of this process gets it.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Two processes begin in different places.
    let start = u16::try_from(std::process::id() % 100).expect("it is small") * 100;
    loop {
        let port = POOL_PORTS.start() + start + NEXT.fetch_add(1, Ordering::Relaxed);
        if std::net::TcpListener::bind(("::", port)).is_ok() {
            return port;
        }
    }
}

/// Sends a request to a port, and reads its answer until a word. The call goes on until the stream is dropped.
pub(crate) async fn begin(port: u16, word: &str) -> TcpStream {
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let head = b"GET / HTTP/1.1\r\nhost: any.example\r\n\r\n";
        stream.write_all(head).await?;
        let mut answer = Vec::new();
        while !String::from_utf8_lossy(&answer).contains(word) {
            let read = stream.read_buf(&mut answer).await?;
            assert!(read > 0, "{word}: {}", String::from_utf8_lossy(&answer));
        }
        std::io::Result::Ok(stream)
    };
    let begun = timeout(TEST_TIMEOUT, exchange).await;
    begun.expect("an answer in time").expect("an answer")
}

/// Sends a request to a port, and reads the whole answer.
pub(crate) async fn get(port: u16) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let head = b"GET / HTTP/1.1\r\nhost: any.example\r\nconnection: close\r\n\r\n";
        stream.write_all(head).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(String::from_utf8_lossy(&answer).replace('\0', "\n"))
    };
    let answer = timeout(TEST_TIMEOUT, exchange).await;
    answer.expect("an answer in time").expect("an answer")
}

/// Checks that a port answers with a status, with lines and without others.
pub(crate) async fn check(port: u16, status: u16, lines: &[&str], absent: &[&str]) {
    let answer = get(port).await;
    let head = format!("HTTP/1.1 {status} ");
    assert!(answer.starts_with(&head), "{answer}");
    for line in lines {
        assert!(
            answer.lines().any(|found| found == *line),
            "{line}: {answer}"
        );
    }
    for line in absent {
        assert!(!answer.contains(line), "{line}: {answer}");
    }
}
