//! Sends beside its vertices what is none of them: chance bytes, frames that were cut off, vertices
//! with a bit turned, vertices of the far future with a valid signature, vertices that refer to what
//! nobody has, claims that are not true, answers that nobody asked for, and requests for everything.

use bytes::Bytes;
use replica::wire::FETCH_VERTICES_MAX;
use replica::wire::FetchRounds;
use replica::wire::Message;
use replica::wire::RANGE_ROUNDS_MAX;
use replica::wire::Range;
use replica::wire::Status;
use types::Author;
use types::CommitIndex;
use types::Digest;
use types::Encode as _;
use types::Header;
use types::Payload;
use types::Round;
use types::Span;
use types::Verified;
use types::Vertex;
use types::VertexRef;

use super::Byzantine;
use super::Parcel;
use super::Workshop;

#[derive(Debug)]
pub(super) struct GarbageSender;

impl Byzantine for GarbageSender {
    fn send(&mut self, vertex: &Verified<Vertex>, shop: &mut Workshop<'_>) -> Vec<Parcel> {
        let mut parcels = shop.to_all(vertex);
        for to in shop.others() {
            let bytes = match shop.chance.below(8) {
                0 => chance_bytes(shop),
                1 => cut_off(vertex, shop),
                2 => bit_turned(vertex, shop),
                3 => far_future(vertex, shop),
                4 => dangling(vertex, shop),
                5 => false_claim(shop),
                6 => unasked(vertex),
                _ => greedy(shop),
            };
            parcels.push(Parcel { to, bytes, after: Span::ZERO });
        }
        parcels
    }
}

fn chance_bytes(shop: &mut Workshop<'_>) -> Bytes {
    let length = shop.chance.below(200);
    let numbers = (0..length).map(|_| shop.chance.number().to_le_bytes());
    // Half of them begin as a message does.
    let mut bytes: Vec<u8> = numbers.flatten().collect();
    if shop.chance.one_in(2) {
        let kind = u8::try_from(shop.chance.below(9)).unwrap_or(0);
        bytes.splice(0..0, [replica::wire::WIRE_VERSION, kind]);
    }
    bytes.into()
}

fn message(vertex: &Verified<Vertex>) -> Vec<u8> {
    Message::Vertex(vertex.encoded().clone()).to_bytes()
}

fn cut_off(vertex: &Verified<Vertex>, shop: &mut Workshop<'_>) -> Bytes {
    let mut bytes = message(vertex);
    bytes.truncate(shop.chance.below(bytes.len()));
    bytes.into()
}

fn bit_turned(vertex: &Verified<Vertex>, shop: &mut Workshop<'_>) -> Bytes {
    let mut bytes = message(vertex);
    let place = shop.chance.below(bytes.len());
    if let Some(byte) = bytes.get_mut(place) {
        *byte ^= 1 << shop.chance.below(8);
    }
    bytes.into()
}

/// Valid in itself, so far above everything that it can not be taken.
fn far_future(vertex: &Verified<Vertex>, shop: &mut Workshop<'_>) -> Bytes {
    let above = [101, 1_000, 1 << 40, u64::MAX / 2];
    let above = above.get(shop.chance.below(above.len())).copied().unwrap_or(1_000);
    let header = vertex.header();
    let round = header.round.saturating_add(above);
    invented(Header { round, late: Vec::new(), ..header.clone() }, shop)
}

/// At a round like any other, on parents that do not exist.
fn dangling(vertex: &Verified<Vertex>, shop: &mut Workshop<'_>) -> Bytes {
    let ahead = u64::try_from(shop.chance.below(60)).unwrap_or(0);
    let header = vertex.header();
    let round = header.round.saturating_add(2 + ahead);
    invented(Header { round, late: Vec::new(), ..header.clone() }, shop)
}

/// Signs a vertex whose parents were never made.
fn invented(mut header: Header, shop: &mut Workshop<'_>) -> Bytes {
    let before = header.round.saturating_sub(1);
    let parents = shop.network.committee.authors().map(|author| {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&shop.chance.number().to_le_bytes());
        VertexRef { round: before, author, digest: Digest::new(digest) }
    });
    header.parents = parents.collect();
    header.coin_share = shop.sight.coin_round(header.round).map(|_| shop.share(Round::new(1)));
    let vertex = shop.sign_twin(header, Payload::default());
    message(&vertex).into()
}

fn false_claim(shop: &mut Workshop<'_>) -> Bytes {
    let round = Round::new(shop.chance.number() >> shop.chance.below(64));
    let digest = Digest::new([7; 32]);
    let own = VertexRef { round: shop.sight.built(shop.own).next(), author: shop.own, digest };
    let commit = CommitIndex::new(shop.chance.number());
    Message::Status(Status { own: Some(own), round, commit }).to_bytes().into()
}

fn unasked(vertex: &Verified<Vertex>) -> Bytes {
    let from = VertexRef { round: Round::new(1), author: Author::ZERO, digest: Digest::ZERO };
    let vertices = vec![vertex.encoded().clone(); 3];
    let range = Range { from, next: Some(from), coins: Vec::new(), vertices };
    Message::Range(range).to_bytes().into()
}

/// Asks for as much as a message can ask for.
fn greedy(shop: &mut Workshop<'_>) -> Bytes {
    let from = VertexRef { round: Round::new(1), author: Author::ZERO, digest: Digest::ZERO };
    if shop.chance.one_in(2) {
        let until = from.round.saturating_add(RANGE_ROUNDS_MAX);
        return Message::FetchRounds(FetchRounds { from, until }).to_bytes().into();
    }
    let nobody = |round| VertexRef { round: Round::new(round), ..from };
    let wanted = (1..).map(nobody).take(FETCH_VERTICES_MAX).collect();
    Message::FetchVertices(wanted).to_bytes().into()
}
