//! Every kind of script that wallets use, and how each is spent.

use bitcoin::Amount;
use bitcoin::EcdsaSighashType;
use bitcoin::OutPoint;
use bitcoin::PublicKey;
use bitcoin::ScriptBuf;
use bitcoin::TapLeafHash;
use bitcoin::TapSighashType;
use bitcoin::Transaction;
use bitcoin::TxOut;
use bitcoin::Witness;
use bitcoin::hashes::Hash;
use bitcoin::key::TapTweak;
use bitcoin::opcodes::all;
use bitcoin::script::Builder;
use bitcoin::script::PushBytesBuf;
use bitcoin::secp256k1::All;
use bitcoin::secp256k1::Keypair;
use bitcoin::secp256k1::Message;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::secp256k1::SecretKey;
use bitcoin::secp256k1::XOnlyPublicKey;
use bitcoin::sighash::Prevouts;
use bitcoin::sighash::SighashCache;
use bitcoin::taproot::LeafVersion;
use bitcoin::taproot::TaprootBuilder;
use bitcoin::taproot::TaprootSpendInfo;

use crate::Failure;

/// A kind of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Anyone,
    P2pk,
    P2pkh,
    BareMultisig,
    P2shMultisig,
    P2shP2wpkh,
    P2shP2wsh,
    P2wpkh,
    P2wshMultisig,
    TaprootKey,
    TaprootScript,
    Anchor,
    /// Behind an absolute lock.
    Cltv(u32),
    /// Behind a relative lock.
    Csv(u32),
}

/// An output with what it takes to spend it.
#[derive(Clone, Debug)]
pub(crate) struct Coin {
    pub(crate) outpoint: OutPoint,
    pub(crate) output: TxOut,
    pub(crate) kind: Kind,
}

/// The keys that everything here belongs to.
pub(crate) struct Keys {
    secp: Secp256k1<All>,
    secrets: Vec<SecretKey>,
}

/// How an input is signed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) ecdsa: EcdsaSighashType,
    pub(crate) taproot: TapSighashType,
}

impl Kind {
    pub(crate) const PLAIN: [Self; 12] = [
        Self::Anyone,
        Self::P2pk,
        Self::P2pkh,
        Self::BareMultisig,
        Self::P2shMultisig,
        Self::P2shP2wpkh,
        Self::P2shP2wsh,
        Self::P2wpkh,
        Self::P2wshMultisig,
        Self::TaprootKey,
        Self::TaprootScript,
        Self::Anchor,
    ];

    /// What to call it, locks of one kind together.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Cltv(_) => "CLTV".to_owned(),
            Self::Csv(_) => "CSV".to_owned(),
            other => format!("{other:?}"),
        }
    }
}

impl Keys {
    pub(crate) fn new() -> Result<Self, Failure> {
        let secrets = (1..=3_u8).map(|number| SecretKey::from_slice(&[number; 32]));
        Ok(Self { secp: Secp256k1::new(), secrets: secrets.collect::<Result<_, _>>()? })
    }

    fn public(&self, number: usize) -> PublicKey {
        PublicKey::new(self.secrets[number].public_key(&self.secp))
    }

    fn x_only(&self, number: usize) -> XOnlyPublicKey {
        self.secrets[number].x_only_public_key(&self.secp).0
    }

    fn multisig(&self) -> ScriptBuf {
        let keys = (0..3).map(|number| self.public(number));
        let keys = keys.fold(Builder::new().push_int(2), |script, key| script.push_key(&key));
        keys.push_int(3).push_opcode(all::OP_CHECKMULTISIG).into_script()
    }

    fn locked(&self, lock: u32, opcode: bitcoin::Opcode) -> ScriptBuf {
        let lock = Builder::new().push_int(i64::from(lock)).push_opcode(opcode);
        let key = lock.push_opcode(all::OP_DROP).push_key(&self.public(0));
        key.push_opcode(all::OP_CHECKSIG).into_script()
    }

    fn leaf(&self) -> ScriptBuf {
        let first = Builder::new().push_x_only_key(&self.x_only(0));
        let first = first.push_opcode(all::OP_CHECKSIG).push_x_only_key(&self.x_only(1));
        let both = first.push_opcode(all::OP_CHECKSIGADD).push_int(2);
        both.push_opcode(all::OP_NUMEQUAL).into_script()
    }

    fn tree(&self) -> Result<TaprootSpendInfo, Failure> {
        let other = Builder::new().push_opcode(all::OP_RETURN).into_script();
        let builder = TaprootBuilder::new().add_leaf(1, self.leaf())?.add_leaf(1, other)?;
        Ok(builder.finalize(&self.secp, self.x_only(2)).map_err(|_| "two leaves are a tree")?)
    }

