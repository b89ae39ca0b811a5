//! A cursor over bytes that are not trusted.

use super::Refused;

/// Reads from the front; every length is checked before anything is taken.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(super) fn byte(&mut self) -> Result<u8, Refused> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Refused> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or("ends early")?;
        self.0 = rest;
        Ok(taken)
    }

    /// An unsigned LEB128 number of at most 64 bits.
    pub(super) fn uleb(&mut self) -> Result<u64, Refused> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return Err("number too large".into());
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("number too long".into())
    }

    /// A signed LEB128 number of at most 64 bits.
    pub(super) fn sleb(&mut self) -> Result<i64, Refused> {
        let mut value = 0_i64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= i64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                if byte & 0x40 != 0 && shift + 7 < 64 {
                    value |= -1_i64 << (shift + 7);
                }
                return Ok(value);
            }
        }
        Err("number too long".into())
    }

    /// A number of things, at most `limit`.
    pub(super) fn count(&mut self, limit: u64) -> Result<u64, Refused> {
        let count = self.uleb()?;
        if count <= limit { Ok(count) } else { Err("too many entries".into()) }
    }

    /// Bytes behind their length.
    pub(super) fn prefixed(&mut self) -> Result<&'a [u8], Refused> {
        let len = self.uleb()?;
        self.take(usize::try_from(len).map_err(|_| "length too large")?)
    }
}
