//! Judges a schedule: whatever part of it anybody may have seen, all orders are one order.
//!
//! A schedule up to some round is continued in several ways: each time another quorum goes on among
//! itself, with one or the other twin, and everybody else's newest vertices reach nobody. Whoever
//! saw any part of the schedule before, be it one vertex of the newest round with what it leads to,
//! may have told something then. All of that must be the beginning of what the quorum tells. Then
//! everything is delivered to all, and all must tell the same. At last the network behaves for two
//! waves, and every round must be decided.

use std::collections::BTreeSet;
use std::fmt;

use rand::RngExt as _;
use rand::seq::IndexedRandom as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use types::Commit;
use types::VertexRef;

use super::foundry::Foundry;
use super::net::Machine;
use super::play::Play;
use super::votes::Led;

/// Up to how many vertices of the newest round every set of them is tried as somebody's view.
const VIEWS_OF_ALL_MAX: usize = 5;
/// How many sets are tried where there are more.
const VIEWS_SAMPLED: usize = 24;
/// How many quorums go on where there are many.
const FUTURES_MAX: usize = 8;

/// What a schedule showed to be broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which promise.
    pub promise: Promise,
    /// The schedule that shows it, as a drawn DAG.
    pub dag: String,
}

/// What agreement promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Of any two orders one is the beginning of the other.
    Prefix,
    /// After everything was delivered to all, all orders are equal.
    Equality,
    /// At most f equivocate, so no machine raises the alarm.
    NoAlarm,
    /// When the network behaves, every round is decided.
    Progress,
    /// An honest vertex has parents of a quorum of authors.
    Parents,
}

impl fmt::Display for Promise {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Prefix => "two orders part",
            Self::Equality => "orders differ at the end",
            Self::NoAlarm => "false alarm",
            Self::Progress => "stands still",
            Self::Parents => "too few parents",
        })
    }
}

/// How much was judged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Judged {
    /// Schedules.
    pub schedules: u64,
    /// Ways in which they went on.
    pub futures: u64,
    /// Views whose orders were compared.
    pub views: u64,
    /// Commits that the continuations told, all together.
    pub commits: u64,
}

impl Judged {
    pub(super) fn add(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.futures += other.futures;
        self.views += other.views;
        self.commits += other.commits;
    }
}

/// Judges a schedule that has reached the round where its first slot is decided.
pub(super) fn judge(
    play: &Play,
    led: &Led,
    foundry: &mut Foundry,
    random: &mut ChaCha8Rng,
) -> Result<Judged, Violation> {
    let broken = |promise| Violation { promise, dag: play.draw() };
    let quorum = foundry.quorum();
    let is_narrow = |vertex| play.made.parents(&vertex).len() < quorum;
    if play.made.all().any(is_narrow) {
        return Err(broken(Promise::Parents));
    }
    let mut views = Vec::new();
    for shown in views_of(play, led, random) {
        let mut follower = Machine::new(foundry, None);
        for vertex in shown {
            follower.show(vertex, &play.made, foundry);
        }
        views.push(follower);
    }
    let mut judged = Judged { schedules: 1, ..Judged::default() };
    for members in futures_of(play, led, random) {
        let mut branch = play.clone();
        go_on(&mut branch, &members, foundry);
        let broken = |promise| Violation { promise, dag: branch.draw() };
        let told: Vec<&Machine> = branch.machines.iter().flatten().chain(&views).collect();
        let longest = longest(told.iter().map(|machine| &machine.told[..]));
        if told.iter().any(|machine| machine.told[..] != longest[..machine.told.len()]) {
            return Err(broken(Promise::Prefix));
        }
        if told.iter().any(|machine| machine.alarm.is_some()) {
            return Err(broken(Promise::NoAlarm));
        }
        judged.commits += u64::try_from(longest.len()).unwrap_or_default();
        let longest = longest.to_vec();
        let view = views.choose_one(random);
        deliver_all(&mut branch, view, &longest, foundry, random)
            .map_err(|promise| Violation { promise, dag: branch.draw() })?;
        judged.futures += 1;
        judged.views += u64::try_from(views.len()).unwrap_or_default();
        if judged.futures == 1 {
            behave(&mut branch, foundry)
                .map_err(|promise| Violation { promise, dag: branch.draw() })?;
        }
    }
    if views.iter().any(|view| view.alarm.is_some()) {
        return Err(broken(Promise::NoAlarm));
    }
    Ok(judged)
}

