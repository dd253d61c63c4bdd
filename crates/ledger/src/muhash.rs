//! MuHash3072: one hash over a set, which members join and leave in any order.
//!
//! A member becomes a number modulo p = 2^3072 - 1103717: SHA-256 of its bytes is the key of a
//! ChaCha20 stream, whose first 384 bytes are the number, little endian. The hash of a set is
//! SHA-256 over the product of its members' numbers. Who leaves is collected in a second product,
//! and one division settles it; that costs thousands of multiplications, so it is done once a
//! sealed block and not once a member.
//!
//! It is the hash that Bitcoin Core computes over its coins (`gettxoutsetinfo muhash`); Core's test
//! vectors are below. No crate that is kept up has it, and of big numbers only this one modulus is
//! needed: 48 limbs, schoolbook multiplication, and a reduction that the modulus makes short.
//!
//! Source: Bitcoin Core, `src/crypto/muhash.h`; Bellare and Micciancio, "A new paradigm for
//! collision-free hashing".

use bitcoin::hashes::Hash;
use bitcoin::hashes::sha256;
use types::BitcoinHash;
use types::DecodeError;
use types::encoding::Decode;
use types::encoding::Encode;
use types::encoding::Reader;
use types::encoding::Writer;

const LIMBS: usize = 48;
const BYTES: usize = LIMBS * 8;
/// 2^3072 - p.
const OFFSET: u64 = 1_103_717;
/// p - 2 = (2^3051 - 1) * 2^21 + 993433: 3051 ones, and then these bits.
const ONES: u32 = 3_051;
const TAIL_BITS: u32 = 21;
const TAIL: u32 = (1 << TAIL_BITS) - 1_103_719;

/// A number below p.
#[derive(Clone, PartialEq, Eq)]
struct Number([u64; LIMBS]);

/// The hash of a set, on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MuHash {
    joined: Number,
    left: Number,
}

impl Default for MuHash {
    fn default() -> Self {
        Self { joined: Number::ONE, left: Number::ONE }
    }
}

impl MuHash {
    /// Takes a member in.
    pub fn insert(&mut self, member: &[u8]) {
        self.joined = self.joined.times(&Number::of(member));
    }

    /// Lets a member go.
    pub fn remove(&mut self, member: &[u8]) {
        self.left = self.left.times(&Number::of(member));
    }

    /// Joins the set that another hash is over, such as one that another thread has counted.
    pub fn combine(&mut self, other: &Self) {
        self.joined = self.joined.times(&other.joined);
        self.left = self.left.times(&other.left);
    }

    /// Settles who has left: what was two numbers is one.
    pub fn settle(&mut self) {
        if self.left != Number::ONE {
            self.joined = self.joined.times(&self.left.inverse());
            self.left = Number::ONE;
        }
    }

    /// The hash, in natural byte order. Cheap after [`Self::settle`].
    pub fn finish(&self) -> BitcoinHash {
        let mut settled = self.clone();
        settled.settle();
        let hash = sha256::Hash::hash(&settled.joined.to_bytes());
        BitcoinHash::new(hash.to_byte_array())
    }
}

impl Number {
    const ONE: Self = {
        let mut limbs = [0; LIMBS];
        limbs[0] = 1;
        Self(limbs)
    };

    /// The number of a member.
    fn of(member: &[u8]) -> Self {
        let key = sha256::Hash::hash(member).to_byte_array();
        let mut number = Self::from_stream(&key);
        number.reduce_once();
        number
    }

    fn from_stream(key: &[u8; 32]) -> Self {
        let mut words = [0_u32; BYTES / 4];
        for (counter, block) in (0_u32..).zip(words.chunks_mut(16)) {
            block.copy_from_slice(&chacha20_block(key, counter));
        }
        let mut limbs = [0; LIMBS];
        for (limb, pair) in limbs.iter_mut().zip(words.chunks(2)) {
            *limb = u64::from(pair[0]) | u64::from(pair[1]) << 32;
        }
        Self(limbs)
    }

    fn to_bytes(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        for (bytes, limb) in bytes.chunks_mut(8).zip(&self.0) {
            bytes.copy_from_slice(&limb.to_le_bytes());
        }
        bytes
    }

    /// Whether the number is not below p.
    fn is_over(&self) -> bool {
        self.0[0] >= 0_u64.wrapping_sub(OFFSET) && self.0[1..].iter().all(|limb| *limb == u64::MAX)
    }

    /// Takes p away when the number is not below it.
    fn reduce_once(&mut self) {
        if self.is_over() {
            // Less p is more by the offset, without the bit that runs out at the top.
            self.add_small(u128::from(OFFSET));
        }
    }

    /// Adds, and says whether a bit ran out at the top.
    fn add_small(&mut self, value: u128) -> bool {
        let mut carry = value;
        for limb in &mut self.0 {
            let sum = u128::from(*limb) + carry;
            let (low, high) = split(sum);
            *limb = low;
            carry = u128::from(high);
            if carry == 0 {
                return false;
            }
        }
        true
    }

