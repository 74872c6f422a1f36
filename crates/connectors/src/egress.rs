//! Where the server may connect to: one policy for targets, callouts and sign-in providers.
//!
//! The policy judges *addresses*, never names, and it is asked about the address that is really
//! connected: names are resolved here, refused answers are dropped before anyone can connect to
//! them, and addresses that carry another one inside (IPv4-mapped, NAT64, 6to4, Teredo, ISATAP)
//! are judged by both.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use accede_domain::fault::{Class, Fault};
use ipnet::IpNet;
use tokio::net::TcpStream;

/// Networks that no setting opens, with the reason that people read.
///
/// Metadata services hand out the machine's own credentials to whoever asks, so they are listed
/// even where they sit in otherwise ordinary networks.
const NEVER: &[(&str, &str)] = &[
    ("0.0.0.0/8", "an unspecified address"),
    ("100.100.100.200/32", "a cloud metadata address"),
    ("168.63.129.16/32", "a cloud metadata address"),
    ("169.254.0.0/16", "a link-local or cloud metadata address"),
    ("192.0.0.0/24", "an address reserved for protocols"),
    ("192.0.2.0/24", "an address reserved for documentation"),
    ("198.18.0.0/15", "an address reserved for benchmarks"),
    ("198.51.100.0/24", "an address reserved for documentation"),
    ("203.0.113.0/24", "an address reserved for documentation"),
    ("224.0.0.0/4", "a multicast address"),
    ("240.0.0.0/4", "a reserved or broadcast address"),
    ("::/128", "an unspecified address"),
    ("100::/64", "a discard address"),
    ("2001:db8::/32", "an address reserved for documentation"),
    ("3fff::/20", "an address reserved for documentation"),
    ("fd00:ec2::254/128", "a cloud metadata address"),
    ("fd20:ce::254/128", "a cloud metadata address"),
    ("fe80::/10", "a link-local address"),
    ("fec0::/10", "a deprecated site-local address"),
    ("ff00::/8", "a multicast address"),
];

/// Which addresses may be connected to.
///
/// In order: networks that are never allowed; `deny`; loopback, only if `allow` names a loopback
/// network; and, as soon as `allow` names any other network, only what `allow` names. With both
/// lists empty, public and private networks are allowed and loopback is not.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
}

/// A network in the configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{network}` in `egress.{list}` {problem}")]
pub struct BadNetwork {
    /// Which list: `allow` or `deny`.
    pub list: &'static str,
    /// What was written.
    pub network: String,
    /// What is wrong and what to write instead.
    pub problem: String,
}

/// An address that the policy refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("connecting to {address} is not allowed: it is {reason}")]
pub struct Denied {
    /// The address that was asked for.
    pub address: IpAddr,
    /// Why, for people.
    pub reason: String,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The policy refuses every address of the host.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The name has no address, or nobody could say.
    #[error("the name `{host}` could not be resolved")]
    Dns {
        /// The host that was asked for.
        host: String,
        /// What the resolver said.
        source: std::io::Error,
    },
    /// No allowed address answered.
    #[error("`{host}` port {port} could not be reached")]
    Refused {
        /// The host that was asked for.
        host: String,
        /// The port that was asked for.
        port: u16,
        /// What the last address said.
        source: std::io::Error,
    },
}

impl ConnectError {
    /// What it means for a call that could not be made; `setting` says where the host is given.
    pub fn fault(self, setting: &str) -> Fault {
        match self {
            ConnectError::Denied(denied) => denied.fault(),
            ConnectError::Dns { host, .. } => {
                let message = format!("the name `{host}` could not be resolved; check `{setting}`");
                Fault::new(Class::Target, "dns", message)
            }
            ConnectError::Refused { host, port, source } => {
                let message = format!("`{host}` port {port} could not be reached: {source}");
                Fault::new(Class::Transient, "unreachable", message)
            }
        }
    }
}

impl Denied {
    /// What it means for a call that may not be made.
    pub fn fault(&self) -> Fault {
        let message = format!("{self}; see `egress.allow` in the configuration");
        Fault::new(Class::Target, "egress-denied", message)
    }
}

