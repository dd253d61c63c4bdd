//! What a Byzantine validator works with: its keys, its own vertex that an honest replica built, and
//! a way to send anything to anybody.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use replica::ordering::Draft;
use replica::wire::Message;
use types::Author;
use types::Encode as _;
use types::Header;
use types::Payload;
use types::Round;
use types::Span;
use types::Verified;
use types::Vertex;
use types::VertexRef;
use types::coin::CoinShare;
use types::test_utils::TestNetwork;

use super::Sight;
use crate::memo::Memo;
use crate::memo::Setting;
use crate::schedule::Schedule;

/// A validator that breaks the rule. It runs a replica as everybody does, and puts itself between
/// the replica and the network where a vertex is signed and where it is sent.
pub(crate) trait Byzantine: fmt::Debug {
    /// Signs what its replica drafted.
    fn sign(&mut self, draft: Draft, shop: &mut Workshop<'_>) -> Verified<Vertex> {
        shop.sign_draft(draft)
    }

    /// What it sends in place of its newest vertex to all.
    fn send(&mut self, vertex: &Verified<Vertex>, shop: &mut Workshop<'_>) -> Vec<Parcel> {
        shop.to_all(vertex)
    }
}

/// Something to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    pub(crate) to: Author,
    pub(crate) bytes: Bytes,
    /// How long its sender keeps it back.
    pub(crate) after: Span,
}

/// What the members of a cartel share: their twins, by the vertex that each stands beside.
#[derive(Debug, Default)]
pub(crate) struct Cartel {
    pub(crate) twins: BTreeMap<VertexRef, VertexRef>,
}

/// Where a Byzantine validator works.
pub(crate) struct Workshop<'a> {
    pub(crate) own: Author,
    pub(crate) setting: &'a Setting,
    pub(crate) network: &'a TestNetwork,
    pub(crate) memo: &'a mut Memo,
    pub(crate) chance: &'a mut Schedule,
    pub(crate) cartel: &'a mut Cartel,
    pub(crate) sight: &'a Sight,
    /// Every vertex that was signed here and stands beside the one that the replica knows of.
    pub(crate) made: Vec<Verified<Vertex>>,
}

impl Workshop<'_> {
    /// Everybody else, ascending.
    pub(crate) fn others(&self) -> Vec<Author> {
        self.network.committee.authors().filter(|author| *author != self.own).collect()
    }

    /// Everybody else, in an order of chance.
    pub(crate) fn shuffled(&mut self) -> Vec<Author> {
        let mut others = self.others();
        self.chance.shuffle(&mut others);
        others
    }

    pub(crate) fn share(&mut self, round: Round) -> CoinShare {
        self.memo.share(self.network, self.own, round)
    }

    /// Signs as an honest validator does.
    pub(crate) fn sign_draft(&mut self, draft: Draft) -> Verified<Vertex> {
        let Draft { mut header, payload, coin_round } = draft;
        header.coin_share = coin_round.map(|round| self.share(round));
        self.sign(header, payload)
    }

    /// Signs a header as it is, with the root of its payload.
    pub(crate) fn sign(&mut self, mut header: Header, payload: Payload) -> Verified<Vertex> {
        let encoded = payload.to_bytes();
        header.payload_root = Payload::root(&encoded);
        header.payload_length = u32::try_from(encoded.len()).unwrap_or(u32::MAX);
        self.network.sign(header, payload)
    }

    /// Signs a second vertex, and remembers that it did.
    pub(crate) fn sign_twin(&mut self, header: Header, payload: Payload) -> Verified<Vertex> {
        let twin = self.sign(header, payload);
        self.made.push(twin.clone());
        twin
    }

    pub(crate) fn to_all(&self, vertex: &Verified<Vertex>) -> Vec<Parcel> {
        self.others().into_iter().map(|to| Parcel::vertex(to, vertex, Span::ZERO)).collect()
    }
}

impl Parcel {
    pub(crate) fn vertex(to: Author, vertex: &Verified<Vertex>, after: Span) -> Self {
        Self::message(to, &Message::Vertex(vertex.encoded().clone()), after)
    }

    pub(crate) fn message(to: Author, message: &Message, after: Span) -> Self {
        Self { to, bytes: message.to_bytes().into(), after }
    }
}
