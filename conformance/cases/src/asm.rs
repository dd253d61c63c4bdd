//! Reads scripts and flags as Core's data files write them.
//!
//! Source: Core's `ParseScript` and `ParseScriptFlags`.

use bitcoin::Opcode;
use bitcoin::ScriptBuf;
use bitcoin::script::Builder;
use bitcoin::script::PushBytesBuf;

use crate::Failure;

/// The flags that libbitcoinconsensus offers: the consensus rules.
const CONSENSUS: [(&str, u32); 7] = [
    ("P2SH", 1 << 0),
    ("DERSIG", 1 << 2),
    ("NULLDUMMY", 1 << 4),
    ("CHECKLOCKTIMEVERIFY", 1 << 9),
    ("CHECKSEQUENCEVERIFY", 1 << 10),
    ("WITNESS", 1 << 11),
    ("TAPROOT", 1 << 17),
];
/// The flags that are policy: no block is refused for them, so no engine of ours has them.
const POLICY: [&str; 14] = [
    "STRICTENC",
    "LOW_S",
    "SIGPUSHONLY",
    "MINIMALDATA",
    "DISCOURAGE_UPGRADABLE_NOPS",
    "CLEANSTACK",
    "DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM",
    "MINIMALIF",
    "NULLFAIL",
    "WITNESS_PUBKEYTYPE",
    "CONST_SCRIPTCODE",
    "DISCOURAGE_UPGRADABLE_TAPROOT_VERSION",
    "DISCOURAGE_OP_SUCCESS",
    "DISCOURAGE_UPGRADABLE_PUBKEYTYPE",
];

/// The flags of a row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    /// Those that are consensus, as libbitcoinconsensus numbers them.
    pub(crate) consensus: u32,
    /// Those that are policy.
    pub(crate) policy: Vec<String>,
}

impl Flags {
    /// Every consensus rule.
    pub(crate) fn all() -> u32 {
        CONSENSUS.iter().map(|(_, bit)| bit).sum()
    }

    /// Reads a list with commas.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let mut flags = Self::default();
        for name in text.split(',').filter(|name| !matches!(*name, "" | "NONE")) {
            if let Some((_, bit)) = CONSENSUS.iter().find(|(known, _)| *known == name) {
                flags.consensus |= bit;
            } else if POLICY.contains(&name) {
                flags.policy.push(name.to_owned());
            } else {
                return Err(format!("unknown flag {name}").into());
            }
        }
        Ok(flags)
    }

    /// Adds what a rule builds on: a clean stack on witnesses, witnesses on script hashes.
    pub(crate) fn filled(mut self) -> Self {
        if self.policy.iter().any(|name| name == "CLEANSTACK") {
            self.consensus |= 1 << 11;
        }
        if self.consensus & ((1 << 11) | (1 << 17)) != 0 {
            self.consensus |= (1 << 0) | (1 << 11);
        }
        self
    }
}

/// Takes away what lacks the rule that it builds on.
pub(crate) fn trimmed(mut consensus: u32) -> u32 {
    if consensus & 1 == 0 {
        consensus &= !(1 << 11);
    }
    if consensus & (1 << 11) == 0 {
        consensus &= !(1 << 17);
    }
    consensus
}

/// Reads a script.
pub(crate) fn script(text: &str) -> Result<ScriptBuf, Failure> {
    let mut bytes = Vec::new();
    for word in text.split_ascii_whitespace() {
        if let Some(raw) = word.strip_prefix("0x") {
            bytes.extend(hex::decode(raw)?);
        } else if let Some(quoted) =
            word.strip_prefix('\'').and_then(|word| word.strip_suffix('\''))
        {
            let push = PushBytesBuf::try_from(quoted.as_bytes().to_vec())?;
            bytes.extend(Builder::new().push_slice(push).into_bytes());
        } else if let Ok(number) = word.parse::<i64>() {
            bytes.extend(Builder::new().push_int(number).into_bytes());
        } else {
            bytes.push(opcode(word)?);
        }
    }
    Ok(ScriptBuf::from_bytes(bytes))
}

fn opcode(word: &str) -> Result<u8, Failure> {
    let name = word.strip_prefix("OP_").unwrap_or(word);
    let known = match name {
        "CHECKLOCKTIMEVERIFY" | "NOP2" => Some(0xb1),
        "CHECKSEQUENCEVERIFY" | "NOP3" => Some(0xb2),
        "RESERVED" => Some(0x50),
        _ => (0x61..=0xba).find(|code| Opcode::from(*code).to_string() == format!("OP_{name}")),
    };
    known.ok_or_else(|| format!("unknown opcode {word}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_core_reads_them() {
        let read = |text| script(text).unwrap().into_bytes();
        assert_eq!(read("0 1 16 17 -1"), [0x00, 0x51, 0x60, 0x01, 0x11, 0x4f]);
        assert_eq!(read("0x02 0x01ff 'Az'"), [0x02, 0x01, 0xff, 0x02, 0x41, 0x7a]);
        assert_eq!(read("NOP OP_CHECKSIGADD CHECKSEQUENCEVERIFY VER"), [0x61, 0xba, 0xb2, 0x62]);
        assert!(script("NOSUCH").is_err());
    }

    #[test]
    fn rules_come_with_what_they_build_on() {
        let filled = Flags::parse("CLEANSTACK").unwrap().filled();
        assert_eq!(filled.consensus, 1 | (1 << 11));
        assert_eq!(trimmed(Flags::all() & !1) & (1 << 17 | 1 << 11), 0);
        assert!(Flags::parse("P2SH,NOSUCH").is_err());
    }
}
