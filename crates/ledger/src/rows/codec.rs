//! The encodings of the rows: a version byte, then the fields in the order in which they stand.

use super::*;

const VERSION: u8 = 1;
/// The state and what waits to be sealed have grown once.
const STATE_VERSION: u8 = 2;
/// Nothing that is stored here is longer: a payload's limit bounds scripts and transactions.
const BYTES_MAX: usize = 32 * 1024 * 1024;

impl Encode for Coin {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.option(self.coinbase.as_ref());
        writer.u64(self.output.value.to_sat());
        writer.bytes(self.output.script_pubkey.as_bytes());
    }
}

impl Decode for Coin {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("coin", VERSION)?;
        let coinbase = reader.option("coin height")?;
        let value = Amount::from_sat(reader.u64()?);
        let length = reader.length("coin script", BYTES_MAX)?;
        let script_pubkey = ScriptBuf::from_bytes(reader.raw(length)?.to_vec());
        Ok(Self { output: TxOut { value, script_pubkey }, coinbase })
    }
}

impl Encode for Place {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        self.height.encode(writer);
        writer.u32(self.position);
    }
}

impl Decode for Place {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("place", VERSION)?;
        Ok(Self { height: Height::decode(reader)?, position: reader.u32()? })
    }
}

impl Encode for Spender {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        encode_hash(writer, self.txid);
        writer.u32(self.input);
    }
}

impl Decode for Spender {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("spender", VERSION)?;
        Ok(Self { txid: decode_hash(reader)?, input: reader.u32()? })
    }
}

impl Encode for Totals {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.u64(self.transactions);
        writer.u64(self.funded);
        writer.u64(self.funded_sat);
        writer.u64(self.spent);
        writer.u64(self.spent_sat);
    }
}

impl Decode for Totals {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("totals", VERSION)?;
        Ok(Self {
            transactions: reader.u64()?,
            funded: reader.u64()?,
            funded_sat: reader.u64()?,
            spent: reader.u64()?,
            spent_sat: reader.u64()?,
        })
    }
}

impl Encode for TransactionRow {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        self.commit.encode(writer);
        writer.u64(self.order);
        writer.bytes(&self.raw);
    }
}

impl Decode for TransactionRow {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("transaction", VERSION)?;
        Ok(Self {
            commit: CommitIndex::decode(reader)?,
            order: reader.u64()?,
            raw: reader.bytes("transaction", BYTES_MAX)?,
        })
    }
}

impl Encode for HistoryRow {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        encode_hash(writer, self.txid);
        self.change.encode(writer);
    }
}

impl Decode for HistoryRow {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("history", VERSION)?;
        Ok(Self { txid: decode_hash(reader)?, change: Totals::decode(reader)? })
    }
}

impl Encode for Unsealed {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(STATE_VERSION);
        self.commit.encode(writer);
        encode_hash(writer, self.txid);
        encode_hash(writer, self.wtxid);
        writer.u64(self.weight);
        writer.u64(self.size);
        writer.u64(self.sigops_cost);
        writer.u64(self.fee_sat);
        writer.list(&self.spent);
    }
}

impl Decode for Unsealed {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("unsealed", STATE_VERSION)?;
        Ok(Self {
            commit: CommitIndex::decode(reader)?,
            txid: decode_hash(reader)?,
            wtxid: decode_hash(reader)?,
            weight: reader.u64()?,
            size: reader.u64()?,
            sigops_cost: reader.u64()?,
            fee_sat: reader.u64()?,
            spent: reader.list("spent coins", BYTES_MAX)?,
        })
    }
}

impl Encode for BlockRow {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        self.commit.encode(writer);
        writer.raw(&encode::serialize(&self.header));
        writer.u32(self.transactions);
        writer.u64(self.size);
        writer.u64(self.weight);
        writer.u32(self.median_time_past);
    }
}

impl Decode for BlockRow {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("block", VERSION)?;
        Ok(Self {
            commit: CommitIndex::decode(reader)?,
            header: encode::deserialize(reader.raw(block::Header::SIZE)?)
                .map_err(|_| DecodeError::InvalidValue { what: "block header" })?,
            transactions: reader.u32()?,
            size: reader.u64()?,
            weight: reader.u64()?,
            median_time_past: reader.u32()?,
        })
    }
}

