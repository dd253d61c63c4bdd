//! Which ports the validators of a development network listen on.
//!
//! Validator i serves HTTP on the first port + i and other validators on the first port + 500 + i.
//! Both are below the range from which the system takes the ports of outgoing connections, so that
//! a validator's own connection never takes the port of its neighbour.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;

use crate::error::Failure;

/// How far the ports among validators lie above those of HTTP.
const MESH_OFFSET: u16 = 500;

/// The addresses of one validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// Where it serves HTTP.
    pub(crate) http: SocketAddr,
    /// Where it serves other validators.
    pub(crate) mesh: SocketAddr,
}

/// The addresses of every validator.
///
/// # Errors
/// When there are not so many ports.
pub(crate) fn plan(first: u16, validators: u16) -> Result<Vec<Addresses>, Failure> {
    let range = || Failure::PortRange { first, validators };
    if first == 0 || validators > MESH_OFFSET {
        return Err(range());
    }
    (0..validators)
        .map(|index| {
            let http = first.checked_add(index).ok_or_else(range)?;
            let mesh = http.checked_add(MESH_OFFSET).ok_or_else(range)?;
            Ok(Addresses { http: loopback(http), mesh: loopback(mesh) })
        })
        .collect()
}

/// Checks that nobody listens there now, so that the error comes before anything is started.
///
/// # Errors
/// Names the first port that is in use.
pub(crate) fn check_free(addresses: &[Addresses]) -> Result<(), Failure> {
    for (addresses, index) in addresses.iter().zip(0_u16..) {
        for (address, what) in [(addresses.http, "HTTP"), (addresses.mesh, "peers")] {
            TcpListener::bind(address).map_err(|_| Failure::PortBusy {
                port: address.port(),
                what,
                index,
            })?;
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

    #[test]
    fn ports_follow_from_the_first_and_never_meet() {
        let addresses = plan(3_000, 4).unwrap();
        assert_eq!(addresses[3].http.port(), 3_003);
        assert_eq!(addresses[0].mesh.port(), 3_500);
        assert!(plan(65_000, 40).is_err());
        assert!(plan(0, 4).is_err());
    }

    #[test]
    fn a_port_in_use_is_named() {
        let taken = TcpListener::bind(loopback(0)).unwrap();
        let address = taken.local_addr().unwrap();
        let error = check_free(&[Addresses { http: address, mesh: address }]).unwrap_err();
        assert!(error.to_string().contains(&address.port().to_string()));
    }
}
