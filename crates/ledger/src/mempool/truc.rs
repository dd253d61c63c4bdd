//! Version 3: transactions whose families stay so small that a child can always pay for its parent.
//!
//! A family is a parent and one child, both of version 3; a second child takes the first one's
//! place when it pays as a replacement must. What is final counts as confirmed here, sealed or not.
//!
//! Source: BIP 431; Core's `truc_policy.cpp`, whose words these are.

use std::collections::BTreeSet;

use bitcoin::Txid;

use super::Mempool;
use super::limits::TRUC_CHILD_VSIZE_MAX;
use super::limits::TRUC_VSIZE_MAX;
use super::reject::Reject;
use super::reject::RejectCode;
use crate::batch::PreparedTransaction;

const VERSION: i32 = 3;

impl Mempool {
    /// Judges a transaction against its parents in the pool. A sibling is named when it would have
    /// to leave and may.
    pub(super) fn check_truc(
        &self,
        transaction: &PreparedTransaction,
        conflicts: &BTreeSet<Txid>,
        vsize: u64,
    ) -> Result<Option<Txid>, Reject> {
        let parents = self.parents(transaction);
        for parent in parents.iter().filter_map(|txid| self.get(txid)) {
            check_versions(transaction, parent.transaction()).map_err(violation)?;
        }
        if !is_truc(transaction) {
            return Ok(None);
        }
        if vsize > TRUC_VSIZE_MAX {
            let tx = name(transaction);
            let over = format!("{vsize} > {TRUC_VSIZE_MAX} virtual bytes");
            return Err(violation(format!("version=3 tx {tx} is too big: {over}")));
        }
        let Some(parent) = parents.first() else { return Ok(None) };
        if parents.len() > 1 || self.pool.with_ancestors([*parent]).len() > 1 {
            return Err(violation(too_many_ancestors(transaction)));
        }
        if vsize > TRUC_CHILD_VSIZE_MAX {
            return Err(violation(too_big_child(transaction, vsize)));
        }
        let mut others = self.pool.with_descendants([*parent]);
        others.remove(parent);
        if others.is_empty() || others.iter().any(|other| conflicts.contains(other)) {
            return Ok(None);
        }
        let mut only = others.iter();
        match (only.next(), only.next()) {
            (Some(sibling), None) if self.pool.with_ancestors([*sibling]).len() == 2 => {
                Ok(Some(*sibling))
            }
            _ => Err(violation(self.too_many_descendants(parent))),
        }
    }

    /// Judges the members of a package against each other and against their parents in the pool;
    /// what is wrong, in Core's words.
    pub(super) fn check_truc_package(
        &self,
        members: &[PreparedTransaction],
        vsizes: &[u64],
    ) -> Result<(), String> {
        for (place, (member, vsize)) in members.iter().zip(vsizes).enumerate() {
            let parents: Vec<_> =
                members[..place].iter().filter(|one| spends(member, &one.txid)).collect();
            let in_pool = self.parents(member);
            for parent in &parents {
                check_versions(member, parent)?;
            }
            if !is_truc(member) || parents.len() + in_pool.len() == 0 {
                continue;
            }
            let grand = in_pool.iter().any(|txid| self.pool.with_ancestors([*txid]).len() > 1);
            if parents.len() + in_pool.len() > 1 || grand {
                return Err(too_many_ancestors(member));
            }
            if *vsize > TRUC_CHILD_VSIZE_MAX {
                return Err(too_big_child(member, *vsize));
            }
            let others = members.iter().filter(|other| other.txid != member.txid);
            for other in others {
                if parents.iter().any(|parent| spends(other, &parent.txid))
                    || in_pool.iter().any(|parent| spends(other, parent))
                {
                    let parent = parents.first().map_or_else(
                        || in_pool.iter().map(Txid::to_string).collect(),
                        |parent| name(parent),
                    );
                    return Err(format!("tx {parent} would exceed descendant count limit"));
                }
                if spends(other, &member.txid) {
                    return Err(too_many_ancestors(other));
                }
            }
        }
        Ok(())
    }

    fn too_many_descendants(&self, parent: &Txid) -> String {
        let parent = self.get(parent).map(|entry| name(entry.transaction()));
        format!("tx {} would exceed descendant count limit", parent.unwrap_or_default())
    }
}

fn violation(details: String) -> Reject {
    RejectCode::TrucViolation.because(details)
}

fn is_truc(transaction: &PreparedTransaction) -> bool {
    transaction.transaction.version.0 == VERSION
}

fn spends(transaction: &PreparedTransaction, parent: &Txid) -> bool {
    transaction.transaction.input.iter().any(|input| input.previous_output.txid == *parent)
}

fn check_versions(child: &PreparedTransaction, parent: &PreparedTransaction) -> Result<(), String> {
    let (what, of) = match (is_truc(child), is_truc(parent)) {
        (true, false) => ("version=3", "non-version=3"),
        (false, true) => ("non-version=3", "version=3"),
        _ => return Ok(()),
    };
    Err(format!("{what} tx {} cannot spend from {of} tx {}", name(child), name(parent)))
}

fn too_many_ancestors(transaction: &PreparedTransaction) -> String {
    format!("tx {} would have too many ancestors", name(transaction))
}

fn too_big_child(child: &PreparedTransaction, vsize: u64) -> String {
    let over = format!("{vsize} > {TRUC_CHILD_VSIZE_MAX} virtual bytes");
    format!("version=3 child tx {} is too big: {over}", name(child))
}

fn name(transaction: &PreparedTransaction) -> String {
    format!("{} (wtxid={})", transaction.txid, transaction.wtxid)
}
