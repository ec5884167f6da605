//! Tests of the text output for each event.

use super::*;

/// A sequence of events, with times in seconds.
struct Session {
    text: Text,
    start: Instant,
}

impl Session {
    fn new(interactive: bool) -> Self {
        let start = Instant::now();
        Self {
            text: Text::new(Style::PLAIN, interactive, start),
            start,
        }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    fn put(&mut self, seconds: u64, event: &Event, expected: &str) {
        let now = self.at(seconds);
        assert_eq!(self.text.put(event, now), expected, "{event:?}");
    }

    fn tick(&mut self, seconds: u64, expected: &str) {
        let now = self.at(seconds);
        assert_eq!(self.text.tick(now), expected, "after {seconds} s");
    }
}

fn named(name: &str) -> Named {
    Named {
        function: name.to_owned(),
        file: format!("{name}.wasm"),
    }
}

fn served(name: &str, milliseconds: u64) -> Served {
    Served {
        named: named(name),
        kind: "http-0.2",
        digest: "sha256:0".to_owned(),
        urls: vec![
            format!("http://h/function/{name}"),
            format!("http://{name}.localhost"),
        ],
        example: Some("/?n=1".to_owned()),
        milliseconds,
    }
}

fn failed(name: &str, still_served: bool) -> Event {
    Event::Failed {
        named: named(name),
        message: format!("{name}.wasm: not WebAssembly"),
        help: "build it again".to_owned(),
        exit_code: 11,
        still_served,
    }
}

fn listening() -> Event {
    let (url, addresses) = ("http://h".to_owned(), Vec::new());
    Event::Listening {
        url,
        addresses,
        admin: None,
        watching: true,
    }
}

#[test]
fn everything_that_is_ready_soon_is_one_table() {
    let mut session = Session::new(false);
    session.put(0, &listening(), "listening on http://h\n");
    session.put(0, &Event::Loading(named("aes")), "");
    session.put(0, &Event::Loading(named("prime-numbers")), "");
    session.put(0, &failed("bad", false), "");
    session.put(0, &Event::Ready(served("prime-numbers", 90)), "");
    session.put(0, &Event::Ready(served("aes", 90)), "");
    session.put(
        0,
        &Event::Settled {
            served: 2,
            failed: 1,
            milliseconds: 90,
        },
        "
FUNCTION       KIND      URL
aes            http-0.2  http://h/function/aes/?n=1
                         http://aes.localhost/?n=1
bad            failed    bad.wasm: not WebAssembly
                         build it again
prime-numbers  http-0.2  http://h/function/prime-numbers/?n=1
                         http://prime-numbers.localhost/?n=1

2 of 3 functions are ready; files are watched; Ctrl-C stops
",
    );
    assert!(!session.text.is_waiting());
}

#[test]
fn slow_functions_follow_in_lines_of_their_own() {
    let mut session = Session::new(false);
    session.put(0, &listening(), "listening on http://h\n");
    session.put(0, &Event::Loading(named("slow")), "");
    session.put(0, &Event::Ready(served("aes", 90)), "");
    session.tick(0, "");
    session.tick(
        1,
        "
FUNCTION  KIND       URL
aes       http-0.2   http://h/function/aes/?n=1
                     http://aes.localhost/?n=1
slow      compiling  slow.wasm

",
    );
    session.tick(5, "");
    session.tick(6, "still compiling: slow (6 s)\n");
    session.tick(10, "");
    session.put(
        14,
        &Event::Ready(served("slow", 14_120)),
        "ready    slow  http://h/function/slow/?n=1  after 14.2 s\n",
    );
    session.put(
        14,
        &Event::Settled {
            served: 2,
            failed: 0,
            milliseconds: 14_120,
        },
        "2 functions are ready; files are watched; Ctrl-C stops\n",
    );
    session.tick(60, "");
}

#[test]
fn on_a_terminal_spinners_show_compilations() {
    let mut session = Session::new(true);
    session.put(0, &listening(), "listening on http://h\n");
    session.put(0, &Event::Loading(named("slow")), "");
    assert_eq!(session.text.waiting(session.at(0)), []);
    assert_eq!(
        session.text.waiting(session.at(1)),
        [("slow".to_owned(), session.start)]
    );
    assert_ne!(session.text.tick(session.at(1)), "");
    session.tick(9, "");
    session.put(
        9,
        &Event::Ready(served("slow", 9_000)),
        "ready    slow  http://h/function/slow/?n=1  after 9.0 s\n",
    );
    assert_eq!(session.text.waiting(session.at(10)), []);
}

#[test]
fn later_events_are_a_line_each() {
    let mut session = Session::new(false);
    session.put(0, &listening(), "listening on http://h\n");
    session.put(
            0,
            &Event::Settled { served: 0, failed: 0, milliseconds: 0 },
            "no functions yet: put a .wasm, or a folder with a function.yaml, into ; files are watched; Ctrl-C stops\n",
        );
    session.put(1, &Event::Loading(named("aes")), "");
    session.put(
        1,
        &Event::Ready(served("aes", 90)),
        "ready    aes  http://h/function/aes/?n=1  after 0.1 s\n",
    );
    session.put(
        2,
        &Event::Changed(served("aes", 120)),
        "changed  aes  after 0.2 s\n",
    );
    session.put(
            3,
            &failed("aes", true),
            "failed   aes  aes.wasm: not WebAssembly; the version before is still served\n         build it again\n",
        );
    session.put(4, &Event::Removed(named("aes")), "removed  aes  aes.wasm\n");
    session.put(
        5,
        &Event::Stopping { signal: "SIGINT" },
        "SIGINT: requests in progress may finish; once more ends at once\n",
    );
    session.put(
        5,
        &Event::Stopped {
            connections: 3,
            cut: 0,
            work_cut: 0,
            milliseconds: 1,
        },
        "stopped\n",
    );
    let stopped = |cut, work_cut| Event::Stopped {
        connections: 3,
        cut,
        work_cut,
        milliseconds: 1,
    };
    session.put(6, &stopped(2, 0), "stopped; connections cut off: 2\n");
    session.put(
        6,
        &stopped(0, 1),
        "stopped; connections cut off: 0, functions at work after their answers: 1\n",
    );
}
