use types::Verified;
use types::Vertex;
use types::test_utils::TestNetwork;

use super::*;
use crate::check::drawing;

const BY: Author = Author::ZERO;

/// Author 1 is faulty and made twins; author 2 is honest.
fn setting() -> (TestNetwork, Made, Verified<Vertex>, Verified<Vertex>) {
    let network = TestNetwork::new(4);
    let (first, second) = (drawing::first(&network, 1, 0), drawing::first(&network, 1, 1));
    let mut made = Made::new(vec![false, true, false, false]);
    made.signed(&first);
    made.signed(&second);
    (network, made, first, second)
}

fn judge(evidence: &Evidence, made: &Made, network: &TestNetwork) -> Verdict {
    let right = |author, round| network.coin_share(author, round);
    Accusations::new(4).accused(BY, evidence, made, right)
}

#[test]
fn proof_against_an_equivocator_is_right_and_against_an_honest_one_or_nobody_wrong() {
    let (network, mut made, first, second) = setting();
    let evidence = Evidence::Equivocation { first: first.clone(), second };
    judge(&evidence, &made, &network).unwrap();
    let same = Evidence::Equivocation { first: first.clone(), second: first };
    assert!(judge(&same, &made, &network).unwrap_err().0.contains("prove nothing"));
    let (one, other) = (drawing::first(&network, 2, 0), drawing::first(&network, 2, 1));
    let evidence = Evidence::Equivocation { first: one.clone(), second: other.clone() };
    assert!(judge(&evidence, &made, &network).unwrap_err().0.contains("prove nothing"));
    made.signed(&one);
    made.signed(&other);
    assert!(judge(&evidence, &made, &network).unwrap_err().0.contains("honest"));
}

#[test]
fn proof_of_a_wrong_share_that_is_right_is_noticed() {
    let (network, mut made, ..) = setting();
    let mut vertices: Vec<_> = (0..4).map(|author| drawing::first(&network, author, 0)).collect();
    for _ in 2..=5 {
        let parents: Vec<_> = vertices.iter().map(|vertex| vertex.reference()).collect();
        let next = (0..4).map(|author| drawing::vertex(&network, author, parents.clone(), 0));
        vertices = next.collect();
    }
    let vertex = vertices[1].clone();
    made.signed(&vertex);
    let round = Round::new(1);
    let evidence = Evidence::WrongCoinShare { vertex, round };
    assert!(judge(&evidence, &made, &network).unwrap_err().0.contains("is right"));
    let other = |_, _| network.coin_share(Author::new(3), round);
    Accusations::new(4).accused(BY, &evidence, &made, other).unwrap();
}

#[test]
fn whoever_holds_twins_and_writes_no_proof_is_noticed() {
    let (_, _, first, second) = setting();
    let mut accusations = Accusations::new(4);
    accusations.holds(BY, &first.reference());
    accusations.holds(Author::new(3), &second.reference());
    accusations.end().unwrap();
    accusations.holds(BY, &second.reference());
    assert!(accusations.end().unwrap_err().0.contains("does not say so"));
    accusations.wrote(BY, Round::new(1), Author::new(1));
    accusations.end().unwrap();
    // After a restart it sees both again, and owes as before.
    accusations.restarted(BY);
    accusations.holds(BY, &first.reference());
    accusations.holds(BY, &second.reference());
    assert!(accusations.end().is_err());
}
