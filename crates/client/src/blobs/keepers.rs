//! Who keeps which shard, and how to reach them.

use types::Author;
use types::BlobId;
use types::ShardCount;
use types::ShardIndex;

use super::BlobError;
use crate::Client;
use crate::ClientError;
use crate::Deadlines;
use crate::api::blobs::BlobService;

/// The validators of a network, as far as their addresses are known.
#[derive(Clone, Debug)]
pub struct Keepers {
    shards: ShardCount,
    clients: Vec<Option<Client>>,
}

impl Keepers {
    /// Those that a node names. `entry` is that node.
    ///
    /// # Errors
    /// When the node names no network that can keep blobs.
    pub fn new(service: &BlobService, deadlines: Deadlines) -> Result<Self, BlobError> {
        let shards = ShardCount::new(service.shards).map_err(blobs::CodingError::from)?;
        let client = |validator: Author| {
            let named = service.keepers.iter().find(|keeper| keeper.validator == validator);
            let url = named?.url.as_deref()?;
            Client::with_deadlines(url, deadlines).ok()
        };
        let clients = (0..shards.value()).map(|place| client(Author::new(place))).collect();
        Ok(Self { shards, clients })
    }

    /// Those at these addresses, in the order of the committee.
    ///
    /// # Errors
    /// When there are none, too many, or one of the addresses is none.
    pub fn at(urls: &[String], deadlines: Deadlines) -> Result<Self, BlobError> {
        let count = u16::try_from(urls.len()).unwrap_or(u16::MAX);
        let shards = ShardCount::new(count).map_err(blobs::CodingError::from)?;
        let client = |url: &String| Client::with_deadlines(url, deadlines).map(Some);
        let clients: Result<_, ClientError> = urls.iter().map(client).collect();
        Ok(Self { shards, clients: clients? })
    }

    /// S.
    pub const fn shards(&self) -> ShardCount {
        self.shards
    }

    /// How a validator is reached; none when nobody says.
    pub fn client(&self, validator: Author) -> Option<&Client> {
        self.clients.get(validator.index())?.as_ref()
    }

    /// Every validator that can be reached.
    pub fn reachable(&self) -> impl Iterator<Item = &Client> {
        self.clients.iter().flatten()
    }

    /// Who keeps a shard of a blob, and how they are reached.
    pub fn of(&self, blob: &BlobId, shard: ShardIndex) -> (Author, Option<&Client>) {
        let validator = self.shards.keeper(blob, shard);
        (validator, self.client(validator))
    }
}
