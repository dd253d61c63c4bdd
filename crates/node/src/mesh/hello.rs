//! The first frame on a connection, and the answer to it: they agree on the network, on who
//! speaks, and on what the connection is for.
//!
//! The hello is a [`Message`](replica::wire::Message). TLS has proven the dialler's key before;
//! the hello only says which network and class it means, so that a mistake in a configuration ends with a reason and not with silence.

use std::fmt;

use replica::wire::WIRE_VERSION;
use types::Author;
use types::Decode;
use types::DecodeError;
use types::Digest;
use types::Encode;
use types::Epoch;
use types::encoding::Reader;
use types::encoding::Writer;

/// The most bytes of a hello or its answer.
pub(super) const HELLO_BYTES_MAX: usize = 64;

/// What the other side answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Frames may follow.
    Welcome,
    /// The connection is closed.
    Refused(Refusal),
}

/// Why a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The hello is not of a version that is spoken here.
    Version {
        /// The version that is.
        spoken: u8,
    },
    /// It belongs to another network.
    Chain {
        /// The network here.
        here: Digest,
    },
    /// It belongs to another committee.
    Epoch {
        /// The epoch here.
        here: Epoch,
    },
    /// The key that TLS proved is another validator's.
    Author {
        /// Whose key it is.
        proven: Author,
    },
    /// The other side is the one that dials.
    Direction,
    /// A newer connection is on its way in already.
    Busy,
    /// The key is not one that may follow here.
    NotAdmitted,
    /// As many follow here as may.
    Full,
}

impl Encode for Answer {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Welcome => writer.u8(0),
            Self::Refused(Refusal::Version { spoken }) => {
                writer.u8(1);
                writer.u8(*spoken);
            }
            Self::Refused(Refusal::Chain { here }) => {
                writer.u8(2);
                here.encode(writer);
            }
            Self::Refused(Refusal::Author { proven }) => {
                writer.u8(3);
                proven.encode(writer);
            }
            Self::Refused(Refusal::Epoch { here }) => {
                writer.u8(6);
                here.encode(writer);
            }
            Self::Refused(Refusal::Direction) => writer.u8(4),
            Self::Refused(Refusal::Busy) => writer.u8(5),
            Self::Refused(Refusal::NotAdmitted) => writer.u8(7),
            Self::Refused(Refusal::Full) => writer.u8(8),
        }
    }
}

impl Decode for Answer {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.u8()? {
            0 => Self::Welcome,
            1 => Self::Refused(Refusal::Version { spoken: reader.u8()? }),
            2 => Self::Refused(Refusal::Chain { here: Digest::decode(reader)? }),
            3 => Self::Refused(Refusal::Author { proven: Author::decode(reader)? }),
            4 => Self::Refused(Refusal::Direction),
            5 => Self::Refused(Refusal::Busy),
            6 => Self::Refused(Refusal::Epoch { here: Epoch::decode(reader)? }),
            7 => Self::Refused(Refusal::NotAdmitted),
            8 => Self::Refused(Refusal::Full),
            tag => return Err(DecodeError::UnknownTag { what: "answer", tag }),
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { spoken } => write!(
                formatter,
                "protocol version {spoken} is spoken there, {WIRE_VERSION} here: update one"
            ),
            Self::Chain { here } => {
                write!(formatter, "network {here} there: the two hold different genesis files")
            }
            Self::Epoch { here } => {
                write!(formatter, "epoch {here} there: the two hold different committees")
            }
            Self::Author { proven } => {
                write!(formatter, "the key that was proven is validator {proven}'s")
            }
            Self::Direction => formatter.write_str("the lower of two validators dials"),
            Self::Busy => formatter.write_str("a newer connection is on its way in"),
            Self::NotAdmitted => formatter.write_str(
                "this node's key is not among those that may follow there: its operator lists it \
                 under network.followers",
            ),
            Self::Full => formatter.write_str("as many follow there as may: try another validator"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_survive_their_encoding() {
        let answers = [
            Answer::Welcome,
            Answer::Refused(Refusal::Version { spoken: 9 }),
            Answer::Refused(Refusal::Chain { here: Digest::new([1; 32]) }),
            Answer::Refused(Refusal::Epoch { here: Epoch::new(4) }),
            Answer::Refused(Refusal::Author { proven: Author::new(2) }),
            Answer::Refused(Refusal::Direction),
            Answer::Refused(Refusal::Busy),
            Answer::Refused(Refusal::NotAdmitted),
            Answer::Refused(Refusal::Full),
        ];
        for answer in answers {
            let bytes = answer.to_bytes();
            assert_eq!(Answer::from_bytes(&bytes), Ok(answer));
            assert!(bytes.len() <= HELLO_BYTES_MAX);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn whatever_decodes_encodes_to_the_same_bytes(
            bytes in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            if let Ok(answer) = Answer::from_bytes(&bytes) {
                prop_assert_eq!(answer.to_bytes(), bytes);
            }
        }
    }
}
