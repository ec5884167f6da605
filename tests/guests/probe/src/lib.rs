//! A wasi:http 0.2 handler with one behaviour for each path, most of them bad: `/NAME?NUMBER` or
//! `/NAME?TEXT`.

mod answer;
mod memory;
mod outbound;
mod target;

use std::cell::Cell;
use std::hint::black_box;
use std::time::Duration;

use wasip2::cli::stdout::get_stdout;
use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingRequest, ResponseOutparam};
use wasip2::random::random::get_random_bytes;
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

use answer::{echo, endless, framed, misfit, text};

wasip2::http::proxy::export!(Probe);

struct Probe;

thread_local! {
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

impl Guest for Probe {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let number = query.parse().unwrap_or(0);
        CALLS.set(CALLS.get() + 1);
        match path {
            "/calls" => text(out, &CALLS.get().to_string()),
            "/after" => {
                framed(out, query);
                wait(Duration::from_millis(100));
                println!("worked on after {query}");
            }
            "/after-panic" => {
                framed(out, query);
                wait(Duration::from_millis(100));
                panic!("this is why");
            }
            "/after-never" => {
                framed(out, query);
                wait(Duration::from_hours(1));
            }
            "/misfit" => misfit(out, query),
            "/echo" => echo(request, out),
            "/endless" => endless(out),
            "/spin" => spin(u64::MAX),
            "/turns" => {
                spin(number);
                text(out, "turned");
            }
            "/never" => wait(Duration::from_hours(1)),
            "/sleep" => {
                wait(Duration::from_millis(number));
                text(out, "slept");
            }
            "/panic" => panic!("this is why"),
            "/nothing" => {}
            "/recurse" => text(out, &recurse(0).to_string()),
            "/grow" => text(out, &memory::grow().to_string()),
            "/exhaust" => text(out, &memory::exhaust().to_string()),
            "/leave" => {
                memory::leave();
                text(out, "left");
            }
            "/scan" => text(out, &memory::scan().to_string()),
            "/print" => {
                print(number);
                text(out, "printed");
            }
            "/handles" => text(out, &handles().to_string()),
            "/fields" => text(out, &fields()),
            "/random" => text(out, &get_random_bytes(number).len().to_string()),
            "/socket" => text(out, &socket()),
            "/variables" => {
                let variables = wasip2::cli::environment::get_environment();
                text(out, &format!("{variables:?}"));
            }
            "/call" => text(out, &outbound::call(query)),
            "/request" => text(out, &outbound::request(query)),
            "/many" => text(out, &outbound::many(query)),
            "/hold" => text(out, &outbound::hold(query)),
            "/target" => text(out, &target::target(&request)),
            _ => text(out, "probe"),
        }
    }
}

fn wait(time: Duration) {
    let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    subscribe_duration(nanoseconds).block();
}

fn spin(number: u64) {
    let mut turns = 0_u64;
    while black_box(turns) < number {
        turns += 1;
    }
}

fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if black_box(depth) == u64::MAX {
        return depth;
    }
    recurse(depth + 1) + frame[(depth % 64) as usize]
}

/// Writes this many bytes of lines with terminal escapes.
fn print(bytes: u64) {
    let line = b"\x1b[31mred\x1b[0m \x07 and a title \x1b]0;owned\x07 and more\n";
    let piece = line.repeat(4096 / line.len());
    let out = get_stdout();
    let mut written = 0;
    while written < bytes {
        if out.blocking_write_and_flush(&piece).is_err() {
            return;
        }
        written += piece.len() as u64;
    }
}

/// Makes resources without end.
fn handles() -> usize {
    let mut all = Vec::new();
    loop {
        all.push(Fields::new());
        if all.len() > 100_000_000 {
            return all.len();
        }
    }
}

/// Appends headers without end.
fn fields() -> String {
    let fields = Fields::new();
    let value = vec![b'x'; 1024];
    for count in 0..100_000_000 {
        if let Err(error) = fields.append("x-many", &value) {
            return format!("{count}: {error:?}");
        }
    }
    "no end".to_owned()
}

/// Makes a TCP socket and connects it.
fn socket() -> String {
    let socket = match create_tcp_socket(IpAddressFamily::Ipv4) {
        Ok(socket) => socket,
        Err(error) => return format!("not made: {error:?}"),
    };
    let address = IpSocketAddress::Ipv4(Ipv4SocketAddress {
        port: 80,
        address: (127, 0, 0, 1),
    });
    match socket.start_connect(&instance_network(), address) {
        Ok(()) => "connecting".to_owned(),
        Err(error) => format!("not connected: {error:?}"),
    }
}
