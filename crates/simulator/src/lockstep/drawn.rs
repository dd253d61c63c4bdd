//! A drawn schedule of four validators, and its neighbours.
//!
//! Some mistakes need so much to come together that chance does not find them. This schedule is
//! drawn for one: whoever looks for the anchor of slot 1 finds slot 5 open and slot 6 committed,
//! while somebody else alone knows that slot 5 is committed too. The leader of round 5 has no
//! certificate of round 1 in its cone, the leader of round 6 has one.

use rand::RngExt as _;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use types::Author;
use types::Round;
use types::VertexRef;

use super::foundry::Foundry;
use super::judge::Judged;
use super::judge::Violation;
use super::judge::judge;
use super::play::Play;
use super::votes::Led;

/// By round from 2 on and by author: whose vertices of the round before are parents.
const ROWS: [[&str; 4]; 8] = [
    // B1 leads round 1. Only B supports it,
    ["ACD", "ABC", "ACD", "ACD"],
    // so C can still blame it,
    ["ABC", "ABC", "ACD", "BCD"],
    // and D alone certifies it.
    ["ABC", "ABC", "ABC", "ABD"],
    // B5 leads round 5 and misses D4; the others have it.
    ["ABD", "ABC", "BCD", "ABD"],
    // C6 leads round 6. Only B supports B5,
    ["ACD", "ABC", "ACD", "ACD"],
    // so D can still blame it,
    ["ABC", "ABC", "ABC", "ACD"],
    // and all others certify it.
    ["ABC", "ABC", "ABC", "BCD"],
    // A knows all three, nobody else knows A8: B, C and D certify C6.
    ["ABC", "BCD", "BCD", "BCD"],
];

/// Plays the drawn schedule, or one of its neighbours, and judges it.
pub(super) fn play(foundry: &mut Foundry, seed: u64) -> Result<Judged, Violation> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut play = Play::new(foundry, &[]);
    let authors: Vec<Author> = foundry.committee().authors().collect();
    // Up to three in ten vertices do as they like.
    let strays = u32::try_from(seed % 4).unwrap_or_default();
    for round in 0..=ROWS.len() {
        let mut row = vec![Vec::new(); authors.len()];
        for author in &authors {
            let drawn = round.checked_sub(1).and_then(|round| ROWS.get(round));
            let names = drawn.and_then(|names| names.get(author.index()));
            let mut shown: Vec<VertexRef> = play.sample_row(&mut random);
            if let Some(names) = names.filter(|_| !random.random_ratio(strays, 10)) {
                shown.retain(|vertex| names.contains(letter(vertex.author)));
            } else {
                shown.shuffle(&mut random);
                shown.sort_by_key(|vertex| vertex.author != *author);
                shown.truncate(foundry.quorum());
            }
            row[author.index()].extend(play.build(*author, &shown, true, foundry));
        }
        play.end_round(row);
    }
    let (wave, quorum) = (foundry.parameters().wave, foundry.quorum());
    let leader = foundry.leaders(Round::new(1))[0];
    let led = Led { round: Round::new(1), author: leader, wave, quorum };
    judge(&play, &led, foundry, &mut random)
}

fn letter(author: Author) -> char {
    ('A'..='Z').nth(author.index()).unwrap_or('?')
}