impl Policy {
    /// A policy from lists of networks such as `10.0.0.0/8`, `::1/128` or a single address.
    pub fn parse<S: AsRef<str>>(allow: &[S], deny: &[S]) -> Result<Policy, BadNetwork> {
        let read = |list: &'static str, texts: &[S]| -> Result<Vec<IpNet>, BadNetwork> {
            texts.iter().map(|text| network(list, text.as_ref())).collect()
        };
        let policy = Policy { allow: read("allow", allow)?, deny: read("deny", deny)? };
        for net in &policy.allow {
            if let Some((_, reason)) = never().find(|(never, _)| never.contains(net)) {
                let problem = format!("can never be allowed: it is {reason}; remove it");
                return Err(BadNetwork { list: "allow", network: net.to_string(), problem });
            }
        }
        Ok(policy)
    }

    /// Answers whether this address may be connected to.
    pub fn permits(&self, address: IpAddr) -> Result<(), Denied> {
        for candidate in faces(address) {
            self.permits_face(candidate)
                .map_err(|reason| Denied { address, reason: via(address, candidate, &reason) })?;
        }
        Ok(())
    }

    fn permits_face(&self, address: IpAddr) -> Result<(), String> {
        if let Some((_, reason)) = never().find(|(net, _)| net.contains(&address)) {
            return Err(reason.to_owned());
        }
        if let Some(net) = self.deny.iter().find(|net| net.contains(&address)) {
            return Err(format!("in `{net}`, which `egress.deny` names"));
        }
        let named = self
            .allow
            .iter()
            .any(|net| is_loopback(net) == address.is_loopback() && net.contains(&address));
        if address.is_loopback() && !named {
            return Err("a loopback address, which `egress.allow` does not name".to_owned());
        }
        let complete_list = self.allow.iter().any(|net| !is_loopback(net));
        if !address.is_loopback() && complete_list && !named {
            return Err("not in any network that `egress.allow` names".to_owned());
        }
        Ok(())
    }

    /// The allowed addresses of a host; refused ones are dropped, and only refused ones is an error.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let found: Vec<SocketAddr> = match bare.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => tokio::net::lookup_host((bare, port))
                .await
                .map_err(|source| ConnectError::Dns { host: host.to_owned(), source })?
                .collect(),
        };
        let mut refused = None;
        let mut allowed = Vec::new();
        for socket in found {
            match self.permits(socket.ip()) {
                Ok(()) => allowed.push(socket),
                Err(denied) => refused = Some(denied),
            }
        }
        match (allowed.is_empty(), refused) {
            (false, _) => Ok(allowed),
            (true, Some(denied)) => Err(denied.into()),
            (true, None) => Err(ConnectError::Dns {
                host: host.to_owned(),
                source: std::io::Error::new(std::io::ErrorKind::NotFound, "no addresses"),
            }),
        }
    }

    /// Connects to the first allowed address that answers.
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "no addresses");
        for socket in self.resolve(host, port).await? {
            match TcpStream::connect(socket).await {
                Ok(stream) => {
                    // INVARIANT: what counts is the address at the other end, not the one asked for.
                    let peer = stream.peer_addr().map_err(|source| refused(host, port, source))?;
                    self.permits(peer.ip())?;
                    stream.set_nodelay(true).map_err(|source| refused(host, port, source))?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(refused(host, port, last))
    }

    /// Answers whether a URL's host is an address that the policy refuses. Names are judged when
    /// they are resolved.
    pub fn permits_url(&self, url: &url::Url) -> Result<(), Denied> {
        match url.host() {
            Some(url::Host::Ipv4(address)) => self.permits(address.into()),
            Some(url::Host::Ipv6(address)) => self.permits(address.into()),
            Some(url::Host::Domain(_)) | None => Ok(()),
        }
    }
}

/// A name resolver for HTTP clients that answers with allowed addresses only.
#[derive(Debug, Clone)]
pub struct Resolver(pub Arc<Policy>);

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let policy = Arc::clone(&self.0);
        Box::pin(async move {
            let found = policy.resolve(name.as_str(), 0).await?;
            let found: reqwest::dns::Addrs = Box::new(found.into_iter());
            Ok(found)
        })
    }
}

fn refused(host: &str, port: u16, source: std::io::Error) -> ConnectError {
    ConnectError::Refused { host: host.to_owned(), port, source }
}

fn never() -> impl Iterator<Item = (IpNet, &'static str)> {
    NEVER.iter().filter_map(|(net, reason)| Some((net.parse().ok()?, *reason)))
}

