//! Interfaces that a guest may import.
//!
//! The lists here make the linkers. `inspect` and the message about missing imports use the same
//! lists, so a listed name is always linked.
//!
//! All of WASI links, so that modules of other tools load. The context decides what a guest may
//! *do*: no preopened folders, no sockets, and environment from the specification only.

use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings as p2;
use wasmtime_wasi::random::{WasiRandom, WasiRandomView as _};
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView as _};
use wasmtime_wasi::{I32Exit, p1, p3};
use wasmtime_wasi_http::p2::bindings::http as http02;
use wasmtime_wasi_http::p3::bindings::http as http03;
use wasmtime_wasi_http::{WasiHttp, WasiHttpView as _};

use crate::instance::host::Host;
use crate::kind::Kind;

/// Gives wasi:io only the table, so that a guest which only streams never builds a whole context.
struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

/// Declares a list of interfaces: their names, and a function that links them.
macro_rules! interfaces {
    ($names:ident, $link:ident, $($name:literal => $add:expr;)*) => {
        const $names: &[&str] = &[$($name),*];

        fn $link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
            $({
                let add: fn(&mut Linker<Host>) -> wasmtime::Result<()> = $add;
                add(linker)?;
            })*
            Ok(())
        }
    };
}

interfaces! { NAMES_02, link_02,
    "wasi:io/error@0.2" => |l| p2::io::error::add_to_linker::<Host, HasTable>(l, Host::table);
    "wasi:io/poll@0.2" => |l| p2::io::poll::add_to_linker::<Host, HasTable>(l, Host::table);
    "wasi:io/streams@0.2" => |l| p2::io::streams::add_to_linker::<Host, HasTable>(l, Host::table);
    "wasi:clocks/wall-clock@0.2" => |l| p2::clocks::wall_clock::add_to_linker::<Host, WasiClocks>(l, Host::clocks);
    "wasi:clocks/monotonic-clock@0.2" => |l| p2::clocks::monotonic_clock::add_to_linker::<Host, WasiClocks>(l, Host::clocks);
    "wasi:random/random@0.2" => |l| p2::random::random::add_to_linker::<Host, WasiRandom>(l, Host::random);
    "wasi:random/insecure@0.2" => |l| p2::random::insecure::add_to_linker::<Host, WasiRandom>(l, Host::random);
    "wasi:random/insecure-seed@0.2" => |l| p2::random::insecure_seed::add_to_linker::<Host, WasiRandom>(l, Host::random);
    "wasi:cli/environment@0.2" => |l| p2::cli::environment::add_to_linker::<Host, WasiCli>(l, Host::cli);
    "wasi:cli/exit@0.2" => |l| p2::cli::exit::add_to_linker::<Host, WasiCli>(l, Host::cli);
    "wasi:cli/stdin@0.2" => |l| p2::cli::stdin::add_to_linker::<Host, WasiCli>(l, Host::cli);
    "wasi:cli/stdout@0.2" => |l| p2::cli::stdout::add_to_linker::<Host, WasiCli>(l, Host::cli);
    "wasi:cli/stderr@0.2" => |l| p2::cli::stderr::add_to_linker::<Host, WasiCli>(l, Host::cli);
    "wasi:cli/terminal-input@0.2" => |l| p2::cli::terminal_input::add_to_linker::<Host, WasiCli>(l, Host::cli);
    "wasi:cli/terminal-output@0.2" => |l| p2::cli::terminal_output::add_to_linker::<Host, WasiCli>(l, Host::cli);
    "wasi:cli/terminal-stdin@0.2" => |l| p2::cli::terminal_stdin::add_to_linker::<Host, WasiCli>(l, Host::cli);
    "wasi:cli/terminal-stdout@0.2" => |l| p2::cli::terminal_stdout::add_to_linker::<Host, WasiCli>(l, Host::cli);
    "wasi:cli/terminal-stderr@0.2" => |l| p2::cli::terminal_stderr::add_to_linker::<Host, WasiCli>(l, Host::cli);
    "wasi:filesystem/preopens@0.2" => |l| p2::filesystem::preopens::add_to_linker::<Host, WasiFilesystem>(l, Host::filesystem);
    "wasi:filesystem/types@0.2" => |l| p2::filesystem::types::add_to_linker::<Host, WasiFilesystem>(l, Host::filesystem);
    "wasi:sockets/network@0.2" => |l| p2::sockets::network::add_to_linker::<Host, WasiSockets>(l, &p2::sockets::network::LinkOptions::default(), Host::sockets);
    "wasi:sockets/instance-network@0.2" => |l| p2::sockets::instance_network::add_to_linker::<Host, WasiSockets>(l, Host::sockets);
    "wasi:sockets/ip-name-lookup@0.2" => |l| p2::sockets::ip_name_lookup::add_to_linker::<Host, WasiSockets>(l, Host::sockets);
    "wasi:sockets/tcp@0.2" => |l| p2::sockets::tcp::add_to_linker::<Host, WasiSockets>(l, Host::sockets);
    "wasi:sockets/tcp-create-socket@0.2" => |l| p2::sockets::tcp_create_socket::add_to_linker::<Host, WasiSockets>(l, Host::sockets);
    "wasi:sockets/udp@0.2" => |l| p2::sockets::udp::add_to_linker::<Host, WasiSockets>(l, Host::sockets);
    "wasi:sockets/udp-create-socket@0.2" => |l| p2::sockets::udp_create_socket::add_to_linker::<Host, WasiSockets>(l, Host::sockets);
    "wasi:http/types@0.2" => |l| http02::types::add_to_linker::<Host, WasiHttp>(l, &http02::types::LinkOptions::default(), Host::http);
    "wasi:http/outgoing-handler@0.2" => |l| http02::outgoing_handler::add_to_linker::<Host, WasiHttp>(l, Host::http);
}

