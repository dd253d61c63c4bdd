//! Numbers that carry a unit. There is no `From<u64>`: a reader sees `Round::new(7)`.

use core::fmt;

use serde::Deserialize;
use serde::Serialize;

macro_rules! quantity {
    ($(#[$meta:meta])* $name:ident($inner:ty)) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name($inner);

        impl $name {
            /// The smallest value.
            pub const ZERO: Self = Self(0);
            /// The largest value.
            pub const MAX: Self = Self(<$inner>::MAX);

            /// Wraps a bare number.
            pub const fn new(value: $inner) -> Self {
                Self(value)
            }

            /// The bare number.
            pub const fn value(self) -> $inner {
                self.0
            }

            /// The value after this one; the largest value is its own successor.
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }

            /// The value before this one, or none below zero.
            pub const fn previous(self) -> Option<Self> {
                match self.0.checked_sub(1) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }

            /// Adds a bare count, or none on overflow.
            pub const fn checked_add(self, count: $inner) -> Option<Self> {
                match self.0.checked_add(count) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }

            /// Adds a bare count, stopping at the largest value.
            pub const fn saturating_add(self, count: $inner) -> Self {
                Self(self.0.saturating_add(count))
            }

            /// Takes a bare count away, stopping at zero.
            pub const fn saturating_sub(self, count: $inner) -> Self {
                Self(self.0.saturating_sub(count))
            }

            /// How far this value lies above `other`; zero when it does not.
            pub const fn distance_from(self, other: Self) -> $inner {
                self.0.saturating_sub(other.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, formatter)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

quantity!(
    /// A validator's place in the committee, from 0.
    Author(u16)
);
quantity!(
    /// The number of one of a blob's shards, from 0; the first k hold the blob itself.
    ShardIndex(u16)
);
quantity!(
    /// A round of the DAG. Round 0 holds the implicit first vertices; leaders stand from round 1.
    Round(u64)
);
quantity!(
    /// The number of the committee in force.
    Epoch(u32)
);
quantity!(
    /// The number of a commit, from 1; 0 is the state at genesis.
    CommitIndex(u64)
);
quantity!(
    /// The height of a sealed block, as Bitcoin counts it.
    Height(u32)
);
quantity!(
    /// Milliseconds since 1970-01-01 UTC, as a validator's clock claims them.
    TimestampMs(u64)
);
quantity!(
    /// A point on one machine's own monotonic clock, in microseconds since it started. Moments of
    /// two machines can not be compared.
    Moment(u64)
);
quantity!(
    /// A length of local time, in microseconds.
    Span(u64)
);

impl Author {
    /// This validator's place as an index into a list that has one entry a validator.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl ShardIndex {
    /// This shard's place in a list that has one entry a shard.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl Moment {
    /// The moment `span` later.
    pub const fn after(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The time that has passed since `earlier`; zero when it lies ahead.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Span {
    /// A length given in milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }
}
