//! The genesis of a network: everything that all its members must agree on before the first round.
//!
//! The file is JSON with units in its names. The network's id, [`Genesis::chain`], is the hash of
//! its canonical encoding, so two files that differ in anything but spelling are two networks.
//!
//! **Blobs** came later than everything else. A file that does not name their parameters has the
//! default ones, and these add nothing to the encoding: it keeps its id, and a file that spells the
//! defaults out is the same network.

use alloc::string::String;
use alloc::vec::Vec;

use serde::Deserialize;
use serde::Serialize;

use crate::blob::BLOB_LENGTH_MAX;
use crate::bls;
use crate::committee::Committee;
use crate::committee::VALIDATORS_MAX;
use crate::committee::Validator;
use crate::digest::Digest;
use crate::digest::Hasher;
use crate::encoding::Encode;
use crate::encoding::Writer;
use crate::error::KeyError;
use crate::ids::Author;
use crate::ids::Epoch;
use crate::ids::TimestampMs;
use crate::keys::PublicKey;
use crate::vertex::Rules;

/// The largest block weight that a genesis may allow.
pub const BLOCK_WEIGHT_MAX: u64 = 400_000_000;
/// The block weight up to which Bitcoin Core follows.
pub const BLOCK_WEIGHT_CORE: u64 = 4_000_000;
/// The most allocations that a genesis may hold.
pub const ALLOCATIONS_MAX: usize = 100_000;
/// The most satoshi that the genesis prefix can pay: 149 subsidies of 50 BTC.
pub const ALLOCATED_SAT_MAX: u64 = 149 * 50 * 100_000_000;
/// The highest price of a blob's mebibyte and tick: a whole bitcoin.
const BLOB_PRICE_MSAT_MAX: u64 = 100_000_000_000;
const SCRIPT_BYTES_MAX: usize = 520;

/// The parameters of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// The version of this file's meaning: 1.
    pub version: u32,
    /// What the network is called.
    pub name: String,
    /// Whether this is a development network: one dealer made the keys, anybody may seal blocks.
    pub development: bool,
    /// When the network begins, in milliseconds since 1970. The allocation blocks lie before.
    pub start_ms: TimestampMs,
    /// The epoch of the committee below.
    pub epoch: Epoch,
    /// How vertices are ordered.
    pub consensus: ConsensusParameters,
    /// How commits become blocks.
    pub ledger: LedgerParameters,
    /// What blobs cost and how large they may be.
    #[serde(default, skip_serializing_if = "BlobParameters::is_default")]
    pub blobs: BlobParameters,
    /// The validators, by author.
    pub validators: Vec<GenesisValidator>,
    /// The key that judges the common coin.
    pub coin_group: bls::PublicKey,
    /// Who owns the money.
    pub allocations: Vec<Allocation>,
}

/// How vertices are ordered: `docs/consensus.md`, Parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsensusParameters {
    /// w: rounds from a leader to its decision, 4 or 5.
    pub wave: u64,
    /// l: leader slots a round.
    pub leaders_per_round: u16,
    /// G: rounds below a committed leader after which unordered vertices are dropped.
    pub gc_depth: u64,
}

/// How commits become blocks: `docs/ledger.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerParameters {
    /// The least agreed time between two sealed blocks, in milliseconds.
    pub block_interval_ms: u64,
    /// The largest weight of a sealed block.
    pub max_block_weight: u64,
    /// How many full blocks may wait for sealing before new transactions are refused.
    pub backlog_blocks: u32,
    /// A checkpoint is made at least every this many commits.
    pub checkpoint_every: u64,
}

/// What blobs cost and how large they may be: `docs/blobs.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobParameters {
    /// What a mebibyte of shards costs a tick, in thousandths of a satoshi.
    pub price_msat_per_mib_tick: u64,
    /// The longest blob, in bytes.
    pub length_max: u64,
    /// How many ticks ahead a blob's end may lie.
    pub ticks_max: u32,
}

/// One validator as the genesis names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisValidator {
    /// What it is called.
    pub name: String,
    /// Signs its vertices.
    pub vertex_key: PublicKey,
    /// Identifies its node on the network.
    pub transport_key: PublicKey,
    /// Signs checkpoints.
    pub checkpoint_key: bls::PublicKey,
    /// Proves that the secret of `checkpoint_key` is held.
    pub checkpoint_possession: bls::Possession,
    /// Judges its shares of the common coin.
    pub coin_key: bls::PublicKey,
    /// The Bitcoin script that fees are paid to, in hex.
    pub payout_script: HexBytes,
}

