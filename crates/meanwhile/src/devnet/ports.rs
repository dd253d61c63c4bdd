//! Which ports the validators of a development network listen on.
//!
//! Validator i serves HTTP on the first port + i and other validators on the first port + 500 + i.
//! Electrum, Bitcoin's remote procedure calls and Bitcoin's network have first ports of their own,
//! by habit those that Bitcoin's software looks at (the last two lie side by side, so they count in
//! steps of two); a network whose HTTP is elsewhere has them there
//! too, so that two networks do not meet unless somebody says so. The ports among validators are
//! below the range from which the system takes the ports of outgoing connections, so that a
//! validator's own connection never takes the port of its neighbour.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;

use crate::error::Failure;

/// The first port of HTTP when nobody says.
pub(crate) const HTTP_DEFAULT: u16 = 3_000;
/// How far the ports among validators lie above those of HTTP.
const MESH_OFFSET: u16 = 500;
/// Where Electrum's clients look, and how far above HTTP it is elsewhere.
const ELECTRUM: Habit = Habit { port: 50_001, offset: 1_000, step: 1 };
/// Where `bitcoin-cli` looks on a regtest network, and how far above HTTP it is elsewhere.
const RPC: Habit = Habit { port: 18_443, offset: 2_000, step: 2 };
/// Where Bitcoin's full nodes look on a regtest network, and how far above HTTP it is elsewhere.
const BITCOIN_P2P: Habit = Habit { port: 18_444, offset: 2_001, step: 2 };

/// Where Lightning nodes look, and how far above HTTP it is elsewhere.
const LIGHTNING: Habit = Habit { port: 9_735, offset: 990, step: 2 };
/// Where the providers answer wallets.
const LSP_API: Habit = Habit { port: 9_736, offset: 991, step: 2 };
/// How many Lightning service providers there are: one holds a payment for the other's wallet.
const PROVIDERS: u16 = 2;

/// A port by habit.
#[derive(Clone, Copy, Debug)]
struct Habit {
    port: u16,
    offset: u16,
    /// How far a validator's port lies above the one before.
    step: u16,
}

/// The first ports, as far as somebody named them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct First {
    /// HTTP.
    pub(crate) http: u16,
    /// Electrum's protocol.
    pub(crate) electrum: Option<u16>,
    /// Bitcoin Core's remote procedure calls.
    pub(crate) rpc: Option<u16>,
    /// Bitcoin's own network.
    pub(crate) bitcoin_p2p: Option<u16>,
}

/// The addresses of one validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// Where it serves HTTP.
    pub(crate) http: SocketAddr,
    /// Where it serves Electrum's protocol.
    pub(crate) electrum: SocketAddr,
    /// Where it serves Bitcoin Core's remote procedure calls.
    pub(crate) rpc: SocketAddr,
    /// Where it serves Bitcoin's own network.
    pub(crate) bitcoin_p2p: SocketAddr,
    /// Where it serves other validators.
    pub(crate) mesh: SocketAddr,
}

/// The addresses of a Lightning service provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LspAddresses {
    /// Where its Lightning node listens.
    pub(crate) lightning: SocketAddr,
    /// Where it answers wallets.
    pub(crate) api: SocketAddr,
}

impl Habit {
    /// The port of one validator, when the first one is named or follows from that of HTTP.
    fn port(self, http: u16, named: Option<u16>, index: u16) -> Option<SocketAddr> {
        let first = match named {
            Some(port) => port,
            None if http == HTTP_DEFAULT => self.port,
            None => http.checked_add(self.offset)?,
        };
        first.checked_add(index.checked_mul(self.step)?).map(loopback)
    }
}