fn is_loopback(net: &IpNet) -> bool {
    match net {
        IpNet::V4(net) => net.network().is_loopback() && net.prefix_len() >= 8,
        IpNet::V6(net) => net.network() == Ipv6Addr::LOCALHOST && net.prefix_len() == 128,
    }
}

fn network(list: &'static str, text: &str) -> Result<IpNet, BadNetwork> {
    let bad = |problem: String| BadNetwork { list, network: text.to_owned(), problem };
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    let net: IpNet = text.parse().map_err(|_| {
        bad("is not a network; write it like `10.0.0.0/8`, `fd00::/8` or `192.168.1.7`".to_owned())
    })?;
    if net.addr() != net.network() {
        return Err(bad(format!("has bits set behind its prefix; write `{}`", net.trunc())));
    }
    Ok(net)
}

/// The address itself and every IPv4 address that travels inside it.
fn faces(address: IpAddr) -> Vec<IpAddr> {
    let IpAddr::V6(v6) = address else { return vec![address] };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| {
        let [[w, x], [y, z]] = [high.to_be_bytes(), low.to_be_bytes()];
        IpAddr::V4(Ipv4Addr::new(w, x, y, z))
    };
    let mut faces = Vec::new();
    match (a, b, c, d, e, f) {
        // IPv4-mapped is IPv4 in every respect; the outer form says nothing of its own.
        (0, 0, 0, 0, 0, 0xffff) => return vec![v4(g, h)],
        // IPv4-compatible and IPv4-translated (RFC 2765), but not `::` and `::1`.
        (0, 0, 0, 0, 0, 0) if 1 < h || 0 < g => faces.push(v4(g, h)),
        (0, 0, 0, 0, 0xffff, 0) => faces.push(v4(g, h)),
        // NAT64: the well-known prefix and the one for local use (RFC 8215, /96 form).
        (0x64, 0xff9b, 0, 0, 0, 0) | (0x64, 0xff9b, 1, _, _, _) => faces.push(v4(g, h)),
        // 6to4.
        (0x2002, _, _, _, _, _) => faces.push(v4(b, c)),
        // Teredo carries its server in the open and its client inverted.
        (0x2001, 0, _, _, _, _) => faces.extend([v4(c, d), v4(!g, !h)]),
        _ => {}
    }
    // ISATAP interface identifiers.
    if (e == 0 || e == 0x0200) && f == 0x5efe {
        faces.push(v4(g, h));
    }
    faces.push(address);
    faces
}