/// Money that exists from the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allocation {
    /// The Bitcoin script that owns it, in hex.
    pub script: HexBytes,
    /// How much, in satoshi: at most 50 BTC, what one coinbase may pay.
    pub amount_sat: u64,
}

/// Bytes that are written as hex.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct HexBytes(pub Vec<u8>);

/// Why a genesis is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// The file is of a version that this program does not know.
    #[error("genesis version {actual}, this program knows 1")]
    Version {
        /// What the file says.
        actual: u32,
    },
    /// A number is outside what is allowed.
    #[error("{what} is {actual}, allowed are {least} to {most}")]
    OutOfRange {
        /// Which number.
        what: &'static str,
        /// What the file says.
        actual: u64,
        /// The least allowed.
        least: u64,
        /// The most allowed.
        most: u64,
    },
    /// Two validators share a key.
    #[error("validators {first} and {second} have the same {what}")]
    SharedKey {
        /// Which key.
        what: &'static str,
        /// One of them.
        first: Author,
        /// The other one.
        second: Author,
    },
    /// A validator did not prove that it holds its checkpoint key.
    #[error("validator {author}: the proof of possession does not fit its checkpoint key")]
    Possession {
        /// Which validator.
        author: Author,
    },
    /// The committee is refused.
    #[error(transparent)]
    Committee(#[from] KeyError),
}

impl Default for ConsensusParameters {
    fn default() -> Self {
        Self { wave: 5, leaders_per_round: 2, gc_depth: 500 }
    }
}

impl Default for LedgerParameters {
    fn default() -> Self {
        Self {
            block_interval_ms: 10_000,
            max_block_weight: BLOCK_WEIGHT_CORE,
            backlog_blocks: 12,
            checkpoint_every: 8,
        }
    }
}

impl Default for BlobParameters {
    fn default() -> Self {
        // 64 GiB, and a good year of ticks every ten seconds.
        Self { price_msat_per_mib_tick: 10, length_max: 64 << 30, ticks_max: 4_000_000 }
    }
}

impl BlobParameters {
    const MIB_MSAT: u128 = 1_000 << 20;

    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Appends them at the end of what they belong to: nothing when they are the defaults.
    pub(crate) fn encode_unless_default(&self, writer: &mut Writer) {
        if !self.is_default() {
            writer.u64(self.price_msat_per_mib_tick);
            writer.u64(self.length_max);
            writer.u32(self.ticks_max);
        }
    }

    /// What it costs to keep so many bytes of shards for so many ticks, in whole satoshi.
    pub fn price_sat(&self, encoded_length: u64, ticks: u32) -> u64 {
        let byte_ticks = u128::from(encoded_length) * u128::from(ticks);
        let price = byte_ticks.saturating_mul(u128::from(self.price_msat_per_mib_tick));
        u64::try_from(price.div_ceil(Self::MIB_MSAT)).unwrap_or(u64::MAX)
    }
}

impl ConsensusParameters {
    /// What stateless validity depends on.
    pub const fn rules(&self) -> Rules {
        Rules { wave: self.wave }
    }
}

impl Genesis {
    /// The network's id.
    pub fn chain(&self) -> Digest {
        Hasher::new("meanwhile/types/genesis/v1").value(self).finish()
    }

    /// Checks everything that can be checked and gives the committee.
    ///
    /// # Errors
    /// Says what is wrong with the file.
    pub fn check(&self) -> Result<Committee, GenesisError> {
        if self.version != 1 {
            return Err(GenesisError::Version { actual: self.version });
        }
        self.check_ranges()?;
        self.check_keys()?;
        let validators = self
            .validators
            .iter()
            .map(|validator| Validator {
                vertex_key: validator.vertex_key,
                transport_key: validator.transport_key,
                checkpoint_key: validator.checkpoint_key.clone(),
                coin_key: validator.coin_key.clone(),
            })
            .collect();
        Ok(Committee::new(self.chain(), self.epoch, validators, self.coin_group.clone())?)
    }

