//! How long one thread judges the dearest payloads that the bound on work lets pass.
//!
//! `cargo bench -p meanwhile-ledger --features test-utils --bench judging [-- all]`
//!
//! A payload is filled with as many copies as it has room for of a transaction just below the bound.
//! With `all`, a part of each payload that the bound refuses is judged, too, and what the whole
//! would take is told.

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(clippy::disallowed_types, reason = "a bench measures time")]

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use ledger::ScriptCheck;
use ledger::WORK_PER_BYTE;
use ledger::test_utils::script_load;
use ledger::test_utils::script_load::Load;
use types::PAYLOAD_BYTES_MAX;

fn main() {
    let all = std::env::args().any(|argument| argument == "all");
    println!("work allowed: {WORK_PER_BYTE} a byte, payloads of {PAYLOAD_BYTES_MAX} bytes");
    for kind in script_load::hostile() {
        let load = kind.allowed();
        let inputs = load.transaction.input.len();
        if inputs > 0 {
            let copies = PAYLOAD_BYTES_MAX / load.transaction.total_size();
            let took = judge(&load, inputs).as_secs_f64() * float(copies);
            println!("{}: {copies} x {inputs} inputs allowed: {took:.2} s", kind.name);
        }
        let full = kind.full();
        if full.share_percent >= 100 {
            let inputs = full.transaction.input.len();
            print!("    {inputs} inputs refused, {} % of the work", full.share_percent);
            let some = inputs.div_ceil(200);
            if all {
                let took = judge(&full, some).as_secs_f64() * float(inputs) / float(some);
                print!(": {took:.1} s");
            }
            println!();
        }
    }
}

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn judge(load: &Load, inputs: usize) -> Duration {
    let check = ScriptCheck::new(Arc::new(load.transaction.clone()), load.spent.clone());
    let began = Instant::now();
    let mut judged = 0;
    for part in check.parts() {
        if judged >= inputs {
            break;
        }
        let part = part.start..part.end.min(inputs);
        judged = part.end;
        assert!(check.run_part(part).is_valid(), "the load is valid");
    }
    began.elapsed()
}
