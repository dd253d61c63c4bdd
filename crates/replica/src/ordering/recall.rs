//! The rule for a validator that lost its disk: it does not know what it signed, so it asks.
//!
//! It builds nothing until `min(Q, n - 1)` others have answered, and then nothing at or below
//! [`WINDOW`] rounds above the highest of so many answers, the lowest ones that came. An answer is
//! the highest of: the round of a vertex of the asker that the answerer knows of, the highest round
//! that the answerer itself ever signed, and the highest round at which it holds vertices of a
//! quorum.
//!
//! **Why no round is signed twice.** A vertex that this validator once signed at round r names
//! vertices of Q authors at r - 1, at least Q - 1 of them others. Take any Q answers of others: of
//! the n - 1 others at least (Q - 1) + Q - (n - 1) = 2Q - n >= f + 1 did both, and one of them is
//! honest and remembers: its own vertex at r - 1 makes its answer at least r - 1. Whoever lost its
//! memory, too, counts among the f; it answers nothing before it has its own bound, and with that
//! afterwards.
//!
//! **Why nobody can keep it silent.** Any Q answers are enough, so the lowest ones are taken. Of
//! the others Q are honest: once they have answered, who answers too much is passed over.
//!
//! Source: `docs/consensus.md`, Amnesia.

use std::collections::BTreeMap;

use consensus::WINDOW;
use types::Author;
use types::Moment;
use types::Quorums;
use types::Round;
use types::Span;
use types::TimestampMs;

use super::Start;
use super::status::Recovering;

/// How often those are asked again who have not answered.
pub const RECALL_INTERVAL: Span = Span::from_millis(1_000);

/// What a validator knows of the rounds that it signed.
#[derive(Debug)]
pub(super) enum Recall {
    /// All: the store remembers, or nothing was ever signed.
    Remembers,
    /// What others tell.
    Asking(Asking),
}

/// The answers so far.
#[derive(Debug)]
pub(super) struct Asking {
    /// What tells answers to this life's question from others; the time of its first input.
    question: Option<TimestampMs>,
    answers: BTreeMap<Author, Round>,
    needed: usize,
    ask_at: Moment,
}

impl Recall {
    /// `remembers` says whether the store knows what was signed.
    pub(super) fn new(start: Start, remembers: bool, quorums: Quorums) -> Self {
        if start == Start::First || remembers {
            return Self::Remembers;
        }
        let others = usize::from(quorums.validators()).saturating_sub(1);
        // Alone there is nobody who could remember, and no answer that would be enough.
        let needed = quorums.quorum().min(others).max(1);
        let (question, answers) = (None, BTreeMap::new());
        Self::Asking(Asking { question, answers, needed, ask_at: Moment::ZERO })
    }

    /// Takes an answer. The first one of each counts.
    pub(super) fn answered(&mut self, from: Author, question: TimestampMs, round: Round) {
        if let Self::Asking(asking) = self
            && asking.question == Some(question)
        {
            asking.answers.entry(from).or_insert(round);
        }
    }

    /// A vertex of this life was signed: it is above everything that was asked for.
    pub(super) fn signed(&mut self) {
        *self = Self::Remembers;
    }

    /// The question, and those of `connected` who are to be asked it now.
    pub(super) fn ask(
        &mut self,
        now: Moment,
        wall: TimestampMs,
        connected: impl Iterator<Item = Author>,
    ) -> Option<(TimestampMs, Vec<Author>)> {
        let Self::Asking(asking) = self else { return None };
        if now < asking.ask_at {
            return None;
        }
        asking.ask_at = now.after(RECALL_INTERVAL);
        let question = *asking.question.get_or_insert(wall);
        Some((question, connected.filter(|peer| !asking.answers.contains_key(peer)).collect()))
    }

    /// Somebody can be asked who could not be.
    pub(super) fn connected(&mut self) {
        if let Self::Asking(asking) = self {
            asking.ask_at = Moment::ZERO;
        }
    }

    /// When somebody is to be asked again.
    pub(super) const fn next_deadline(&self) -> Option<Moment> {
        match self {
            Self::Asking(asking) => Some(asking.ask_at),
            Self::Remembers => None,
        }
    }