impl Addresses {
    /// Every address and what it is for.
    fn all(&self) -> [(SocketAddr, &'static str); 5] {
        [
            (self.http, "HTTP"),
            (self.electrum, "Electrum"),
            (self.rpc, "Bitcoin's calls"),
            (self.bitcoin_p2p, "Bitcoin's network"),
            (self.mesh, "peers"),
        ]
    }
}

/// The addresses of every validator.
///
/// # Errors
/// When there are not so many ports.
pub(crate) fn plan(first: First, validators: u16) -> Result<Vec<Addresses>, Failure> {
    let range = || Failure::PortRange { first: first.http, validators };
    if first.http == 0 || validators > MESH_OFFSET {
        return Err(range());
    }
    let plan = |index: u16| {
        let http = first.http.checked_add(index)?;
        Some(Addresses {
            http: loopback(http),
            electrum: ELECTRUM.port(first.http, first.electrum, index)?,
            rpc: RPC.port(first.http, first.rpc, index)?,
            bitcoin_p2p: BITCOIN_P2P.port(first.http, first.bitcoin_p2p, index)?,
            mesh: loopback(http.checked_add(MESH_OFFSET)?),
        })
    };
    (0..validators).map(|index| plan(index).ok_or_else(range)).collect()
}

/// The addresses of the Lightning service providers.
///
/// # Errors
/// When there are not so many ports.
pub(crate) fn lsps(first: First) -> Result<Vec<LspAddresses>, Failure> {
    let range = || Failure::PortRange { first: first.http, validators: PROVIDERS };
    let plan = |index: u16| {
        let lightning = LIGHTNING.port(first.http, None, index)?;
        Some(LspAddresses { lightning, api: LSP_API.port(first.http, None, index)? })
    };
    (0..PROVIDERS).map(|index| plan(index).ok_or_else(range)).collect()
}

/// Checks that nobody listens where the providers have to.
///
/// # Errors
/// Names the first port that is in use.
pub(crate) fn check_lsps_free(addresses: &[LspAddresses]) -> Result<(), Failure> {
    for address in addresses.iter().flat_map(|one| [one.lightning, one.api]) {
        let port = address.port();
        TcpListener::bind(address).map_err(|_| Failure::LspPortBusy { port })?;
    }
    Ok(())
}

/// Checks that nobody listens there now, so that the error comes before anything is started.
///
/// # Errors
/// Names the first port that is in use.
pub(crate) fn check_free(addresses: &[Addresses]) -> Result<(), Failure> {
    let mut held = Vec::new();
    for (addresses, index) in addresses.iter().zip(0_u16..) {
        for (address, what) in addresses.all() {
            let port = address.port();
            // Held until all are asked: two of our own must not meet either.
            let listener = TcpListener::bind(address);
            held.push(listener.map_err(|_| Failure::PortBusy { port, what, index })?);
        }
    }
    Ok(())
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(http: u16) -> First {
        First { http, electrum: None, rpc: None, bitcoin_p2p: None }
    }

    #[test]
    fn ports_follow_from_the_first_and_never_meet() {
        let addresses = plan(first(3_000), 4).unwrap();
        assert_eq!(addresses[3].http.port(), 3_003);
        assert_eq!(addresses[0].mesh.port(), 3_500);
        assert_eq!(addresses[1].electrum.port(), 50_002);
        assert_eq!((addresses[1].rpc.port(), addresses[1].bitcoin_p2p.port()), (18_445, 18_446));
        let elsewhere = plan(first(4_000), 4).unwrap();
        let ports = |addresses: &[Addresses]| -> Vec<u16> {
            addresses.iter().flat_map(Addresses::all).map(|(one, _)| one.port()).collect()
        };
        let (here, there) = (ports(&addresses), ports(&elsewhere));
        assert!(here.iter().all(|port| !there.contains(port)));
        let named = First { electrum: Some(60_001), ..first(4_000) };
        assert_eq!(plan(named, 2).unwrap()[1].electrum.port(), 60_002);
        assert!(plan(first(65_000), 40).is_err());
        assert!(plan(first(0), 4).is_err());
    }

    #[test]
    fn a_port_in_use_is_named() {
        let taken = TcpListener::bind(loopback(0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let mut addresses = plan(first(20_000), 1).unwrap();
        addresses[0].electrum = loopback(port);
        let error = check_free(&addresses).unwrap_err();
        assert!(error.to_string().contains(&port.to_string()), "{error}");
        // Two of one plan that meet are found too.
        drop(taken);
        addresses[0].mesh = loopback(port);
        assert!(check_free(&addresses).is_err());
    }
}