    fn times(&self, other: &Self) -> Self {
        let mut wide = [0_u64; 2 * LIMBS];
        for (place, left) in self.0.iter().enumerate() {
            let left = u128::from(*left);
            let mut carry = 0_u64;
            let row = &mut wide[place..=place + LIMBS];
            for (sum, right) in row.iter_mut().zip(&other.0) {
                let value = left * u128::from(*right) + u128::from(*sum) + u128::from(carry);
                (*sum, carry) = split(value);
            }
            row[LIMBS] = carry;
        }
        Self::reduce(&wide)
    }

    /// 2^3072 is the offset modulo p: the upper half counts so often.
    fn reduce(wide: &[u64; 2 * LIMBS]) -> Self {
        let (low, high) = wide.split_at(LIMBS);
        let mut limbs = [0; LIMBS];
        let mut carry = 0_u64;
        for (limb, (low, high)) in limbs.iter_mut().zip(low.iter().zip(high)) {
            let value =
                u128::from(*high) * u128::from(OFFSET) + u128::from(*low) + u128::from(carry);
            (*limb, carry) = split(value);
        }
        let mut number = Self(limbs);
        // The carry is below 2^22; what runs out now leaves a number far below p.
        if number.add_small(u128::from(carry) * u128::from(OFFSET)) {
            number.add_small(u128::from(OFFSET));
        }
        number.reduce_once();
        number
    }

    fn squared(mut self, times: u32) -> Self {
        for _ in 0..times {
            self = self.times(&self);
        }
        self
    }

    /// The number that gives one with this one: its power p - 2 (Fermat).
    fn inverse(&self) -> Self {
        // `ones` is the power whose exponent has `length` binary ones, the bits of ONES from above.
        let (mut ones, mut length) = (self.clone(), 1_u32);
        let top = u32::BITS - ONES.leading_zeros();
        for bit in (0..top - 1).rev() {
            ones = ones.clone().squared(length).times(&ones);
            length *= 2;
            if ONES >> bit & 1 == 1 {
                ones = ones.squared(1).times(self);
                length += 1;
            }
        }
        let mut power = ones;
        for bit in (0..TAIL_BITS).rev() {
            power = power.squared(1);
            if TAIL >> bit & 1 == 1 {
                power = power.times(self);
            }
        }
        power
    }
}

/// The lower and the upper half.
fn split(value: u128) -> (u64, u64) {
    let bytes = value.to_le_bytes();
    let (low, high) = bytes.split_at(8);
    let half = |half: &[u8]| u64::from_le_bytes(half.try_into().expect("half of 16 bytes is 8"));
    (half(low), half(high))
}

/// Block `counter` of the key's stream, with a nonce of zeros (RFC 8439, 2.3).
fn chacha20_block(key: &[u8; 32], counter: u32) -> [u32; 16] {
    let mut start = [0_u32; 16];
    start[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
    for (word, bytes) in start[4..12].iter_mut().zip(key.chunks(4)) {
        *word = u32::from_le_bytes(bytes.try_into().expect("32 bytes are eight words"));
    }
    start[12] = counter;
    let mut state = start;
    for _ in 0..10 {
        quarter(&mut state, [0, 4, 8, 12]);
        quarter(&mut state, [1, 5, 9, 13]);
        quarter(&mut state, [2, 6, 10, 14]);
        quarter(&mut state, [3, 7, 11, 15]);
        quarter(&mut state, [0, 5, 10, 15]);
        quarter(&mut state, [1, 6, 11, 12]);
        quarter(&mut state, [2, 7, 8, 13]);
        quarter(&mut state, [3, 4, 9, 14]);
    }
    for (word, start) in state.iter_mut().zip(start) {
        *word = word.wrapping_add(start);
    }
    state
}

fn quarter(state: &mut [u32; 16], [a, b, c, d]: [usize; 4]) {
    state[a] = state[a].wrapping_add(state[b]);
    state[d] = (state[d] ^ state[a]).rotate_left(16);
    state[c] = state[c].wrapping_add(state[d]);
    state[b] = (state[b] ^ state[c]).rotate_left(12);
    state[a] = state[a].wrapping_add(state[b]);
    state[d] = (state[d] ^ state[a]).rotate_left(8);
    state[c] = state[c].wrapping_add(state[d]);
    state[b] = (state[b] ^ state[c]).rotate_left(7);
}

impl Encode for MuHash {
    fn encode(&self, writer: &mut Writer) {
        writer.raw(&self.joined.to_bytes());
        writer.raw(&self.left.to_bytes());
    }
}

impl Decode for MuHash {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { joined: Number::decode(reader)?, left: Number::decode(reader)? })
    }
}

impl Number {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut limbs = [0; LIMBS];
        for limb in &mut limbs {
            *limb = reader.u64()?;
        }
        let number = Self(limbs);
        match number.is_over() {
            false => Ok(number),
            true => Err(DecodeError::InvalidValue { what: "MuHash number" }),
        }
    }
}

impl std::fmt::Debug for Number {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Number({:016x}..)", self.0[LIMBS - 1])
    }
}

#[cfg(test)]
mod tests;
