//! A WASI command that prints its arguments, variables and input.
//!
//! It reads and writes the files of arguments such as `read=/a` and `write=/a`, and exits with the
//! code in its last argument.

use std::io::{Read as _, Write as _};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let mut input = String::new();
    let read = std::io::stdin().read_to_string(&mut input);
    let mut out = std::io::stdout().lock();
    let mut say = |line: String| writeln!(out, "{line}").expect("standard output is open");
    say(format!("arguments {:?}", &arguments[1..]));
    for (name, value) in std::env::vars() {
        say(format!("variable {name}={value}"));
    }
    say(format!("input {:?}", read.map(|_| input)));
    for argument in &arguments {
        match argument.split_once('=') {
            Some(("read", file)) => {
                say(format!("{file} holds {:?}", std::fs::read_to_string(file)))
            }
            Some(("write", file)) => {
                let wrote = std::fs::write(file, "written by a command\n");
                say(format!(
                    "{file} is written {:?}",
                    wrote.map_err(|error| error.kind())
                ));
            }
            _ => {}
        }
    }
    eprintln!("this is standard error");
    let code = arguments.last().and_then(|last| last.parse().ok());
    std::process::exit(code.unwrap_or(0));
}