impl Encode for CommitRow {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        self.digest.encode(writer);
        self.timestamp.encode(writer);
        self.leader.encode(writer);
        writer.u32(self.finals);
        writer.u32(self.rejected);
        writer.u32(self.skipped);
        writer.u32(self.repeated);
        writer.u32(self.ignored);
        writer.u32(self.blocks);
        writer.u64(self.last_event);
    }
}

impl Decode for CommitRow {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("commit row", VERSION)?;
        Ok(Self {
            digest: Digest::decode(reader)?,
            timestamp: TimestampMs::decode(reader)?,
            leader: Author::decode(reader)?,
            finals: reader.u32()?,
            rejected: reader.u32()?,
            skipped: reader.u32()?,
            repeated: reader.u32()?,
            ignored: reader.u32()?,
            blocks: reader.u32()?,
            last_event: reader.u64()?,
        })
    }
}

impl Encode for State {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(STATE_VERSION);
        self.chain.encode(writer);
        self.applied.encode(writer);
        self.digest.encode(writer);
        self.last_tick.encode(writer);
        self.height.encode(writer);
        encode_hash(writer, self.hash);
        writer.list(&self.times);
        writer.u64(self.last_event);
        writer.u64(self.next_order);
        writer.u64(self.first_unsealed);
        writer.u64(self.unsealed_count);
        writer.u64(self.unsealed_weight);
        self.block_results.encode(writer);
        self.checkpoint_results.encode(writer);
        self.checkpoint.encode(writer);
        writer.u64(self.checkpoint_event);
        self.sealed_chain.encode(writer);
        self.final_chain.encode(writer);
    }
}

impl Decode for State {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("ledger state", STATE_VERSION)?;
        Ok(Self {
            chain: Digest::decode(reader)?,
            applied: CommitIndex::decode(reader)?,
            digest: Digest::decode(reader)?,
            last_tick: TimestampMs::decode(reader)?,
            height: Height::decode(reader)?,
            hash: decode_hash(reader)?,
            times: reader.list("header times", MEDIAN_TIMES)?,
            last_event: reader.u64()?,
            next_order: reader.u64()?,
            first_unsealed: reader.u64()?,
            unsealed_count: reader.u64()?,
            unsealed_weight: reader.u64()?,
            block_results: Results::decode(reader)?,
            checkpoint_results: Results::decode(reader)?,
            checkpoint: Digest::decode(reader)?,
            checkpoint_event: reader.u64()?,
            sealed_chain: Digest::decode(reader)?,
            final_chain: Digest::decode(reader)?,
        })
    }
}

impl Encode for RejectedRow {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        encode_hash(writer, self.winner);
        self.commit.encode(writer);
    }
}

impl Decode for RejectedRow {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("rejected", VERSION)?;
        Ok(Self { winner: decode_hash(reader)?, commit: CommitIndex::decode(reader)? })
    }
}

impl Encode for CheckpointRow {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        self.checkpoint.encode(writer);
        writer.u64(self.first_event);
        writer.u64(self.last_event);
    }
}

impl Decode for CheckpointRow {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("checkpoint row", VERSION)?;
        Ok(Self {
            checkpoint: Checkpoint::decode(reader)?,
            first_event: reader.u64()?,
            last_event: reader.u64()?,
        })
    }
}

impl Encode for Hashes {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        self.coins.encode(writer);
        self.utxo_hash.encode(writer);
        self.past.encode(writer);
    }
}

impl Decode for Hashes {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("hashes", VERSION)?;
        Ok(Self {
            coins: MuHash::decode(reader)?,
            utxo_hash: BitcoinHash::decode(reader)?,
            past: MuHash::decode(reader)?,
        })
    }
}

impl Encode for Base {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        self.commit.encode(writer);
        self.height.encode(writer);
        writer.u64(self.event);
    }
}

impl Decode for Base {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("base", VERSION)?;
        Ok(Self {
            commit: CommitIndex::decode(reader)?,
            height: Height::decode(reader)?,
            event: reader.u64()?,
        })
    }
}