fn via(asked: IpAddr, judged: IpAddr, reason: &str) -> String {
    if asked == judged || asked.to_canonical() == judged {
        reason.to_owned()
    } else {
        format!("a way to {judged}, {reason}")
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |nets: &[IpNet]| nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        write!(f, "allow [{}], deny [{}]", list(&self.allow), list(&self.deny))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn policy(allow: &[&str], deny: &[&str]) -> Policy {
        Policy::parse(allow, deny).unwrap()
    }

    #[test]
    fn each_address_is_judged_as_the_table_says() {
        let open = policy(&[], &[]);
        let with_loopback = policy(&["127.0.0.0/8", "::1"], &[]);
        let listed = policy(&["10.1.0.0/16", "fd12::/16"], &["10.1.9.0/24"]);
        let anything = policy(&["0.0.0.0/0", "::/0"], &[]);
        #[rustfmt::skip]
        let table: &[(&Policy, &str, bool)] = &[
            // By default: public and private networks.
            (&open, "10.0.0.1", true), (&open, "10.255.255.255", true),
            (&open, "172.16.0.1", true), (&open, "172.31.255.254", true),
            (&open, "192.168.1.1", true), (&open, "100.64.0.1", true),
            (&open, "93.184.216.34", true), (&open, "8.8.8.8", true),
            (&open, "fd12:3456::1", true), (&open, "2606:4700::1111", true),
            // Loopback only when named.
            (&open, "127.0.0.1", false), (&open, "127.255.255.254", false), (&open, "::1", false),
            (&open, "::ffff:127.0.0.1", false), (&open, "::127.0.0.1", false),
            (&with_loopback, "127.0.0.1", true), (&with_loopback, "127.8.8.8", true),
            (&with_loopback, "::1", true), (&with_loopback, "::ffff:127.0.0.1", true),
            (&with_loopback, "10.0.0.1", true), (&with_loopback, "169.254.169.254", false),
            (&with_loopback, "0.0.0.0", false), (&with_loopback, "::", false),
            // Never: link-local, metadata, unspecified, multicast, reserved, documentation.
            (&open, "169.254.169.254", false), (&open, "169.254.0.1", false),
            (&open, "169.254.170.2", false), (&open, "100.100.100.200", false),
            (&open, "168.63.129.16", false), (&open, "192.0.0.192", false),
            (&open, "fd00:ec2::254", false), (&open, "fd20:ce::254", false),
            (&open, "0.0.0.0", false), (&open, "0.1.2.3", false), (&open, "::", false),
            (&open, "224.0.0.1", false), (&open, "239.255.255.250", false),
            (&open, "240.0.0.1", false), (&open, "255.255.255.255", false),
            (&open, "192.0.2.1", false), (&open, "198.18.0.1", false), (&open, "203.0.113.9", false),
            (&open, "fe80::1", false), (&open, "febf::1", false), (&open, "fec0::1", false),
            (&open, "ff02::1", false), (&open, "2001:db8::1", false), (&open, "100::1", false),
            // Addresses inside addresses.
            (&open, "::ffff:169.254.169.254", false), (&open, "::ffff:10.0.0.1", true),
            (&open, "64:ff9b::a9fe:a9fe", false), (&open, "64:ff9b::7f00:1", false),
            (&open, "64:ff9b::808:808", true), (&open, "64:ff9b:1::a9fe:a9fe", false),
            (&open, "2002:a9fe:a9fe::1", false), (&open, "2002:7f00:1::", false),
            (&open, "2002:808:808::1", true), (&open, "::ffff:0:169.254.169.254", false),
            (&open, "::169.254.169.254", false),
            (&open, "2001:0:a9fe:a9fe::f7f7:f7f7", false), // Teredo server is metadata
            (&open, "2001:0:808:808::5601:5601", false),   // Teredo client is 169.254.169.254
            (&open, "fd12::5efe:169.254.169.254", false), (&open, "fd12::200:5efe:7f00:1", false),
            // A list is complete as soon as it names more than loopback; deny wins.
            (&listed, "10.1.2.3", true), (&listed, "10.1.9.3", false), (&listed, "10.2.0.1", false),
            (&listed, "8.8.8.8", false), (&listed, "fd12::9", true), (&listed, "fd13::9", false),
            (&listed, "127.0.0.1", false), (&listed, "::ffff:10.1.9.3", false),
            // Naming everything does not name loopback, nor what is never allowed.
            (&anything, "8.8.8.8", true), (&anything, "127.0.0.1", false), (&anything, "::1", false),
            (&anything, "169.254.169.254", false), (&anything, "fe80::1", false),
        ];
        assert!(45 <= table.len());
        for (policy, address, permitted) in table {
            let answer = policy.permits(address.parse().unwrap());
            assert_eq!(answer.is_ok(), *permitted, "{policy}: {address}: {answer:?}");
        }
    }

    #[test]
    fn other_spellings_of_an_address_in_a_url_are_the_same_address() {
        let open = policy(&[], &[]);
        for host in
            ["2130706433", "0x7f.1", "017700000001", "127.1", "127.0.0.1.", "[::ffff:7f00:1]"]
        {
            let url = url::Url::parse(&format!("https://{host}/scim")).unwrap();
            assert!(open.permits_url(&url).is_err(), "{host} came through as {:?}", url.host());
        }
    }

    #[test]
    fn a_bad_network_is_named_with_its_remedy() {
        let error = Policy::parse(&["10.1.2.3/8"], &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`10.1.2.3/8` in `egress.allow` has bits set behind its prefix; write `10.0.0.0/8`"
        );
        assert!(Policy::parse(&[], &["intranet"]).unwrap_err().to_string().contains("`intranet`"));
        let error = Policy::parse(&["169.254.169.254"], &[]).unwrap_err();
        assert!(error.to_string().contains("can never be allowed"), "{error}");
    }

    #[test]
    fn every_network_of_the_never_list_parses() {
        assert_eq!(never().count(), NEVER.len());
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_refused_addresses_only_is_denied() {
        match policy(&[], &[]).resolve("localhost", 80).await {
            Err(ConnectError::Denied(denied)) => assert!(denied.address.is_loopback()),
            other => panic!("{other:?}"),
        }
        let allowed = policy(&["127.0.0.0/8"], &[]).resolve("localhost", 80).await.unwrap();
        assert!(allowed.iter().all(|socket| socket.is_ipv4()), "::1 was not named");
    }
}