interfaces! { NAMES_03, link_03,
    "wasi:cli/environment@0.3" => |l| p3::bindings::cli::environment::add_to_linker::<Host, WasiCli>(l, Host::cli);
    "wasi:cli/exit@0.3" => |l| p3::bindings::cli::exit::add_to_linker::<Host, WasiCli>(l, Host::cli);
    "wasi:cli/stdin@0.3" => |l| p3::bindings::cli::stdin::add_to_linker::<Host, WasiCli>(l, Host::cli);
    "wasi:cli/stdout@0.3" => |l| p3::bindings::cli::stdout::add_to_linker::<Host, WasiCli>(l, Host::cli);
    "wasi:cli/stderr@0.3" => |l| p3::bindings::cli::stderr::add_to_linker::<Host, WasiCli>(l, Host::cli);
    "wasi:cli/terminal-input@0.3" => |l| p3::bindings::cli::terminal_input::add_to_linker::<Host, WasiCli>(l, Host::cli);
    "wasi:cli/terminal-output@0.3" => |l| p3::bindings::cli::terminal_output::add_to_linker::<Host, WasiCli>(l, Host::cli);
    "wasi:cli/terminal-stdin@0.3" => |l| p3::bindings::cli::terminal_stdin::add_to_linker::<Host, WasiCli>(l, Host::cli);
    "wasi:cli/terminal-stdout@0.3" => |l| p3::bindings::cli::terminal_stdout::add_to_linker::<Host, WasiCli>(l, Host::cli);
    "wasi:cli/terminal-stderr@0.3" => |l| p3::bindings::cli::terminal_stderr::add_to_linker::<Host, WasiCli>(l, Host::cli);
    "wasi:clocks/system-clock@0.3" => |l| p3::bindings::clocks::system_clock::add_to_linker::<Host, WasiClocks>(l, Host::clocks);
    "wasi:clocks/monotonic-clock@0.3" => |l| p3::bindings::clocks::monotonic_clock::add_to_linker::<Host, WasiClocks>(l, Host::clocks);
    "wasi:clocks/types@0.3" => |l| p3::bindings::clocks::types::add_to_linker::<Host, WasiClocks>(l, Host::clocks);
    "wasi:random/random@0.3" => |l| p3::bindings::random::random::add_to_linker::<Host, WasiRandom>(l, Host::random);
    "wasi:random/insecure@0.3" => |l| p3::bindings::random::insecure::add_to_linker::<Host, WasiRandom>(l, Host::random);
    "wasi:random/insecure-seed@0.3" => |l| p3::bindings::random::insecure_seed::add_to_linker::<Host, WasiRandom>(l, Host::random);
    "wasi:filesystem/preopens@0.3" => |l| p3::bindings::filesystem::preopens::add_to_linker::<Host, WasiFilesystem>(l, Host::filesystem);
    "wasi:filesystem/types@0.3" => |l| p3::bindings::filesystem::types::add_to_linker::<Host, WasiFilesystem>(l, Host::filesystem);
    "wasi:sockets/types@0.3" => |l| p3::bindings::sockets::types::add_to_linker::<Host, WasiSockets>(l, Host::sockets);
    "wasi:sockets/ip-name-lookup@0.3" => |l| p3::bindings::sockets::ip_name_lookup::add_to_linker::<Host, WasiSockets>(l, Host::sockets);
    "wasi:http/types@0.3" => |l| http03::types::add_to_linker::<Host, WasiHttp>(l, Host::http);
    "wasi:http/client@0.3" => |l| http03::client::add_to_linker::<Host, WasiHttp>(l, Host::http);
}

/// Interfaces of types only, which need no linking.
const TYPES_ONLY: &[&str] = &["wasi:cli/types@0.3"];

/// The module of every function of WASI preview 1.
const PREVIEW1: &str = "wasi_snapshot_preview1";

