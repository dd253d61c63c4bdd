//! Aims at the quorums of one slot: a random descent through schedules that nearly decide it.
//!
//! Each vertex is told whether it is to lead to the leader of round 1 or not, and is shown exactly
//! as much as its machine needs to build, of the vertices that suit that best. Equivocators' twins
//! want different things. So a slot ends up with about as many votes, blames and certificates as a
//! quorum, now one more and now one less, seen by different validators.

use rand::RngExt as _;
use rand::SeedableRng as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use types::Author;
use types::Round;
use types::VertexRef;

use super::Arena;
use super::foundry::Foundry;
use super::judge::Judged;
use super::judge::Violation;
use super::judge::is_certain;
use super::judge::judge;
use super::play::Play;
use super::votes::Led;

/// How likely a vertex takes all that it is shown rather than as little as it may, in percent.
const WIDE_PERCENT: u32 = 15;
/// How likely a vertex follows its aim rather than chance, in percent.
const AIMED_PERCENT: u32 = 85;
/// How likely equivocators may make twins in every round rather than in one, in percent.
const ALWAYS_TWINS_PERCENT: u32 = 20;
/// Below which of a hundred, and above that, they come in the vote or the decision round.
const LAST_TWINS_PERCENT: u32 = 75;
/// How likely one validator's newest vertices are shown to nobody else, in percent.
const SHUNNED_PERCENT: u32 = 40;

/// Plays one aimed schedule and judges it.
pub(super) fn descend(
    foundry: &mut Foundry,
    arena: &Arena,
    seed: u64,
) -> Result<Judged, Violation> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let size = foundry.committee().quorums().validators();
    let leader = foundry.leaders(Round::new(1))[0];
    // Half of the time the leader itself is among the equivocators.
    let mut liars: Vec<Author> = Vec::new();
    while liars.len() < arena.equivocators {
        let is_first = liars.is_empty() && (arena.leader_lies || random.random_ratio(1, 2));
        let liar = if is_first { leader } else { Author::new(random.random_range(0..size)) };
        if !liars.contains(&liar) {
            liars.push(liar);
        }
    }
    let mut play = Play::new(foundry, &liars);
    let (wave, quorum) = (foundry.parameters().wave, foundry.quorum());
    // A pair of twins is proof, and whoever has it leaves their author out. So they come once, and
    // mostly late.
    let depth = wave * u64::try_from(arena.aims).unwrap_or(1);
    let twins_at = match random.random_range(0..100) {
        0..ALWAYS_TWINS_PERCENT => None,
        ALWAYS_TWINS_PERCENT..LAST_TWINS_PERCENT => {
            Some(Round::new(depth - random.random_range(0..=1)))
        }
        _ => Some(Round::new(random.random_range(1..=depth))),
    };
    let mut below = None;
    // Each slot that is aimed at lies where the one before looks for its anchor.
    for _ in 0..arena.aims {
        let led = play.round.next();
        let author = foundry.leaders(led)[0];
        let led = Led { round: led, author, wave, quorum };
        let wants = random.random_range(20..=80);
        let descent = Descent { led, below, twins_at, wants };
        below = Some(led);
        for _ in 0..wave {
            descent.round(&mut play, foundry, &mut random);
        }
        // Above a second slot, the next one may be decided where that one is still open.
        if play.round.value() == depth && (arena.aims > 1 || random.random_ratio(1, 4)) {
            descent.round(&mut play, foundry, &mut random);
        }
    }
    let author = foundry.leaders(Round::new(1))[0];
    let led = Led { round: Round::new(1), author, wave, quorum };
    judge(&play, &led, foundry, &mut random)
}

#[derive(Clone, Copy)]
struct Descent {
    led: Led,
    /// The slot that was aimed at before, which looks for its anchor from here on.
    below: Option<Led>,
    /// The one round of twins; none when every round may have some.
    twins_at: Option<Round>,
    /// How many in a hundred vertices are to lead to the leader.
    wants: u32,
}

impl Descent {
    fn round(self, play: &mut Play, foundry: &mut Foundry, random: &mut ChaCha8Rng) {
        let mut row = vec![Vec::new(); play.row.len()];
        let size = foundry.committee().quorums().validators();
        let is_shunned = random.random_ratio(SHUNNED_PERCENT, 100);
        let mut shunned = is_shunned.then(|| Author::new(random.random_range(0..size)));
        if self.below.is_some() && play.round == self.led.decision_round() {
            // Somebody alone is to know the last certificate of the anchor.
            let row = play.row.iter().flatten().copied();
            let certain: Vec<VertexRef> =
                row.filter(|vertex| is_certain(*vertex, &self.led, play)).collect();
            shunned = certain.choose(random).map(|vertex| vertex.author);
        }
        for author in foundry.committee().authors() {
            let built = &mut row[author.index()];
            if play.is_honest(author) {
                let shown = self.aim(play, Some(author), None, shunned, random);
                let takes_all = random.random_ratio(WIDE_PERCENT, 100);
                built.extend(play.build(author, &shown, takes_all, foundry));
                continue;
            }
            let twins = match self.twins_at {
                Some(round) if round != play.round.next() => 1,
                Some(_) => 2,
                None => random.random_range(1..=2),
            };
            for mark in 0..twins {
                // Twins want different things.
                let wanted = (twins > 1).then_some(mark == 0);
                let mut parents = self.aim(play, None, wanted, shunned, random);
                if parents.len() < foundry.quorum() {
                    continue;
                }
                parents.truncate(foundry.quorum());
                let vertex = play.forge(author, &parents, mark, foundry);
                if !built.contains(&vertex) {
                    built.push(vertex);
                }
            }
        }
        play.end_round(row);
    }

    /// The newest row, what suits the aim first; the shunned author's vertices after all others, an
    /// honest validator's own vertex before all.
    fn aim(
        self,
        play: &Play,
        own: Option<Author>,
        wanted: Option<bool>,
        shunned: Option<Author>,
        random: &mut ChaCha8Rng,
    ) -> Vec<VertexRef> {
        let mut row = play.sample_row(random);
        if play.round >= self.led.round && random.random_ratio(AIMED_PERCENT, 100) {
            let wanted = wanted.unwrap_or_else(|| random.random_ratio(self.wants, 100));
            let misfit = |vertex: &VertexRef| {
                let Led { round, author, .. } = self.led;
                play.leads(*vertex, round, author).is_some() != wanted
            };
            row.sort_by_cached_key(misfit);
        }
        if let Some(below) = self.below.filter(|_| play.round.next() == self.led.round) {
            // The leader that may become the anchor misses the certificates that others hold.
            let is_leader = own == Some(self.led.author);
            row.sort_by_cached_key(|vertex| is_certain(*vertex, &below, play) == is_leader);
        }
        row.sort_by_key(|vertex| Some(vertex.author) == shunned);
        row.sort_by_key(|vertex| Some(vertex.author) != own);
        row
    }
}
