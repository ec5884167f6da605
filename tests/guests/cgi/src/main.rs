//! A WASI command that answers by CGI (RFC 3875): the request is in its environment and on standard
//! input, the answer on standard output.

use std::env::var;
use std::io::{Read as _, Write as _};
use std::thread::sleep;
use std::time::Duration;

/// The bytes of a framed answer: more than the host buffers.
const FRAMED: usize = 64 * 1024;

fn main() {
    let mut body = String::new();
    std::io::stdin()
        .read_to_string(&mut body)
        .expect("the body is text");
    let show = |name| var(name).unwrap_or_default();
    match show("PATH_INFO").as_str() {
        "/silent" => {}
        "/broken" => println!("this is no header\n"),
        "/variables of CGI" => {
            println!("Content-Type: text/plain\n");
            let mut variables: Vec<_> = std::env::vars().collect();
            variables.sort();
            for (name, value) in variables {
                println!("{name}={value}");
            }
        }
        "/short" => print!("Content-Length: 5\n\nabc"),
        "/long" => print!("Content-Length: 2\n\nabc"),
        "/no-number" => print!("Content-Length: five\n\nabc"),
        "/after" => {
            let framing = show("QUERY_STRING");
            framed(&framing);
            sleep(Duration::from_millis(100));
            // Standard error is the function's log.
            eprintln!("worked on after {framing}");
        }
        "/after-never" => {
            framed(&show("QUERY_STRING"));
            sleep(Duration::from_hours(1));
        }
        "/teapot" => print!("Status: 418 I'm a teapot\r\nContent-Type: text/plain\r\n\r\nshort\n"),
        path => print!(
            "Content-Type: text/plain\n\n{} {path}?{} {}\nx-test {}\nbody {body}\n",
            show("REQUEST_METHOD"),
            show("QUERY_STRING"),
            show("SERVER_PROTOCOL"),
            show("HTTP_X_TEST"),
        ),
    }
}

/// Answers in the framing of this name: `length` and `open` with content, `204` and `304` without.
fn framed(framing: &str) {
    match framing {
        "length" => println!("Content-Length: {FRAMED}\n"),
        "open" => println!("Content-Type: text/plain\n"),
        status => println!("Status: {status}\n"),
    }
    if matches!(framing, "length" | "open") {
        print!("{}", ".".repeat(FRAMED));
    }
    std::io::stdout().flush().expect("it is read, or discarded");
}
