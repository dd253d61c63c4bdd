//! The servers for everybody outside the committee: HTTP, and those that speak as Bitcoin's own
//! software does. They share one way to the ledger and the pool.

use std::net::SocketAddr;

use futures_util::FutureExt as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::blobs;
use crate::config::Checked;
use crate::electrum;
use crate::handle::Handle;
use crate::http;
use crate::http::Reader;
use crate::p2p;
use crate::rpc;
use crate::rpc::Cookie;

use super::NodeError;
use super::STOP_DEADLINE;

/// Where a node serves what; none where it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DoorAddresses {
    /// HTTP.
    pub http: Option<SocketAddr>,
    /// Electrum's protocol.
    pub electrum: Option<SocketAddr>,
    /// Bitcoin's own network.
    pub bitcoin_p2p: Option<SocketAddr>,
    /// Bitcoin Core's remote procedure calls.
    pub rpc: Option<SocketAddr>,
}

/// Sockets that are listened on before anything serves, so that a port in use is an error at once.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    http: Option<TcpListener>,
    electrum: Option<TcpListener>,
    bitcoin_p2p: Option<TcpListener>,
    rpc: Option<(TcpListener, Cookie)>,
    addresses: DoorAddresses,
}

/// The servers. [`Doors::close`] awaits them.
#[derive(Debug)]
pub(super) struct Doors {
    addresses: DoorAddresses,
    servers: Vec<Server>,
}

#[derive(Debug)]
struct Server {
    name: &'static str,
    task: JoinHandle<Result<(), std::io::Error>>,
}

impl Listeners {
    /// Listens wherever the configuration says.
    pub(super) async fn bind(checked: &Checked) -> Result<Self, NodeError> {
        let mut listeners = Self::default();
        let addresses = &mut listeners.addresses;
        listeners.http = bind("http.bind", checked.http, &mut addresses.http).await?;
        listeners.electrum =
            bind("electrum.bind", checked.electrum, &mut addresses.electrum).await?;
        listeners.bitcoin_p2p =
            bind("bitcoin_p2p.bind", checked.bitcoin_p2p, &mut addresses.bitcoin_p2p).await?;
        if let Some(rpc) = &checked.rpc {
            let listener = bind("rpc.bind", Some(rpc.bind), &mut addresses.rpc).await?;
            let cookie = Cookie::create(&rpc.cookie_file)
                .map_err(|error| NodeError::Cookie { file: rpc.cookie_file.clone(), error })?;
            listeners.rpc = listener.map(|listener| (listener, cookie));
        }
        Ok(listeners)
    }

    /// Serves until `stop` is cancelled. What fails meanwhile goes to `failed`.
    pub(super) fn serve(
        self,
        handle: &Handle,
        stop: &CancellationToken,
        failed: &mpsc::Sender<NodeError>,
    ) -> Doors {
        let reader = Reader::new(handle.clone());
        let mut servers = Vec::new();
        if let Some(listener) = self.http {
            let serving = http::serve(listener, reader.clone(), stop.clone());
            servers.push(Server::start("http", serving, failed));
        }
        if let Some(listener) = self.electrum {
            let serving = electrum::serve(listener, reader.clone(), stop.clone()).map(Ok);
            servers.push(Server::start("electrum", serving, failed));
        }
        if let Some(listener) = self.bitcoin_p2p {
            let serving = p2p::serve(listener, reader.clone(), stop.clone()).map(Ok);
            servers.push(Server::start("bitcoin_p2p", serving, failed));
        }
        if let Some((listener, cookie)) = self.rpc {
            let serving = rpc::serve(listener, reader, cookie, stop.clone());
            servers.push(Server::start("rpc", serving, failed));
        }
        // It serves nobody, and ends with those who do: what they take, it looks after.
        let keeping = blobs::keeper::run(handle.clone(), stop.clone()).map(Ok);
        servers.push(Server::start("blobs", keeping, failed));
        Doors { addresses: self.addresses, servers }
    }
}

impl Doors {
    /// Where what is served.
    pub(super) fn addresses(&self) -> DoorAddresses {
        self.addresses
    }

    /// Waits for every server to end, each within a deadline; what went wrong goes to `note`.
    pub(super) async fn close(self, mut note: impl FnMut(NodeError)) {
        for Server { name, task } in self.servers {
            match timeout(STOP_DEADLINE, task).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => note(NodeError::Http(error)),
                Ok(Err(_)) => note(NodeError::Broken { name }),
                Err(_) => note(NodeError::Stuck { what: name }),
            }
        }
    }
}

impl Server {
    fn start(
        name: &'static str,
        serving: impl Future<Output = Result<(), std::io::Error>> + Send + 'static,
        failed: &mpsc::Sender<NodeError>,
    ) -> Self {
        let failed = failed.clone();
        let task = tokio::spawn(async move {
            let result = serving.await;
            if let Err(error) = &result {
                let copy = std::io::Error::new(error.kind(), error.to_string());
                // A full queue holds a failure already, and one is enough.
                let _ = failed.try_send(NodeError::Http(copy));
            }
            result
        });
        Self { name, task }
    }
}

async fn bind(
    key: &'static str,
    address: Option<SocketAddr>,
    actual: &mut Option<SocketAddr>,
) -> Result<Option<TcpListener>, NodeError> {
    let Some(address) = address else { return Ok(None) };
    let failed = |error| NodeError::Listen { key, address, error };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    *actual = Some(listener.local_addr().map_err(failed)?);
    Ok(Some(listener))
}