trait ChooseOne {
    fn choose_one(&self, random: &mut ChaCha8Rng) -> Option<Machine>;
}

impl ChooseOne for Vec<Machine> {
    fn choose_one(&self, random: &mut ChaCha8Rng) -> Option<Machine> {
        let index = random.random_range(0..self.len().max(1));
        self.get(index).cloned()
    }
}

fn longest<'a>(orders: impl Iterator<Item = &'a [Commit]>) -> &'a [Commit] {
    orders.max_by_key(|order| order.len()).unwrap_or_default()
}

/// Sets of vertices of the newest round that somebody may have seen, with what they lead to: all
/// sets when they are few, else those that hold nothing but certificates or but none, and chance.
fn views_of(play: &Play, led: &Led, random: &mut ChaCha8Rng) -> Vec<Vec<VertexRef>> {
    let row: Vec<VertexRef> = play.row.iter().flatten().copied().collect();
    let shuffled = |mut set: Vec<VertexRef>, random: &mut ChaCha8Rng| {
        set.shuffle(random);
        set
    };
    if row.len() <= VIEWS_OF_ALL_MAX {
        let sets = 1..1_u32 << row.len();
        let chosen = |set: u32| {
            let members = row.iter().enumerate().filter(|(place, _)| set >> place & 1 == 1);
            members.map(|(_, vertex)| *vertex).collect::<Vec<_>>()
        };
        return sets.map(|set| shuffled(chosen(set), random)).collect();
    }
    let (certified, others): (Vec<VertexRef>, Vec<VertexRef>) =
        row.iter().partition(|vertex| is_certain(**vertex, led, play));
    let mut views = vec![certified, others];
    views.retain(|view| !view.is_empty());
    for _ in 0..VIEWS_SAMPLED {
        let size = random.random_range(1..=row.len());
        let mut set = shuffled(row.clone(), random);
        set.truncate(size);
        views.push(set);
    }
    views
}

/// Whether a vertex certifies the aimed leader, or has a certificate right below it.
pub(super) fn is_certain(vertex: VertexRef, led: &Led, play: &Play) -> bool {
    if vertex.round < led.decision_round() {
        return false;
    }
    let at_decision = play.made.cone_at(vertex, led.decision_round());
    at_decision.into_iter().any(|vertex| led.certified(vertex, &play.made).is_some())
}

/// Quorums that may go on, each with the vertices of the newest round that it goes on from: those
/// with the fewest certificates of the aimed leader, those with the most, and chance.
fn futures_of(play: &Play, led: &Led, random: &mut ChaCha8Rng) -> Vec<Vec<VertexRef>> {
    let quorum = led.quorum;
    let mut futures: Vec<Vec<VertexRef>> = vec![Vec::new()];
    for (place, twins) in play.row.iter().enumerate() {
        let left = play.row.len() - place - 1;
        let mut longer = Vec::new();
        for future in &futures {
            for twin in twins {
                let with_twin = [&future[..], &[*twin]].concat();
                longer.push(with_twin);
            }
            longer.push(future.clone());
        }
        longer.retain(|future| future.len() <= quorum && future.len() + left >= quorum);
        futures = longer;
    }
    futures.shuffle(random);
    if futures.len() > FUTURES_MAX {
        let row = play.row.iter().flatten();
        let certain: BTreeSet<VertexRef> =
            row.filter(|vertex| is_certain(**vertex, led, play)).copied().collect();
        let count = |future: &Vec<VertexRef>| {
            future.iter().filter(|vertex| certain.contains(vertex)).count()
        };
        futures.sort_by_cached_key(count);
        let most = futures.split_off(futures.len() - FUTURES_MAX / 4);
        let rest = futures.split_off(FUTURES_MAX / 4);
        futures.extend(most);
        futures.extend(rest.sample(random, FUTURES_MAX / 2).cloned());
    }
    futures
}

