//! Events of `sampan up`: each is a line of JSON, and the text output is made from the same events.
//!
//! The names of events and fields are part of the program's interface; docs/cli.md lists them.

use serde::Serialize;

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// The arguments were parsed.
    Starting {
        version: &'static str,
        paths: Vec<String>,
        data: String,
    },
    /// Connections are accepted.
    Listening {
        url: String,
        addresses: Vec<String>,
        admin: Option<String>,
        watching: bool,
    },
    /// A function's first version is being loaded.
    Loading(Named),
    /// A function is served.
    Ready(Served),
    /// A function's new version is served.
    Changed(Served),
    /// A function cannot be served as its files define it.
    Failed {
        #[serde(flatten)]
        named: Named,
        message: String,
        help: String,
        exit_code: u8,
        /// Whether an earlier version is still served.
        still_served: bool,
    },
    /// A function's files are gone.
    Removed(Named),
    /// Every function found at the start is served or has failed.
    Settled {
        served: usize,
        failed: usize,
        milliseconds: u64,
    },
    /// Another failure, after which serving continues.
    Trouble { message: String, help: String },
    /// The program was asked to stop.
    Stopping { signal: &'static str },
    /// The program has stopped.
    Stopped {
        connections: u64,
        cut: usize,
        /// Functions that were ended while they worked on after their answers.
        work_cut: usize,
        milliseconds: u64,
    },
    /// The program ends because of a failure.
    Error {
        message: String,
        help: String,
        exit_code: u8,
    },
}

/// The identity of a function.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Named {
    /// The function's name, or the name that its file suggests.
    pub(crate) function: String,
    /// Its function.yaml or .wasm.
    pub(crate) file: String,
}

/// A served function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Served {
    #[serde(flatten)]
    pub(crate) named: Named,
    /// The kind of its .wasm, such as `http-0.2`.
    pub(crate) kind: &'static str,
    pub(crate) digest: String,
    /// Its URLs; a path may follow.
    pub(crate) urls: Vec<String>,
    /// The path and query of an example request.
    pub(crate) example: Option<String>,
    /// The time from reading its file to serving it.
    pub(crate) milliseconds: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_documented_with_its_fields() {
        let page = include_str!("../../../../docs/cli.md");
        let named = || Named {
            function: "f".into(),
            file: "f.wasm".into(),
        };
        let served = || Served {
            named: named(),
            kind: "http-0.2",
            digest: "sha256:0".into(),
            urls: Vec::new(),
            example: None,
            milliseconds: 1,
        };
        let text = String::new;
        let events = [
            Event::Starting {
                version: "0",
                paths: Vec::new(),
                data: text(),
            },
            Event::Listening {
                url: text(),
                addresses: Vec::new(),
                admin: None,
                watching: true,
            },
            Event::Loading(named()),
            Event::Ready(served()),
            Event::Changed(served()),
            Event::Failed {
                named: named(),
                message: text(),
                help: text(),
                exit_code: 1,
                still_served: false,
            },
            Event::Removed(named()),
            Event::Settled {
                served: 0,
                failed: 0,
                milliseconds: 0,
            },
            Event::Trouble {
                message: text(),
                help: text(),
            },
            Event::Stopping { signal: "SIGINT" },
            Event::Stopped {
                connections: 0,
                cut: 0,
                work_cut: 0,
                milliseconds: 0,
            },
            Event::Error {
                message: text(),
                help: text(),
                exit_code: 1,
            },
        ];
        for event in events {
            let value = serde_json::to_value(&event).expect("it is JSON");
            let fields = value.as_object().expect("it is an object");
            let name = fields["event"].as_str().expect("it is a text");
            let row = format!("| `{name}` |");
            let row = page.lines().find(|line| line.starts_with(&row));
            let row = row.unwrap_or_else(|| panic!("docs/cli.md lacks the event {name}"));
            for field in fields.keys().filter(|field| *field != "event") {
                assert!(
                    row.contains(&format!("`{field}`")),
                    "docs/cli.md: {name} lacks {field}"
                );
            }
        }
    }
}
