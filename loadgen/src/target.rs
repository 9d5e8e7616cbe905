//! The server's address: reachable, and on this machine unless a remote one is allowed.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};

use hyper::Uri;
use thiserror::Error;

/// A reachable server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The address for connections.
    pub address: SocketAddr,
    /// Host and port as given, for the `Host` header.
    pub authority: String,
}

/// Why a URL gives no [`Target`].
#[derive(Debug, Error)]
pub enum TargetError {
    /// The text is not a server's URL.
    #[error("{url:?} is not a server's URL, such as http://127.0.0.1:8080")]
    NotAUrl {
        /// The text.
        url: String,
    },
    /// TLS is not supported.
    #[error("{url:?}: only http:// is supported")]
    NotHttp {
        /// The text.
        url: String,
    },
    /// The name does not resolve.
    #[error("{authority} has no address: {reason}")]
    Unknown {
        /// The authority.
        authority: String,
        /// The system's error.
        reason: io::Error,
    },
    /// A remote server requires a flag.
    #[error(
        "{address} is not this machine; use --allow-remote to send load to another, which may take it for an attack"
    )]
    Remote {
        /// The resolved address.
        address: SocketAddr,
    },
    /// Nothing listens.
    #[error("cannot reach {authority}: {reason}")]
    Unreachable {
        /// The authority.
        authority: String,
        /// The system's error.
        reason: io::Error,
    },
}

impl Target {
    /// Resolves a URL and connects once to check that a server listens.
    ///
    /// # Errors
    /// [`TargetError`]: not a URL, a remote address without `allow_remote`, or no connection.
    pub fn find(url: &str, allow_remote: bool) -> Result<Target, TargetError> {
        let authority = authority(url)?;
        let unknown = |reason| TargetError::Unknown { authority: authority.clone(), reason };
        let addresses: Vec<_> = authority.to_socket_addrs().map_err(unknown)?.collect();
        match addresses.iter().find(|address| !address.ip().is_loopback()) {
            Some(&address) if !allow_remote => return Err(TargetError::Remote { address }),
            _ => {}
        }
        // A name may have several addresses of which only one listens.
        let reached = TcpStream::connect(&addresses[..]).and_then(|stream| stream.peer_addr());
        match reached {
            Ok(address) => Ok(Target { address, authority }),
            Err(reason) => Err(TargetError::Unreachable { authority, reason }),
        }
    }
}

/// Host and port.
fn authority(url: &str) -> Result<String, TargetError> {
    let not_a_url = || TargetError::NotAUrl { url: url.to_owned() };
    let uri: Uri = url.parse().map_err(|_| not_a_url())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(not_a_url()) };
    if scheme != "http" {
        return Err(TargetError::NotHttp { url: url.to_owned() });
    }
    if uri.path() != "/" || uri.query().is_some() || authority.as_str().contains('@') {
        return Err(not_a_url());
    }
    Ok(format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80)))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn error(url: &str) -> String {
        Target::find(url, false).unwrap_err().to_string()
    }

    #[test]
    fn a_listening_server_of_this_machine_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for host in ["127.0.0.1", "localhost"] {
            let target = Target::find(&format!("http://{host}:{}", address.port()), false).unwrap();
            assert_eq!((target.address, target.authority), (address, format!("{host}:{}", address.port())));
        }
    }

    #[test]
    fn another_machine_is_refused_before_anything_is_sent() {
        // Addresses reserved for documentation.
        for url in ["http://192.0.2.1:80", "http://[2001:db8::1]:80"] {
            assert!(error(url).contains("is not this machine; use --allow-remote"), "{url}: {}", error(url));
        }
    }

    #[test]
    fn what_is_no_url_of_a_server_is_named() {
        for url in
            ["", "127.0.0.1:8080", "http://", "http://127.0.0.1/classify", "http://127.0.0.1/?x", "http://a@b", "x y"]
        {
            assert_eq!(error(url), format!("{url:?} is not a server's URL, such as http://127.0.0.1:8080"));
        }
        assert_eq!(error("https://127.0.0.1:1"), "\"https://127.0.0.1:1\": only http:// is supported");
    }
}
