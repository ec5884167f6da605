//! The URLs at which functions answer, as a person on this machine writes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sampan_spec::FunctionName;

/// Where the server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    host: IpAddr,
    port: u16,
}

impl Base {
    /// For a server that listens on these addresses; the first one counts.
    pub(crate) fn of(addresses: &[SocketAddr]) -> Option<Self> {
        let address = addresses.first()?;
        // What listens on every interface is reached from here on the loopback one.
        let host = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Some(Self {
            host,
            port: address.port(),
        })
    }

    /// The server itself.
    pub(crate) fn url(&self) -> String {
        match self.host {
            IpAddr::V4(ip) => format!("http://{ip}{}", self.port()),
            IpAddr::V6(ip) => format!("http://[{ip}]{}", self.port()),
        }
    }

    /// Every URL of a function, without a path of its own.
    pub(crate) fn function(&self, name: &FunctionName) -> Vec<String> {
        let mut urls = vec![format!("{}/function/{name}", self.url())];
        // Those names always mean this machine's loopback interface.
        if self.host.is_loopback() {
            urls.push(format!("http://{name}.localhost{}", self.port()));
        }
        urls
    }

    fn port(&self) -> String {
        if self.port == 80 {
            String::new()
        } else {
            format!(":{}", self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_can_be_called_from_here() {
        fn check(address: &str, expected: &[&str]) {
            let address = address.parse().expect("the test's addresses are addresses");
            let base = Base::of(&[address]).expect("there is an address");
            let name = "aes".parse().expect("it is a name");
            assert_eq!(base.function(&name), expected, "{address}");
        }
        check(
            "127.0.0.1:8080",
            &[
                "http://127.0.0.1:8080/function/aes",
                "http://aes.localhost:8080",
            ],
        );
        check(
            "0.0.0.0:80",
            &["http://127.0.0.1/function/aes", "http://aes.localhost"],
        );
        check(
            "[::]:81",
            &["http://[::1]:81/function/aes", "http://aes.localhost:81"],
        );
        check("10.0.0.5:8080", &["http://10.0.0.5:8080/function/aes"]);
        assert_eq!(Base::of(&[]), None);
    }
}