    fn check_ranges(&self) -> Result<(), GenesisError> {
        let validators = to_u64(self.validators.len());
        let ledger = &self.ledger;
        in_range("consensus.wave", self.consensus.wave, 4, 5)?;
        in_range("number of validators", validators, 1, to_u64(VALIDATORS_MAX))?;
        let leaders = u64::from(self.consensus.leaders_per_round);
        in_range("consensus.leaders_per_round", leaders, 1, validators)?;
        in_range("consensus.gc_depth", self.consensus.gc_depth, 20, 100_000)?;
        in_range("ledger.block_interval_ms", ledger.block_interval_ms, 100, 7 * 86_400_000)?;
        in_range("ledger.max_block_weight", ledger.max_block_weight, 400_000, BLOCK_WEIGHT_MAX)?;
        in_range("ledger.backlog_blocks", u64::from(ledger.backlog_blocks), 1, 10_000)?;
        in_range("ledger.checkpoint_every", ledger.checkpoint_every, 1, 10_000)?;
        let blobs = &self.blobs;
        let price = blobs.price_msat_per_mib_tick;
        in_range("blobs.price_msat_per_mib_tick", price, 0, BLOB_PRICE_MSAT_MAX)?;
        in_range("blobs.length_max", blobs.length_max, 0, BLOB_LENGTH_MAX)?;
        in_range("blobs.ticks_max", u64::from(blobs.ticks_max), 1, u64::from(u32::MAX / 2))?;
        // Block times are u32 seconds; both ends leave room for the allocation blocks.
        in_range("start_ms", self.start_ms.value(), 1_400_000_000_000, 4_200_000_000_000)?;
        let allocations = to_u64(self.allocations.len());
        in_range("number of allocations", allocations, 0, to_u64(ALLOCATIONS_MAX))?;
        let mut total = 0_u64;
        for allocation in &self.allocations {
            in_range("an allocation's amount_sat", allocation.amount_sat, 1, 5_000_000_000)?;
            let length = to_u64(allocation.script.0.len());
            in_range("an allocation's script length", length, 1, to_u64(SCRIPT_BYTES_MAX))?;
            total = total.saturating_add(allocation.amount_sat);
        }
        in_range("sum of allocations in satoshi", total, 0, ALLOCATED_SAT_MAX)?;
        for validator in &self.validators {
            let length = to_u64(validator.payout_script.0.len());
            in_range("a payout_script's length", length, 1, to_u64(SCRIPT_BYTES_MAX))?;
        }
        Ok(())
    }

    fn check_keys(&self) -> Result<(), GenesisError> {
        // Up to three validators tolerate no fault: a threshold of 1 gives all of them one key.
        let coin_is_split = self.validators.len() > 3;
        for (second, validator) in self.validators.iter().enumerate() {
            let author = author(second);
            validator
                .checkpoint_key
                .verify_possession(&validator.checkpoint_possession)
                .map_err(|_| GenesisError::Possession { author })?;
            for (first, earlier) in self.validators[..second].iter().enumerate() {
                let what = if earlier.vertex_key == validator.vertex_key {
                    "vertex_key"
                } else if earlier.transport_key == validator.transport_key {
                    "transport_key"
                } else if earlier.checkpoint_key == validator.checkpoint_key {
                    "checkpoint_key"
                } else if coin_is_split && earlier.coin_key == validator.coin_key {
                    "coin_key"
                } else {
                    continue;
                };
                let first = self::author(first);
                return Err(GenesisError::SharedKey { what, first, second: author });
            }
        }
        Ok(())
    }
}

fn author(index: usize) -> Author {
    Author::new(u16::try_from(index).unwrap_or(u16::MAX))
}

fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn in_range(what: &'static str, actual: u64, least: u64, most: u64) -> Result<(), GenesisError> {
    if (least..=most).contains(&actual) {
        Ok(())
    } else {
        Err(GenesisError::OutOfRange { what, actual, least, most })
    }
}

impl Encode for Genesis {
    fn encode(&self, writer: &mut Writer) {
        writer.u32(self.version);
        writer.bytes(self.name.as_bytes());
        writer.u8(u8::from(self.development));
        self.start_ms.encode(writer);
        self.epoch.encode(writer);
        writer.u64(self.consensus.wave);
        writer.u16(self.consensus.leaders_per_round);
        writer.u64(self.consensus.gc_depth);
        writer.u64(self.ledger.block_interval_ms);
        writer.u64(self.ledger.max_block_weight);
        writer.u32(self.ledger.backlog_blocks);
        writer.u64(self.ledger.checkpoint_every);
        writer.list(&self.validators);
        self.coin_group.encode(writer);
        writer.list(&self.allocations);
        self.blobs.encode_unless_default(writer);
    }
}

impl Encode for GenesisValidator {
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(self.name.as_bytes());
        self.vertex_key.encode(writer);
        self.transport_key.encode(writer);
        self.checkpoint_key.encode(writer);
        self.checkpoint_possession.encode(writer);
        self.coin_key.encode(writer);
        writer.bytes(&self.payout_script.0);
    }
}

impl Encode for Allocation {
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(&self.script.0);
        writer.u64(self.amount_sat);
    }
}