    /// The program that a witness or a script hash stands for.
    fn program(&self, kind: Kind) -> ScriptBuf {
        match kind {
            Kind::P2shP2wpkh => self.p2wpkh(),
            Kind::P2shP2wsh => self.multisig().to_p2wsh(),
            Kind::Cltv(lock) => self.locked(lock, all::OP_CLTV),
            Kind::Csv(lock) => self.locked(lock, all::OP_CSV),
            _ => self.multisig(),
        }
    }

    fn p2wpkh(&self) -> ScriptBuf {
        // Every key here is compressed.
        self.public(0).wpubkey_hash().map(|hash| ScriptBuf::new_p2wpkh(&hash)).unwrap_or_default()
    }

    /// The script of an output of a kind.
    pub(crate) fn script(&self, kind: Kind) -> Result<ScriptBuf, Failure> {
        Ok(match kind {
            Kind::Anyone => ScriptBuf::from_bytes(vec![0x51]),
            Kind::P2pk => ScriptBuf::new_p2pk(&self.public(0)),
            Kind::P2pkh => ScriptBuf::new_p2pkh(&self.public(0).pubkey_hash()),
            Kind::BareMultisig => self.multisig(),
            Kind::P2shMultisig | Kind::P2shP2wpkh | Kind::P2shP2wsh => self.program(kind).to_p2sh(),
            Kind::P2wpkh => self.p2wpkh(),
            Kind::P2wshMultisig | Kind::Cltv(_) | Kind::Csv(_) => self.program(kind).to_p2wsh(),
            Kind::TaprootKey => ScriptBuf::new_p2tr(&self.secp, self.x_only(0), None),
            Kind::TaprootScript => ScriptBuf::new_p2tr_tweaked(self.tree()?.output_key()),
            Kind::Anchor => ScriptBuf::from_bytes(vec![0x51, 0x02, 0x4e, 0x73]),
        })
    }

    /// Signs an input. `coins` are what the inputs spend, in their order.
    pub(crate) fn sign(
        &self,
        transaction: &mut Transaction,
        coins: &[Coin],
        place: usize,
        manner: Manner,
    ) -> Result<(), Failure> {
        let unsigned = transaction.clone();
        let signer = Signer { keys: self, unsigned: &unsigned, coins, place, manner };
        let (script_sig, witness) = signer.sign()?;
        transaction.input[place].script_sig = script_sig;
        transaction.input[place].witness = Witness::from_slice(&witness);
        Ok(())
    }
}

struct Signer<'a> {
    keys: &'a Keys,
    unsigned: &'a Transaction,
    coins: &'a [Coin],
    place: usize,
    manner: Manner,
}

