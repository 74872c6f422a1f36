//! Where a client is: the address of its connection or, behind a trusted proxy, what the proxy says.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Extension;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use ipnet::IpNet;

/// Proxies whose `X-Forwarded-For` counts; in the request's extensions.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(pub Arc<Vec<IpNet>>);

/// The client's address.
#[derive(Debug, Clone, Copy)]
pub struct ClientAddress(pub IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &S,
    ) -> Result<ClientAddress, std::convert::Infallible> {
        let connected = ConnectInfo::<SocketAddr>::from_request_parts(parts, state).await;
        // Without a connection there is only this process.
        let peer = connected.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.0.ip());
        let proxies = Extension::<TrustedProxies>::from_request_parts(parts, state).await;
        let proxies = proxies.map(|proxies| proxies.0).unwrap_or_default();
        Ok(ClientAddress(client(peer, &parts.headers, &proxies.0)))
    }
}

/// The last address that no trusted proxy vouches for being another's.
fn client(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let trusted = |address: IpAddr| proxies.iter().any(|net| net.contains(&address.to_canonical()));
    let mut at = peer;
    if !trusted(at) {
        return at;
    }
    let hops: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    for hop in hops.into_iter().rev() {
        let hop = hop.trim();
        let parsed =
            hop.parse::<IpAddr>().or_else(|_| hop.parse::<SocketAddr>().map(|hop| hop.ip()));
        let Ok(address) = parsed else { return at };
        at = address;
        if !trusted(at) {
            return at;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    fn seen(peer: &str, forwarded: &[&str], proxies: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let proxies: Vec<IpNet> = proxies.iter().map(|net| net.parse().unwrap()).collect();
        client(peer.parse().unwrap(), &headers, &proxies).to_string()
    }

    #[test]
    fn nobody_chooses_their_own_address() {
        assert_eq!(seen("198.51.100.7", &["10.0.0.1"], &[]), "198.51.100.7");
        assert_eq!(seen("198.51.100.7", &["10.0.0.1"], &["10.0.0.0/8"]), "198.51.100.7");
        let forged = ["1.2.3.4, 198.51.100.7"];
        assert_eq!(seen("10.0.0.1", &forged, &["10.0.0.0/8"]), "198.51.100.7");
    }

    #[test]
    fn trusted_proxies_say_where_a_client_is() {
        let nets = ["10.0.0.0/8", "192.0.2.1/32"];
        assert_eq!(seen("10.0.0.1", &["198.51.100.7", "192.0.2.1"], &nets), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", &["198.51.100.7:4711"], &nets), "198.51.100.7");
        assert_eq!(seen("::ffff:10.0.0.1", &["198.51.100.7"], &nets), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", &["unknown"], &nets), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &[], &nets), "10.0.0.1");
    }
}