/// The functions of WASI preview 1, all of which its linker has.
const PREVIEW1_FUNCTIONS: &[&str] = &[
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "proc_raise",
    "random_get",
    "sched_yield",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

/// The linker of wasi:http 0.2 handlers and of commands.
pub(super) fn sequential(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    link_02(&mut linker)?;
    Ok(linker)
}

/// The linker of wasi:http 0.3 handlers. Their libraries import much of 0.2 as well.
pub(super) fn concurrent(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    link_02(&mut linker)?;
    link_03(&mut linker)?;
    Ok(linker)
}

/// The linker of preview 1 modules.
pub(super) fn preview1(engine: &wasmtime::Engine) -> wasmtime::Result<wasmtime::Linker<Host>> {
    let mut linker = wasmtime::Linker::new(engine);
    p1::add_to_linker_async(&mut linker, Host::preview1)?;
    // wasmtime's own traps for codes of 126 and more, which preview 1 allows. What a caller of the
    // command can keep of a code is the caller's to decide.
    linker.allow_shadowing(true);
    linker.func_wrap(PREVIEW1, "proc_exit", |code: i32| -> wasmtime::Result<()> {
        Err(I32Exit(code).into())
    })?;
    linker.allow_shadowing(false);
    Ok(linker)
}

/// The imports that the linker of a file of this kind lacks. `None` is a component of no known kind.
pub(super) fn missing(imports: &[String], kind: Option<Kind>) -> Vec<String> {
    let has = |import: &str| {
        let known = |names: &[&str]| names.iter().any(|name| matches(import, name));
        match kind {
            // A core module imports functions, which are named `MODULE NAME`.
            Some(Kind::CommandPreview1) => import
                .strip_prefix(PREVIEW1)
                .and_then(|rest| rest.strip_prefix(' '))
                .is_some_and(|function| PREVIEW1_FUNCTIONS.contains(&function)),
            Some(Kind::HttpHandler03) => known(NAMES_02) || known(NAMES_03) || known(TYPES_ONLY),
            Some(Kind::HttpHandler02 | Kind::Command02) | None => known(NAMES_02),
        }
    };
    imports
        .iter()
        .filter(|import| !has(import))
        .cloned()
        .collect()
}

/// Whether `import` is the interface `name` in a compatible version: `wasi:io/poll@0.2.6` matches
/// `wasi:io/poll@0.2`. Release candidates match nothing.
fn matches(import: &str, name: &str) -> bool {
    import
        .strip_prefix(name)
        .and_then(|rest| rest.strip_prefix('.'))
        .is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_matches_its_line_of_releases() {
        let check = |import: &str, name, expected| {
            assert_eq!(matches(import, name), expected, "{import}");
        };
        check("wasi:io/poll@0.2.0", "wasi:io/poll@0.2", true);
        check("wasi:io/poll@0.2.11", "wasi:io/poll@0.2", true);
        check("wasi:io/poll@0.3.0", "wasi:io/poll@0.2", false);
        check(
            "wasi:io/poll@0.2.0-rc-2023-11-10",
            "wasi:io/poll@0.2",
            false,
        );
        check("wasi:io/poll", "wasi:io/poll@0.2", false);
        check("wasi:io/pollen@0.2.0", "wasi:io/poll@0.2", false);
    }

    #[test]
    fn missing_imports_are_named() {
        let imports = [
            "wasi:io/poll@0.2.0",
            "wasi:keyvalue/store@0.2.0",
            "wasi:http/client@0.3.0",
        ]
        .map(str::to_owned);
        let of = |kind| missing(&imports, Some(kind));
        assert_eq!(of(Kind::HttpHandler03), ["wasi:keyvalue/store@0.2.0"]);
        let both = ["wasi:keyvalue/store@0.2.0", "wasi:http/client@0.3.0"];
        assert_eq!(of(Kind::HttpHandler02), both);
        assert_eq!(of(Kind::Command02), both);

        let imports = [
            "wasi_snapshot_preview1 fd_write",
            "wasi_snapshot_preview1 sock_open",
            "wasi_unstable fd_write",
            "env fd_write",
        ]
        .map(str::to_owned);
        assert_eq!(missing(&imports, Some(Kind::CommandPreview1)), imports[1..]);
    }

    #[test]
    fn the_linker_has_every_listed_function_of_preview_1() {
        let engine = wasmtime::Engine::default();
        let linker = preview1(&engine).expect("a linker");
        let is_unknown = |name: &str| {
            let text = format!("(module (import \"{PREVIEW1}\" \"{name}\" (func (param v128))))");
            let bytes = wat::parse_str(text).expect("it is a module");
            let module = wasmtime::Module::new(&engine, bytes).expect("it compiles");
            // No function of preview 1 has this type.
            let error = linker.instantiate_pre(&module).err().expect("another type");
            error.is::<wasmtime::UnknownImportError>()
        };
        for name in PREVIEW1_FUNCTIONS {
            assert!(!is_unknown(name), "{name}");
        }
        assert!(is_unknown("sock_open"));
    }
}