impl Signer<'_> {
    fn sign(&self) -> Result<(ScriptBuf, Vec<Vec<u8>>), Failure> {
        let coin = &self.coins[self.place];
        let script = &coin.output.script_pubkey;
        let key = self.keys.public(0).to_bytes();
        let program = self.keys.program(coin.kind);
        let pushed = |items: &[Vec<u8>]| push_all(items);
        Ok(match coin.kind {
            Kind::Anyone | Kind::Anchor => (ScriptBuf::new(), Vec::new()),
            Kind::P2pk => (pushed(&[self.legacy(script, 0)?])?, Vec::new()),
            Kind::P2pkh => (pushed(&[self.legacy(script, 0)?, key])?, Vec::new()),
            Kind::BareMultisig => {
                let signatures = [Vec::new(), self.legacy(script, 0)?, self.legacy(script, 2)?];
                (pushed(&signatures)?, Vec::new())
            }
            Kind::P2shMultisig => {
                let first = self.legacy(&program, 0)?;
                let second = self.legacy(&program, 1)?;
                (pushed(&[Vec::new(), first, second, program.into_bytes()])?, Vec::new())
            }
            Kind::P2shP2wpkh => {
                let witness = vec![self.segwit_key(&program)?, key];
                (pushed(&[program.into_bytes()])?, witness)
            }
            Kind::P2wpkh => (ScriptBuf::new(), vec![self.segwit_key(script)?, key]),
            Kind::P2shP2wsh => {
                let inner = self.keys.multisig();
                (pushed(&[program.into_bytes()])?, self.segwit_multisig(&inner)?)
            }
            Kind::P2wshMultisig => (ScriptBuf::new(), self.segwit_multisig(&program)?),
            Kind::Cltv(_) | Kind::Csv(_) => {
                let signature = self.segwit(&program, 0)?;
                (ScriptBuf::new(), vec![signature, program.into_bytes()])
            }
            Kind::TaprootKey => (ScriptBuf::new(), vec![self.taproot_key()?]),
            Kind::TaprootScript => (ScriptBuf::new(), self.taproot_script()?),
        })
    }

    fn ecdsa(&self, digest: [u8; 32], number: usize) -> Vec<u8> {
        let message = Message::from_digest(digest);
        let signature = self.keys.secp.sign_ecdsa(&message, &self.keys.secrets[number]);
        bitcoin::ecdsa::Signature { signature, sighash_type: self.manner.ecdsa }.to_vec()
    }

    fn legacy(&self, script: &ScriptBuf, number: usize) -> Result<Vec<u8>, Failure> {
        let digest = SighashCache::new(self.unsigned).legacy_signature_hash(
            self.place,
            script,
            self.manner.ecdsa.to_u32(),
        )?;
        Ok(self.ecdsa(digest.to_byte_array(), number))
    }

    fn amount(&self) -> Amount {
        self.coins[self.place].output.value
    }

    fn segwit(&self, script: &ScriptBuf, number: usize) -> Result<Vec<u8>, Failure> {
        let digest = SighashCache::new(self.unsigned).p2wsh_signature_hash(
            self.place,
            script,
            self.amount(),
            self.manner.ecdsa,
        )?;
        Ok(self.ecdsa(digest.to_byte_array(), number))
    }

    fn segwit_multisig(&self, script: &ScriptBuf) -> Result<Vec<Vec<u8>>, Failure> {
        let (first, second) = (self.segwit(script, 1)?, self.segwit(script, 2)?);
        Ok(vec![Vec::new(), first, second, script.to_bytes()])
    }

    fn segwit_key(&self, program: &ScriptBuf) -> Result<Vec<u8>, Failure> {
        let digest = SighashCache::new(self.unsigned).p2wpkh_signature_hash(
            self.place,
            program,
            self.amount(),
            self.manner.ecdsa,
        )?;
        Ok(self.ecdsa(digest.to_byte_array(), 0))
    }

    /// A type that signs one output signs all where there is none: the digest has no other form.
    fn taproot_type(&self) -> TapSighashType {
        match self.manner.taproot {
            TapSighashType::Single | TapSighashType::SinglePlusAnyoneCanPay
                if self.place >= self.unsigned.output.len() =>
            {
                TapSighashType::All
            }
            other => other,
        }
    }

    fn schnorr(&self, digest: [u8; 32], pair: &Keypair) -> Vec<u8> {
        let message = Message::from_digest(digest);
        let signature = self.keys.secp.sign_schnorr_no_aux_rand(&message, pair);
        let sighash_type = self.taproot_type();
        bitcoin::taproot::Signature { signature, sighash_type }.to_vec()
    }

    fn taproot_key(&self) -> Result<Vec<u8>, Failure> {
        let outputs: Vec<&TxOut> = self.coins.iter().map(|coin| &coin.output).collect();
        let digest = SighashCache::new(self.unsigned).taproot_key_spend_signature_hash(
            self.place,
            &Prevouts::All(&outputs),
            self.taproot_type(),
        )?;
        let pair = Keypair::from_secret_key(&self.keys.secp, &self.keys.secrets[0]);
        let pair = pair.tap_tweak(&self.keys.secp, None).to_keypair();
        Ok(self.schnorr(digest.to_byte_array(), &pair))
    }

    fn taproot_script(&self) -> Result<Vec<Vec<u8>>, Failure> {
        let outputs: Vec<&TxOut> = self.coins.iter().map(|coin| &coin.output).collect();
        let leaf = self.keys.leaf();
        let digest = SighashCache::new(self.unsigned).taproot_script_spend_signature_hash(
            self.place,
            &Prevouts::All(&outputs),
            TapLeafHash::from_script(&leaf, LeafVersion::TapScript),
            self.taproot_type(),
        )?;
        let sign = |number: usize| {
            let pair = Keypair::from_secret_key(&self.keys.secp, &self.keys.secrets[number]);
            self.schnorr(digest.to_byte_array(), &pair)
        };
        let tree = self.keys.tree()?;
        let block = tree.control_block(&(leaf.clone(), LeafVersion::TapScript));
        let block = block.ok_or("the leaf is in the tree")?.serialize();
        Ok(vec![sign(1), sign(0), leaf.into_bytes(), block])
    }
}

fn push_all(items: &[Vec<u8>]) -> Result<ScriptBuf, Failure> {
    let mut builder = Builder::new();
    for item in items {
        builder = builder.push_slice(PushBytesBuf::try_from(item.clone())?);
    }
    Ok(builder.into_script())
}
