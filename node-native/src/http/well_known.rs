//! `/.well-known/neuromesh`: how to reach this node, for pages that know only its origin.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use neuromesh::{Multiaddr, PeerId};
use serde_json::json;

use super::{Api, ApiError};

/// The longest name of a host (RFC 1035).
const MAX_HOST: usize = 253;

pub(super) async fn document(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let mesh = api.mesh()?;
    let listening = mesh.addresses().await?;
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).and_then(host_of);
    let body = json!({
        "peerId": mesh.id(),
        "tier": api.tier,
        "addresses": addresses(&listening, host.as_ref(), mesh.id()),
        "version": env!("CARGO_PKG_VERSION"),
    });
    let mut response = axum::Json(body).into_response();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// The host that the caller used, without its port.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Ip(IpAddr),
    Name(String),
}

fn host_of(header: &str) -> Option<Host> {
    let host = match header.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => header.rsplit_once(':').map_or(header, |(host, _)| host),
    };
    if let Ok(ip) = host.parse() {
        return Some(Host::Ip(ip));
    }
    let valid = (1..=MAX_HOST).contains(&host.len())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    valid.then(|| Host::Name(host.to_ascii_lowercase()))
}

impl Host {
    fn is_loopback(&self) -> bool {
        match self {
            Self::Ip(ip) => ip.is_loopback(),
            Self::Name(name) => name == "localhost",
        }
    }

    fn component(&self) -> String {
        match self {
            Self::Ip(IpAddr::V4(ip)) => format!("/ip4/{ip}"),
            Self::Ip(IpAddr::V6(ip)) => format!("/ip6/{ip}"),
            Self::Name(name) => format!("/dns4/{name}"),
        }
    }
}

/// First the WebSocket addresses under the name that the caller used for this origin: where the page came from, the
/// mesh is too. Then all others.
fn addresses(listening: &[Multiaddr], host: Option<&Host>, id: PeerId) -> Vec<String> {
    let mut first = BTreeSet::new();
    for address in listening.iter().map(ToString::to_string) {
        let parts: Vec<_> = address.split('/').collect();
        let ["", "ip4" | "ip6", ip, "tcp", port, "ws", ..] = parts[..] else { continue };
        let local = ip.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        match host {
            // A listener on this machine only is of no use under a name that others use.
            Some(host) if !local || host.is_loopback() => {
                first.insert(format!("{}/tcp/{port}/ws/p2p/{id}", host.component()));
            }
            _ => {}
        }
    }
    let others: Vec<_> = listening.iter().map(ToString::to_string).filter(|address| !first.contains(address)).collect();
    first.into_iter().chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_name_for_the_node_comes_first() {
        let id = PeerId::from_public_key([7; 32]);
        let listening: Vec<Multiaddr> =
            ["/ip4/10.0.0.5/tcp/4711/ws", "/ip4/127.0.0.1/tcp/9/ws", "/ip4/10.0.0.5/tcp/4710"]
                .map(|text| format!("{text}/p2p/{id}").parse().expect("valid"))
                .to_vec();
        let of = |host: &str| addresses(&listening, host_of(host).as_ref(), id);
        assert_eq!(of("mesh.example.org:8080")[0], format!("/dns4/mesh.example.org/tcp/4711/ws/p2p/{id}"));
        assert_eq!(of("mesh.example.org:8080").len(), 4);
        assert_eq!(of("10.0.0.5").len(), 3, "nothing twice");
        assert_eq!(of("[::1]:80")[0], format!("/ip6/::1/tcp/4711/ws/p2p/{id}"));
        assert!(of("localhost:80").contains(&format!("/dns4/localhost/tcp/9/ws/p2p/{id}")));
        for bad in ["", "a/b", "x y", "[::1", "é.example", &"a".repeat(300)] {
            assert_eq!(of(bad).len(), 3, "{bad}");
        }
    }
}