impl Serialize for HexBytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for HexBytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <alloc::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        hex::decode(text.as_bytes()).map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use super::*;
    use crate::test_utils::TestNetwork;

    #[test]
    fn a_genesis_survives_its_file_and_keeps_its_id() {
        let genesis = TestNetwork::new(4).genesis;
        let text = serde_json::to_string(&genesis).unwrap();
        let again: Genesis = serde_json::from_str(&text).unwrap();
        assert_eq!(again, genesis);
        assert_eq!(again.chain(), genesis.chain());
        assert!(again.check().is_ok());
    }

    #[test]
    fn every_field_is_part_of_the_id() {
        let base = TestNetwork::new(4).genesis;
        let changes: [fn(&mut Genesis); 11] = [
            |genesis| genesis.name.push('x'),
            |genesis| genesis.development = !genesis.development,
            |genesis| genesis.start_ms = genesis.start_ms.next(),
            |genesis| genesis.epoch = genesis.epoch.next(),
            |genesis| genesis.consensus.gc_depth += 1,
            |genesis| genesis.ledger.block_interval_ms += 1,
            |genesis| genesis.blobs.price_msat_per_mib_tick += 1,
            |genesis| genesis.blobs.length_max += 1,
            |genesis| genesis.blobs.ticks_max += 1,
            |genesis| genesis.validators.swap(0, 1),
            |genesis| genesis.allocations[0].amount_sat -= 1,
        ];
        for change in changes {
            let mut changed = base.clone();
            change(&mut changed);
            assert_ne!(changed.chain(), base.chain());
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_reason() {
        let base = TestNetwork::new(4).genesis;
        type Row = (fn(&mut Genesis), &'static str);
        let rows: [Row; 6] = [
            (|genesis| genesis.version = 2, "version 2"),
            (|genesis| genesis.consensus.wave = 3, "consensus.wave is 3"),
            (|genesis| genesis.validators.clear(), "number of validators is 0"),
            (|genesis| genesis.allocations[0].amount_sat = 0, "amount_sat is 0"),
            (
                |genesis| genesis.validators[1].vertex_key = genesis.validators[0].vertex_key,
                "validators 0 and 1 have the same vertex_key",
            ),
            (
                |genesis| {
                    genesis.validators[1].checkpoint_possession =
                        genesis.validators[0].checkpoint_possession;
                },
                "validator 1: the proof of possession",
            ),
        ];
        for (change, reason) in rows {
            let mut genesis = base.clone();
            change(&mut genesis);
            let error = genesis.check().unwrap_err().to_string();
            assert!(error.contains(reason), "{error:?} does not name {reason:?}");
        }
    }

    #[test]
    fn every_size_can_be_a_network() {
        for validators in 1..=10 {
            assert_eq!(TestNetwork::new(validators).committee.size(), usize::from(validators));
        }
    }

    #[test]
    fn a_file_from_before_blobs_keeps_its_id_and_has_the_defaults() {
        let genesis = TestNetwork::new(4).genesis;
        let text = serde_json::to_string(&genesis).unwrap();
        assert!(!text.contains("price_msat_per_mib_tick"), "{text}");
        let blobs = serde_json::to_string(&BlobParameters::default()).unwrap();
        let spelt =
            text.replacen("\"validators\":", &format!("\"blobs\":{blobs},\"validators\":"), 1);
        let spelt: Genesis = serde_json::from_str(&spelt).unwrap();
        assert_eq!(spelt.chain(), genesis.chain());
        assert_eq!(spelt.blobs, BlobParameters::default());
    }

    #[test]
    fn a_price_is_by_bytes_and_ticks_in_whole_satoshi() {
        let blobs = BlobParameters { price_msat_per_mib_tick: 500, ..BlobParameters::default() };
        let mib = 1 << 20;
        let rows = [(mib, 2, 1), (mib, 3, 2), (1, 1, 1), (0, 9, 0), (mib, 0, 0), (8 * mib, 10, 40)];
        for (bytes, ticks, price) in rows {
            assert_eq!(blobs.price_sat(bytes, ticks), price, "{bytes} bytes, {ticks} ticks");
        }
        let dear = BlobParameters { price_msat_per_mib_tick: u64::MAX, ..blobs };
        assert_eq!(dear.price_sat(u64::MAX, u32::MAX), u64::MAX);
    }

    #[test]
    fn unknown_keys_are_refused() {
        let text = serde_json::to_string(&TestNetwork::new(1).genesis).unwrap();
        let text = text.replacen('{', "{\"surprise\":1,", 1);
        assert!(serde_json::from_str::<Genesis>(&text).is_err());
    }
}
