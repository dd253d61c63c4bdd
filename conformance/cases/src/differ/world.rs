//! One chain, kept by our ledger and by Core at the same time.

use std::sync::Arc;

use bitcoin::Amount;
use bitcoin::Block;
use bitcoin::OutPoint;
use bitcoin::Transaction;
use bitcoin::TxOut;
use ledger::ScriptCheck;
use ledger::query;
use ledger::rules::COINBASE_MATURITY;
use ledger::test_utils::TestLedger;
use ledger::test_utils::item;
use rand::Rng;
use rand::RngExt;
use types::Height;
use types::genesis::Allocation;
use types::genesis::HexBytes;
use types::test_utils::TestNetwork;

use crate::Failure;
use crate::asm::Flags;
use crate::differ::Reports;
use crate::differ::block;
use crate::differ::block::Spot;
use crate::differ::draw;
use crate::differ::draw::Clocks;
use crate::differ::draw::Drawn;
use crate::differ::draw::Twist;
use crate::differ::kinds::Coin;
use crate::differ::kinds::Keys;
use crate::differ::kinds::Kind;
use crate::differ::spoil;
use crate::judge::Judge;

/// How many coins there are at first, each as large as a block may pay.
const COINS: u32 = 40;
const COIN_SAT: u64 = 5_000_000_000;
/// How many spent outputs are remembered, to be spent again.
const SPENT_MAX: usize = 32;

pub(crate) struct World {
    stage: TestLedger,
    judge: Judge,
    keys: Keys,
    coins: Vec<Coin>,
    spent: Vec<Coin>,
    /// What coinbases paid that is not mature, with their heights.
    young: Vec<(u32, Coin)>,
    unsealed: Vec<Transaction>,
    /// Core's chain has left ours: nothing more can be said.
    broken: bool,
}

impl World {
    /// A chain right after genesis, whose prefix is offered to Core.
    pub(crate) fn new(judge: Judge, reports: &mut Reports) -> Result<Self, Failure> {
        let network = TestNetwork::with(1, |genesis| {
            let coin = Allocation { script: HexBytes(vec![0x51]), amount_sat: COIN_SAT };
            genesis.allocations = (0..COINS).map(|_| coin.clone()).collect();
        });
        let stage = TestLedger::new(network.genesis);
        let coins = (0..COINS).map(|number| Coin {
            outpoint: stage.allocation(number),
            output: ledger::test_utils::anyone(COIN_SAT),
            kind: Kind::Anyone,
        });
        let mut world = Self {
            judge,
            keys: Keys::new()?,
            coins: coins.collect(),
            spent: Vec::new(),
            young: Vec::new(),
            unsealed: Vec::new(),
            broken: false,
            stage,
        };
        for height in 1..=world.stage.ledger.tip().height.value() {
            let block = world.sealed(Height::new(height))?;
            world.offer(&block, reports)?;
        }
        Ok(world)
    }

    fn sealed(&self, height: Height) -> Result<Block, Failure> {
        let block = query::full_block(&self.stage.tables, height)?;
        block.ok_or_else(|| format!("no block {height}").into())
    }

    fn clocks(&self) -> Clocks {
        let next = self.stage.ledger.next_block();
        Clocks { height: next.height.value(), median: next.median_time_past }
    }

    /// Draws one transaction and has it judged.
    pub(crate) fn case(
        &mut self,
        rng: &mut impl Rng,
        reports: &mut Reports,
    ) -> Result<(), Failure> {
        if self.broken || self.coins.is_empty() {
            reports.transactions.skip("the chain had ended");
            return Ok(());
        }
        let twist = match rng.random_range(0..10) {
            0..5 => Twist::None,
            _ => Twist::ALL[rng.random_range(0..Twist::ALL.len())],
        };
        let coins = self.pick(rng);
        let drawn = draw::transaction(rng, &self.keys, &coins, self.clocks(), twist)?;
        self.compare_scripts(&coins, &drawn, reports)?;
        match self.refusal(&drawn.transaction)? {
            None => self.take(&coins, drawn, reports),
            Some(reason) => self.hold_against(&drawn, &reason, reports)?,
        }
        if rng.random_range(0..4) == 0 {
            self.seal(rng, reports)?;
        }
        Ok(())
    }