/// The members go on among themselves until an anchor above the schedule can be committed.
fn go_on(play: &mut Play, members: &[VertexRef], foundry: &mut Foundry) {
    let mut shown = members.to_vec();
    let rounds = foundry.parameters().wave + 2;
    for _ in 0..rounds {
        let mut row = vec![Vec::new(); play.row.len()];
        for member in members {
            let author = member.author;
            let built = if play.is_honest(author) {
                // Its own vertex comes first, as it has it from the start.
                let mut order = shown.clone();
                order.sort_by_key(|vertex| vertex.author != author);
                play.build(author, &order, true, foundry)
            } else {
                // Where the honest leave it out, a quorum may be missing for its vertex too.
                let has_quorum = shown.len() >= foundry.quorum();
                has_quorum.then(|| play.forge(author, &shown, 0, foundry))
            };
            row[author.index()].extend(built);
        }
        shown = row.iter().flatten().copied().collect();
        play.end_round(row);
    }
}

/// Shows everything to everybody, a follower with `view` included.
fn deliver_all(
    play: &mut Play,
    view: Option<Machine>,
    longest: &[Commit],
    foundry: &mut Foundry,
    random: &mut ChaCha8Rng,
) -> Result<(), Promise> {
    let mut all: Vec<VertexRef> = play.made.all().collect();
    let mut last: Option<Vec<Commit>> = None;
    let Play { machines, made, .. } = play;
    let mut view = view;
    for machine in machines.iter_mut().flatten().chain(&mut view) {
        all.shuffle(random);
        for vertex in &all {
            machine.show(*vertex, made, foundry);
        }
        if machine.alarm.is_some() {
            return Err(Promise::NoAlarm);
        }
        if machine.told.len() < longest.len() || machine.told[..longest.len()] != *longest {
            return Err(Promise::Prefix);
        }
        if last.as_ref().is_some_and(|last| *last != machine.told) {
            return Err(Promise::Equality);
        }
        last = Some(machine.told.clone());
    }
    Ok(())
}

/// Every honest vertex reaches every honest validator at once, and equivocators are silent, for two
/// waves above all that was built. Whoever is behind comes up round by round first: where proven
/// equivocators are left out, the others may have to wait for it.
fn behave(play: &mut Play, foundry: &mut Foundry) -> Result<(), Promise> {
    let wave = foundry.parameters().wave;
    let goal = play.round.saturating_add(2 * wave + 1);
    let steps = 2 * goal.value();
    for _ in 0..steps {
        let mut built: Vec<VertexRef> = Vec::new();
        for (own, machine) in foundry.committee().authors().zip(&mut play.machines) {
            let Some(machine) = machine else { continue };
            if machine.consensus.own_round() < goal {
                built.extend(machine.build(own, &mut play.made, foundry));
            }
        }
        for machine in play.machines.iter_mut().flatten() {
            for vertex in &built {
                machine.show(*vertex, &play.made, foundry);
            }
        }
    }
    let due = goal.saturating_sub(wave - 1);
    let told = longest(play.machines.iter().flatten().map(|machine| &machine.told[..])).to_vec();
    for machine in play.machines.iter().flatten() {
        if machine.consensus.decided_round() < due {
            return Err(Promise::Progress);
        }
        if machine.told != told {
            return Err(Promise::Equality);
        }
    }
    Ok(())
}
