//! The blocks of a run, for whoever wants to have them judged elsewhere.

use bitcoin::Block;
use ledger::query;
use store::Store as _;
use types::Height;
use types::table::TableFault;

use super::World;
use crate::report::Report;

impl World<'_> {
    /// Runs to the end, and gives the blocks behind the first that the furthest of the validators
    /// that are judged has sealed.
    pub(crate) fn run_and_seal(mut self) -> Result<(Report, Vec<Block>), TableFault> {
        self.begin();
        self.go_on();
        let mut most = Vec::new();
        for node in self.nodes.iter().filter(|node| node.is_judged()) {
            let read = node.store.snapshot()?;
            let mut blocks = Vec::new();
            let mut height = Height::ZERO.next();
            while let Some(block) = query::full_block(read.as_ref(), height)? {
                blocks.push(block);
                height = height.next();
            }
            if blocks.len() > most.len() {
                most = blocks;
            }
        }
        let (report, _) = self.finish();
        Ok((report, most))
    }
}