    fn pick(&mut self, rng: &mut impl Rng) -> Vec<Coin> {
        let count = rng.random_range(1..4).min(self.coins.len());
        let mut picked: Vec<Coin> = (0..count)
            .map(|_| self.coins.swap_remove(rng.random_range(0..self.coins.len())))
            .collect();
        self.coins.extend(picked.iter().cloned());
        if !self.spent.is_empty() && rng.random_range(0..16) == 0 {
            picked.push(self.spent[rng.random_range(0..self.spent.len())].clone());
        }
        if !self.young.is_empty() && rng.random_range(0..16) == 0 {
            // The oldest stands at the edge of the rule.
            picked.push(self.young[0].1.clone());
        }
        picked
    }

    /// Why our ledger refuses a transaction, if it does. Nothing is kept.
    fn refusal(&self, transaction: &Transaction) -> Result<Option<String>, Failure> {
        let batch = self.stage.batch(&[item(transaction)]);
        let mut ledger = self.stage.ledger.clone();
        let applied = ledger.apply(&self.stage.tables, &batch, &self.stage.cache)?;
        if !applied.finals.is_empty() {
            return Ok(None);
        }
        let skipped = applied.skipped.first().map(|skipped| skipped.reason.to_string());
        // A double spend is a missing input to Core.
        Ok(Some(skipped.unwrap_or_else(|| "bad-txns-inputs-missingorspent".to_owned())))
    }

    /// Our script engine and Core's say the same, where the transaction still spends what was drawn.
    fn compare_scripts(
        &mut self,
        coins: &[Coin],
        drawn: &Drawn,
        reports: &mut Reports,
    ) -> Result<(), Failure> {
        let transaction = &drawn.transaction;
        if transaction.input.len() != coins.len() || transaction.output.is_empty() {
            return Ok(());
        }
        let spent: Vec<TxOut> = coins.iter().map(|coin| coin.output.clone()).collect();
        let core = self.judge.scripts(transaction, &spent, Flags::all())?;
        let ours = ScriptCheck::new(Arc::new(transaction.clone()), spent).run();
        reports.scripts.check(ours.is_valid() == core.accepted, || {
            let raw = bitcoin::consensus::encode::serialize_hex(transaction);
            format!("ours says {ours}, Core says {core:?}, {:?}: {raw}", drawn.twist)
        });
        reports.scripts.note(if core.accepted { "valid" } else { "invalid" });
        Ok(())
    }

    /// Makes a transaction final. Core judges it with the block that seals it.
    fn take(&mut self, coins: &[Coin], drawn: Drawn, reports: &mut Reports) {
        let Drawn { transaction, kinds, twist } = drawn;
        self.stage.commit(&[&transaction]);
        for coin in coins {
            reports.transactions.note(format!("inputs of kind {}", coin.kind.name()));
            self.coins.retain(|one| one.outpoint != coin.outpoint);
        }
        if twist != Twist::None {
            reports.transactions.note(format!("accepted with {twist:?}"));
        }
        self.spent.extend(coins.iter().cloned());
        let over = self.spent.len().saturating_sub(SPENT_MAX);
        self.spent.drain(..over);
        let txid = transaction.compute_txid();
        for ((vout, output), kind) in (0_u32..).zip(&transaction.output).zip(kinds) {
            if let Some(kind) = kind.filter(|_| output.value > Amount::ZERO) {
                let outpoint = OutPoint { txid, vout };
                self.coins.push(Coin { outpoint, output: output.clone(), kind });
            }
        }
        self.unsealed.push(transaction);
    }