    /// The round at or below which nothing may be signed; none as long as it is not known. It may
    /// fall when more answers come.
    pub(super) fn bound(&self) -> Option<Round> {
        match self {
            Self::Remembers => Some(Round::ZERO),
            Self::Asking(Asking { answers, needed, .. }) => {
                let mut lowest: Vec<Round> = answers.values().copied().collect();
                lowest.sort_unstable();
                let highest = lowest.get(needed.saturating_sub(1));
                highest.map(|highest| highest.saturating_add(WINDOW))
            }
        }
    }

    /// What there is to tell, until a vertex of this life has been signed.
    pub(super) fn status(&self) -> Option<Recovering> {
        let Self::Asking(Asking { answers, needed, .. }) = self else { return None };
        let until = self.bound().map(Round::next);
        Some(Recovering { answers: answers.len(), needed: *needed, until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: TimestampMs = TimestampMs::new(7);

    fn asking(validators: u16) -> Recall {
        let mut recall = Recall::new(Start::Recover, false, Quorums::new(validators));
        let peers = (1..validators).map(Author::new);
        let (question, asked) = recall.ask(Moment::ZERO, QUESTION, peers).unwrap();
        assert_eq!((question, asked.len()), (QUESTION, usize::from(validators) - 1));
        recall
    }

    #[test]
    fn a_quorum_of_others_or_all_of_them_have_to_answer() {
        for (validators, needed) in [(2, 1), (3, 2), (4, 3), (5, 4), (7, 5), (10, 7), (31, 21)] {
            let mut recall = asking(validators);
            for peer in 1..needed {
                recall.answered(Author::new(peer), QUESTION, Round::new(9));
                recall.answered(Author::new(peer), QUESTION, Round::new(9));
                assert_eq!(recall.bound(), None, "{validators}");
            }
            recall.answered(Author::new(needed), QUESTION, Round::new(4));
            let highest = if needed == 1 { 4 } else { 9 };
            assert_eq!(recall.bound(), Some(Round::new(highest + WINDOW)), "{validators}");
        }
    }

    #[test]
    fn who_answers_too_much_keeps_it_silent_only_until_all_honest_have_answered() {
        // Of seven one is the asker and one a liar, as many as may be at fault.
        let mut recall = asking(7);
        recall.answered(Author::new(6), QUESTION, Round::new(u64::MAX));
        for peer in 1..5 {
            recall.answered(Author::new(peer), QUESTION, Round::new(u64::from(peer)));
        }
        assert_eq!(recall.bound(), Some(Round::new(u64::MAX)));
        recall.answered(Author::new(5), QUESTION, Round::new(30));
        assert_eq!(recall.bound(), Some(Round::new(30 + WINDOW)));
        // One who answers too little is no help to anybody: the others' answers count, too.
        let mut recall = asking(7);
        for (peer, round) in [(1, 0), (2, 20), (3, 21), (4, 22), (5, 23)] {
            recall.answered(Author::new(peer), QUESTION, Round::new(round));
        }
        assert_eq!(recall.bound(), Some(Round::new(23 + WINDOW)));
    }

    #[test]
    fn nobody_alone_can_remember() {
        let mut recall = Recall::new(Start::Recover, false, Quorums::new(1));
        let asked = recall.ask(Moment::ZERO, QUESTION, std::iter::empty());
        assert_eq!(asked, Some((QUESTION, Vec::new())));
        assert_eq!(recall.bound(), None);
    }

    #[test]
    fn answers_to_a_question_of_another_life_do_not_count() {
        let mut recall = asking(2);
        recall.answered(Author::new(1), TimestampMs::new(6), Round::ZERO);
        assert_eq!(recall.bound(), None);
        recall.answered(Author::new(1), QUESTION, Round::ZERO);
        assert!(recall.bound().is_some());
    }

    #[test]
    fn who_has_answered_is_not_asked_again() {
        let mut recall = asking(4);
        recall.answered(Author::new(2), QUESTION, Round::ZERO);
        let peers = || (1..4).map(Author::new);
        assert_eq!(recall.ask(Moment::ZERO, QUESTION, peers()), None);
        let due = recall.next_deadline().unwrap();
        let (question, asked) = recall.ask(due, TimestampMs::new(99), peers()).unwrap();
        assert_eq!((question, asked), (QUESTION, [1, 3].map(Author::new).to_vec()));
    }
}
