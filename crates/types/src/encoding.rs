//! The one canonical encoding of everything that is ours on the wire and on disk.
//!
//! Integers are fixed width and little endian; a list is its `u32` length and its elements; an
//! option is one byte, 0 or 1, and the value. **Invariant:** a value has one encoding, and
//! [`Decode::from_bytes`] refuses every other string of bytes, trailing ones included. No decoder
//! reserves memory for a length that it has not been given bytes for.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::error::DecodeError;
use crate::ids::Author;
use crate::ids::CommitIndex;
use crate::ids::Epoch;
use crate::ids::Height;
use crate::ids::Round;
use crate::ids::ShardIndex;
use crate::ids::TimestampMs;

/// How many values of a list are reserved before they have been read.
const RESERVED_MAX: usize = 256;

/// A value that has one canonical encoding.
pub trait Encode {
    /// Appends the encoding.
    fn encode(&self, writer: &mut Writer);

    /// The encoding, alone.
    fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        self.encode(&mut writer);
        writer.finish()
    }
}

/// A value that can be read back from its canonical encoding.
pub trait Decode: Sized {
    /// Reads one value and leaves the reader behind it.
    ///
    /// # Errors
    /// When the bytes are not the canonical encoding of a value.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Reads a value that must fill `bytes` entirely.
    ///
    /// # Errors
    /// As [`Decode::decode`], and when bytes are left over.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let value = Self::decode(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }
}

/// Collects an encoding.
#[derive(Clone, Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Appends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Appends one byte.
    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    /// Appends two bytes, little endian.
    pub fn u16(&mut self, value: u16) {
        self.raw(&value.to_le_bytes());
    }

    /// Appends four bytes, little endian.
    pub fn u32(&mut self, value: u32) {
        self.raw(&value.to_le_bytes());
    }

    /// Appends eight bytes, little endian.
    pub fn u64(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }

    /// Appends the length of something held in memory.
    ///
    /// # Panics
    /// When it is 4 GiB or more: nothing that is encoded here may grow so far.
    pub fn length(&mut self, length: usize) {
        self.u32(u32::try_from(length).expect("nothing encoded reaches 4 GiB"));
    }

    /// Appends a length and the bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.raw(bytes);
    }

    /// Appends a length and the values.
    pub fn list<T: Encode>(&mut self, values: &[T]) {
        self.length(values.len());
        for value in values {
            value.encode(self);
        }
    }

    /// Appends 0, or 1 and the value.
    pub fn option<T: Encode>(&mut self, value: Option<&T>) {
        match value {
            None => self.u8(0),
            Some(value) => {
                self.u8(1);
                value.encode(self);
            }
        }
    }

    /// Forgets the bytes so far and keeps their room.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The bytes so far, to look at.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes so far.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads an encoding. Over [`Bytes`] it hands out slices that share the buffer, without a copy.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    source: Source<'a>,
    position: usize,
}

#[derive(Clone, Debug)]
enum Source<'a> {
    Borrowed(&'a [u8]),
    Shared(&'a Bytes),
}

impl<'a> Reader<'a> {
    /// Reads from borrowed bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { source: Source::Borrowed(bytes), position: 0 }
    }

    /// Reads from a shared buffer.
    pub const fn shared(bytes: &'a Bytes) -> Self {
        Self { source: Source::Shared(bytes), position: 0 }
    }

    fn all(&self) -> &'a [u8] {
        match self.source {
            Source::Borrowed(bytes) => bytes,
            Source::Shared(bytes) => bytes,
        }
    }

    /// How many bytes have been read.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.all().len() - self.position
    }

    /// Reads `length` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn raw(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let rest = &self.all()[self.position..];
        let taken =
            rest.get(..length).ok_or(DecodeError::TooShort { wanted: length, left: rest.len() })?;
        self.position += length;
        Ok(taken)
    }

    /// Reads `length` bytes as a buffer of their own or a share of the source.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn raw_shared(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        let start = self.position;
        let taken = self.raw(length)?;
        Ok(match self.source {
            Source::Borrowed(_) => Bytes::copy_from_slice(taken),
            Source::Shared(bytes) => bytes.slice(start..start + length),
        })
    }

    /// Reads a fixed number of bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.raw(N)?);
        Ok(array)
    }

    /// Reads one byte.
    ///
    /// # Errors
    /// At the end of the bytes.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    /// Reads two bytes, little endian.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Reads four bytes, little endian.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Reads eight bytes, little endian.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Reads a length and holds it against its limit.
    ///
    /// # Errors
    /// When it is missing or above `limit`.
    pub fn length(&mut self, what: &'static str, limit: usize) -> Result<usize, DecodeError> {
        let length = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        if length > limit {
            return Err(DecodeError::TooLong { what, limit, actual: length });
        }
        Ok(length)
    }

    /// Reads a length within `limit` and that many bytes.
    ///
    /// # Errors
    /// When the length is above its limit or bytes are missing.
    pub fn bytes(&mut self, what: &'static str, limit: usize) -> Result<Bytes, DecodeError> {
        let length = self.length(what, limit)?;
        self.raw_shared(length)
    }

    /// Reads a list of at most `limit` values.
    ///
    /// # Errors
    /// When the length is above its limit or a value does not decode.
    pub fn list<T: Decode>(
        &mut self,
        what: &'static str,
        limit: usize,
    ) -> Result<Vec<T>, DecodeError> {
        let length = self.length(what, limit)?;
        // A lying length reserves little; an honest one grows as its values arrive.
        let mut values = Vec::with_capacity(length.min(RESERVED_MAX));
        for _ in 0..length {
            values.push(T::decode(self)?);
        }
        Ok(values)
    }

    /// Reads an optional value.
    ///
    /// # Errors
    /// When the first byte is neither 0 nor 1 or the value does not decode.
    pub fn option<T: Decode>(&mut self, what: &'static str) -> Result<Option<T>, DecodeError> {
        match self.u8()? {
            0 => Ok(None),
            1 => Ok(Some(T::decode(self)?)),
            tag => Err(DecodeError::UnknownTag { what, tag }),
        }
    }

    /// Reads a version byte.
    ///
    /// # Errors
    /// When it is not `expected`.
    pub fn version(&mut self, what: &'static str, expected: u8) -> Result<(), DecodeError> {
        match self.u8()? {
            actual if actual == expected => Ok(()),
            actual => Err(DecodeError::WrongVersion { what, expected, actual }),
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// When bytes are left over.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing { left }),
        }
    }
}

macro_rules! encode_quantity {
    ($($name:ident: $method:ident),+ $(,)?) => {$(
        impl Encode for $name {
            fn encode(&self, writer: &mut Writer) {
                writer.$method(self.value());
            }
        }

        impl Decode for $name {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(Self::new(reader.$method()?))
            }
        }
    )+};
}

encode_quantity!(
    Author: u16,
    Round: u64,
    ShardIndex: u16,
    Epoch: u32,
    CommitIndex: u64,
    Height: u32,
    TimestampMs: u64,
);

impl Encode for u64 {
    fn encode(&self, writer: &mut Writer) {
        writer.u64(*self);
    }
}

impl Decode for u64 {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.u64()
    }
}
