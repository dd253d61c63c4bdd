//! From a peer's bytes to something that a machine takes: the checks that cost time and need no
//! state. Whoever has threads to spare calls this on them.

use bytes::Bytes;
use consensus::VerifiedCoin;
use types::Author;
use types::Committee;
use types::DecodeError;
use types::InvalidVertex;
use types::KeyError;
use types::Round;
use types::Rules;
use types::Unverified;
use types::Verified;
use types::Vertex;

use crate::ordering::Input;
use crate::serve::Request;
use crate::wire::Hello;
use crate::wire::Message;
use crate::wire::Range;
use crate::wire::Recalled;

/// What a message is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// For whoever owns the connection.
    Hello(Hello),
    /// For the ordering half.
    Input(Input),
    /// For [`serve`](crate::serve()); its answer goes back to the sender.
    Request(Request),
}

/// Why a message is refused: the sender's fault, for an honest one holds no such vertex.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMessage {
    /// The bytes are no message or hold bytes that are no vertex.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A vertex in it is not valid.
    #[error(transparent)]
    Vertex(#[from] InvalidVertex),
    /// A common coin in it is not the one of its round.
    #[error("the common coin of round {round} is wrong: {error}")]
    Coin {
        /// The round.
        round: Round,
        /// What is wrong.
        error: KeyError,
    },
}

/// Verifies what a message of `from` holds and says who it is for.
///
/// # Errors
/// When a vertex or a common coin in it is not valid: nothing of the message is taken then.
pub fn receive(
    from: Author,
    message: Message,
    committee: &Committee,
    rules: Rules,
) -> Result<Received, InvalidMessage> {
    let verify = |bytes: &Bytes| -> Result<Verified<Vertex>, InvalidMessage> {
        Ok(Unverified::decode(bytes)?.verify(committee, rules)?)
    };
    Ok(match message {
        Message::Hello(hello) => Received::Hello(hello),
        Message::Vertex(vertex) => {
            Received::Input(Input::Vertex { from, vertex: verify(&vertex)? })
        }
        Message::Status(status) => Received::Input(Input::Status { from, status }),
        Message::Vertices(vertices) => {
            let vertices = vertices.iter().map(verify).collect::<Result<_, _>>()?;
            Received::Input(Input::Vertices { from, vertices })
        }
        Message::Range(Range { from: start, next, coins, vertices }) => {
            let vertices = vertices.iter().map(verify).collect::<Result<_, _>>()?;
            let coins = VerifiedCoin::verify_all(&coins, committee)
                .map_err(|(round, error)| InvalidMessage::Coin { round, error })?;
            let range = Range { from: start, next, coins, vertices };
            Received::Input(Input::Range { from, range })
        }
        Message::Recall(question) => Received::Input(Input::Recall { from, question }),
        Message::Recalled(Recalled { question, round }) => {
            Received::Input(Input::Recalled { from, question, round })
        }
        Message::FetchVertices(references) => Received::Request(Request::Vertices(references)),
        Message::FetchRounds(rounds) => Received::Request(Request::Rounds(rounds)),
    })
}
