//! A WASI command that answers by CGI (RFC 3875): the request is in its environment and on standard
//! input, the answer on standard output.

use std::env::var;
use std::io::Read as _;

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
