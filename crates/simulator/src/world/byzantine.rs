//! Where a vertex is signed and sent: what stands between a Byzantine validator's replica and the
//! network, and what everybody learns of a vertex that was made.

use std::rc::Rc;

use replica::ordering::Draft;
use replica::ordering::Input;
use replica::wire::Message;
use types::Author;
use types::Header;
use types::Verified;
use types::Vertex;

use super::Packet;
use super::World;
use crate::adversaries::Byzantine;
use crate::adversaries::Workshop;
use crate::check::rule;

/// How many coins an adversary remembers.
const COINS_REMEMBERED: usize = 64;

impl World<'_> {
    pub(super) fn sign(&mut self, own: Author, draft: Draft) {
        let vertex = match self.node_mut(own).byzantine.take() {
            None => self.sign_honestly(own, draft),
            Some(byzantine) => {
                self.in_workshop(own, byzantine, |byzantine, shop| byzantine.sign(draft, shop))
            }
        };
        self.made_at.insert(vertex.reference(), self.now);
        if let Some(built) = self.sight.built.get_mut(own.index()) {
            *built = vertex.round().max(*built);
        }
        self.made(&vertex);
        self.free(own, vertex.round());
        let (now, wall) = (self.now, self.wall(own));
        if let Some(machines) = &mut self.node_mut(own).machines {
            machines.ordering.handle(now, wall, Input::Signed(vertex));
        }
    }

    /// As [`Draft::sign`]; the share may be known from another run.
    fn sign_honestly(&mut self, own: Author, draft: Draft) -> Verified<Vertex> {
        let Draft { mut header, payload, coin_round } = draft;
        header.coin_share = coin_round.map(|round| self.memo.share(&self.network, own, round));
        let secrets = &self.network.secrets[own.index()];
        let signature = secrets.vertex.sign(&Header::signing_bytes(&header.digest()));
        Verified::own(header, payload, signature)
    }

    /// Somebody signed a vertex.
    fn made(&mut self, vertex: &Verified<Vertex>) {
        let author = vertex.author();
        self.signed.insert(vertex.encoded().clone(), vertex.clone());
        self.made.signed(vertex);
        self.sight.now = self.now;
        if let Some(scheduler) = &mut self.scheduler {
            scheduler.made(vertex, &self.sight, &mut self.schedule);
        }
        let Some(round) = self.sight.coin_round(vertex.round()) else { return };
        if !self.node(author).is_judged() || !self.coins.shared(author, round) {
            return;
        }
        // From this share on the coin can be known, and an adversary knows it.
        if self.scheduler.is_some() {
            let coin = self.memo.coin(&self.network, round);
            let seed = rule::seed(self.network.committee.epoch(), round, &coin);
            let slots = self.options.slots;
            let leaders = rule::leaders(&seed, self.options.validators, slots);
            self.sight.coins.insert(round, leaders);
            if self.sight.coins.len() > COINS_REMEMBERED {
                self.sight.coins.pop_first();
            }
        }
    }

    pub(super) fn broadcast(&mut self, own: Author, message: Message) {
        let vertex = match &message {
            Message::Vertex(bytes) => self.signed.get(bytes).cloned(),
            _ => None,
        };
        let Some(vertex) = vertex else { return self.send_to_all(own, message) };
        if let Some(byzantine) = self.node_mut(own).byzantine.take() {
            let parcels =
                self.in_workshop(own, byzantine, |byzantine, shop| byzantine.send(&vertex, shop));
            for parcel in parcels {
                let packet = Rc::new(Packet::of_bytes(&parcel.bytes, &self.signed));
                self.post(own, parcel.to, &packet, parcel.after);
            }
            return;
        }
        let verdict = self.signing.sent(&vertex.reference());
        self.judge(verdict);
        self.send_to_all(own, message);
    }

    /// Lets a Byzantine validator work, and takes note of what it signed beside its replica.
    fn in_workshop<T>(
        &mut self,
        own: Author,
        mut byzantine: Box<dyn Byzantine>,
        work: impl FnOnce(&mut dyn Byzantine, &mut Workshop<'_>) -> T,
    ) -> T {
        let setting = std::sync::Arc::clone(&self.setting);
        self.sight.now = self.now;
        let mut shop = Workshop {
            own,
            setting: &setting,
            network: &setting.network,
            memo: self.memo,
            chance: &mut self.schedule,
            cartel: &mut self.cartel,
            sight: &self.sight,
            made: Vec::new(),
        };
        let result = work(&mut *byzantine, &mut shop);
        let made = std::mem::take(&mut shop.made);
        made.iter().for_each(|vertex| self.made(vertex));
        self.node_mut(own).byzantine = Some(byzantine);
        result
    }
}
