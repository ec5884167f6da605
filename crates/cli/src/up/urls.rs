//! URLs of functions, for use on this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sampan_spec::FunctionName;

/// The server's address in URLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BaseUrl {
    host: IpAddr,
    port: u16,
}

impl BaseUrl {
    /// Makes the base for a server with these addresses; the first one counts.
    pub(crate) fn of(addresses: &[SocketAddr]) -> Option<Self> {
        let address = addresses.first()?;
        // A server on all interfaces is reached on the loopback interface.
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

    /// The URL of the server.
    pub(crate) fn url(&self) -> String {
        match self.host {
            IpAddr::V4(ip) => format!("http://{ip}{}", self.port()),
            IpAddr::V6(ip) => format!("http://[{ip}]{}", self.port()),
        }
    }

    /// Every URL of a function, without a path.
    pub(crate) fn function(&self, name: &FunctionName) -> Vec<String> {
        let mut urls = vec![format!("{}/function/{name}", self.url())];
        // These names always resolve to this machine's loopback interface.
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
            let base = BaseUrl::of(&[address]).expect("there is an address");
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
        assert_eq!(BaseUrl::of(&[]), None);
    }
}
