//! Proposes what no ledger can take: bytes that are no transaction, transactions whose scripts fail
//! or whose coins do not exist, one coin spent twice in one vertex and again in the next one, and
//! payloads above the limit or other ones than their vertex names.

use bitcoin::OutPoint;
use bitcoin::Transaction;
use bitcoin::Txid;
use bitcoin::consensus::encode;
use bitcoin::hashes::Hash as _;
use bytes::Bytes;
use replica::ordering::Draft;
use replica::wire::Message;
use types::Encode as _;
use types::Item;
use types::PAYLOAD_BYTES_MAX;
use types::Payload;
use types::Span;
use types::Verified;
use types::Vertex;
use types::encoding::Writer;

use super::Byzantine;
use super::Parcel;
use super::Workshop;
use crate::load;

#[derive(Debug, Default)]
pub(super) struct Poisoner {
    /// How many vertices it has poisoned.
    count: usize,
}

impl Byzantine for Poisoner {
    fn sign(&mut self, draft: Draft, shop: &mut Workshop<'_>) -> Verified<Vertex> {
        let Draft { mut header, payload, coin_round } = draft;
        header.coin_share = coin_round.map(|round| shop.share(round));
        let mut items = payload.items().to_vec();
        items.extend(self.poison(shop));
        let payload = Payload::new(items).unwrap_or(payload);
        shop.sign(header, payload)
    }

    fn send(&mut self, vertex: &Verified<Vertex>, shop: &mut Workshop<'_>) -> Vec<Parcel> {
        let mut parcels = Vec::new();
        for to in shop.others() {
            // First another payload under the same name, or one above the limit; then the true one.
            let bytes = match shop.chance.below(3) {
                0 => exchanged(vertex),
                1 => overfull(vertex, shop),
                _ => Bytes::new(),
            };
            if !bytes.is_empty() {
                let bytes = Message::Vertex(bytes).to_bytes().into();
                parcels.push(Parcel { to, bytes, after: Span::ZERO });
            }
            parcels.push(Parcel::vertex(to, vertex, Span::ZERO));
        }
        parcels
    }
}

impl Poisoner {
    fn poison(&mut self, shop: &mut Workshop<'_>) -> Vec<Item> {
        self.count += 1;
        // Its coins in turn, each for a few vertices. Poisoners do not mind each other's.
        let place = (shop.own.index() + self.count / 3) % shop.setting.poison.len().max(1);
        let own = shop.setting.poison.get(place).copied();
        let missing = OutPoint { txid: Txid::from_byte_array([9; 32]), vout: 3 };
        let mut items = vec![
            Item::Transaction(Bytes::from(vec![0xff; 1 + shop.chance.below(60)])),
            Item::Transaction(Bytes::new()),
        ];
        let mut add = |transaction: &Transaction| {
            items.push(Item::Transaction(encode::serialize(transaction).into()));
        };
        add(&load::poison(missing, 1));
        if let Some(own) = own {
            // The same coin to two places, and one of them once more.
            add(&load::poison(own, 1));
            add(&load::poison(own, 2));
            add(&load::poison(own, 1));
        }
        if let Some(foreign) = shop.setting.foreign {
            add(&load::unsigned(foreign));
        }
        items
    }
}

/// The vertex with the same header and signature around another payload.
fn exchanged(vertex: &Vertex) -> Bytes {
    let items = vec![Item::Transaction(Bytes::from_static(b"another one"))];
    let payload = Payload::new(items).unwrap_or_default();
    around(vertex, &payload.to_bytes())
}

/// The vertex around more bytes, or more items, than a payload may have.
fn overfull(vertex: &Vertex, shop: &mut Workshop<'_>) -> Bytes {
    let mut writer = Writer::default();
    if shop.chance.one_in(2) {
        let count = types::ITEMS_MAX + 1;
        writer.length(count);
        (0..count).for_each(|_| Item::DevelopmentTicks(1).encode(&mut writer));
    } else {
        writer.length(1);
        Item::Transaction(vec![0; PAYLOAD_BYTES_MAX + 1].into()).encode(&mut writer);
    }
    around(vertex, &writer.finish())
}

fn around(vertex: &Vertex, payload: &[u8]) -> Bytes {
    let mut writer = Writer::default();
    vertex.header().encode(&mut writer);
    writer.raw(payload);
    vertex.signature().encode(&mut writer);
    writer.finish().into()
}