    /// Core must refuse what our ledger refuses.
    fn hold_against(
        &mut self,
        drawn: &Drawn,
        reason: &str,
        reports: &mut Reports,
    ) -> Result<(), Failure> {
        let mut transactions = self.unsealed.clone();
        transactions.push(drawn.transaction.clone());
        let ruling = self.judge.block(&block::block(self.spot(), transactions))?;
        self.broken |= ruling.accepted;
        reports.transactions.check(!ruling.accepted, || {
            let raw = bitcoin::consensus::encode::serialize_hex(&drawn.transaction);
            format!("ours refuses ({reason}), Core accepts, {:?}: {raw}", drawn.twist)
        });
        match core_word(&ruling.words) {
            word if ruling.words.contains(reason) || word == reason => {
                reports.transactions.note(format!("refused by both: {reason}"));
            }
            word => {
                reports.transactions.note(format!("refused by both: {reason}, Core: {word}"));
            }
        }
        Ok(())
    }

    fn spot(&self) -> Spot {
        let tip = self.stage.ledger.tip();
        let now = u32::try_from(self.stage.now.value() / 1_000).unwrap_or(u32::MAX);
        Spot {
            previous: tip.hash,
            height: tip.height.value() + 1,
            time: now.max(tip.median_time_past + 1),
        }
    }

    /// Seals a block, offers spoilt copies of it to Core, then itself.
    pub(crate) fn seal(
        &mut self,
        rng: &mut impl Rng,
        reports: &mut Reports,
    ) -> Result<(), Failure> {
        if self.broken {
            return Ok(());
        }
        self.stage.now = self.stage.now.saturating_add(rng.random_range(0..400_000));
        let sealed = self.stage.ticks(1);
        let Some(sealed) = sealed.blocks.first() else {
            return Err("a tick sealed nothing".into());
        };
        let block = self.sealed(sealed.height)?;
        let spot = Spot {
            previous: sealed.header.prev_blockhash,
            height: sealed.height.value(),
            time: sealed.header.time,
        };
        for (what, spoilt) in spoil::copies(rng, &block, spot) {
            let ruling = self.judge.block(&spoilt)?;
            self.broken |= ruling.accepted;
            reports.spoilt.check(!ruling.accepted && spoilt != block, || what.to_owned());
            reports.spoilt.note(what);
        }
        let before = self.unsealed.len();
        self.unsealed.retain(|one| !sealed.txids.contains(&one.compute_txid()));
        self.offer(&block, reports)?;
        for _ in self.unsealed.len()..before {
            reports.transactions.check(!self.broken, || format!("in block {}", sealed.height));
        }
        self.add_coinbase(sealed.height.value(), &block);
        Ok(())
    }

    /// What the coinbase pays can be spent a hundred blocks later, and is tried sooner.
    fn add_coinbase(&mut self, height: u32, block: &Block) {
        let paid = block.txdata.first().and_then(|coinbase| {
            let output: &TxOut = coinbase.output.first()?;
            let outpoint = OutPoint { txid: coinbase.compute_txid(), vout: 0 };
            (output.value > Amount::ZERO).then(|| (outpoint, output.clone()))
        });
        if let Some((outpoint, output)) = paid {
            self.young.push((height, Coin { outpoint, output, kind: Kind::Anyone }));
        }
        let next = self.clocks().height;
        let mature = self.young.partition_point(|(made, _)| made + COINBASE_MATURITY <= next);
        self.coins.extend(self.young.drain(..mature).map(|(_, coin)| coin));
    }

    fn offer(&mut self, block: &Block, reports: &mut Reports) -> Result<(), Failure> {
        let ruling = self.judge.block(block)?;
        self.broken |= !ruling.accepted;
        let count = u64::try_from(block.txdata.len() - 1)?;
        reports.blocks.add("transactions beside the coinbases", count);
        reports
            .blocks
            .check(ruling.accepted, || format!("{}: {}", block.block_hash(), ruling.words));
        Ok(())
    }
}

/// The reason within the lines of Core's log.
fn core_word(words: &str) -> &str {
    let word = ["failed, ", "FAILED (", "AcceptBlock: "]
        .iter()
        .find_map(|before| words.split_once(before))
        .map_or(words, |(_, behind)| behind);
    word.split([',', ';']).next().unwrap_or(word).trim_end_matches(')')
}
