//! Unsigned LEB128, as protobuf and multiformats write numbers.

/// The longest encoding of 64 bits.
const MAX_BYTES: usize = 10;

pub(super) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// What stands at the beginning of `bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// The number, and how many bytes it took.
    Number(u64, usize),
    /// The number goes on beyond the end.
    More,
    /// No number of 64 bits is written so.
    Invalid,
}

pub(super) fn read(bytes: &[u8]) -> Read {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().take(MAX_BYTES).enumerate() {
        let low = u64::from(byte & 0x7f);
        // The tenth byte holds one bit.
        if index == MAX_BYTES - 1 && *byte > 1 {
            return Read::Invalid;
        }
        value |= low << (7 * index);
        if byte & 0x80 == 0 {
            return Read::Number(value, index + 1);
        }
    }
    if bytes.len() >= MAX_BYTES { Read::Invalid } else { Read::More }
}

/// Takes a number from the front of `bytes`; none when there is no whole one.
pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    match read(bytes) {
        Read::Number(value, used) => {
            *bytes = &bytes[used..];
            Some(value)
        }
        Read::More | Read::Invalid => None,
    }
}

/// A field of a protobuf message.
pub(super) enum Field<'a> {
    Number(u64, u64),
    Bytes(u64, &'a [u8]),
}

/// Takes the next field from the front of `bytes`, skipping those of fixed width; `Err` when it is no protobuf.
pub(super) fn field<'a>(bytes: &mut &'a [u8]) -> Result<Option<Field<'a>>, ()> {
    loop {
        if bytes.is_empty() {
            return Ok(None);
        }
        let key = take(bytes).ok_or(())?;
        let skip = match key & 7 {
            0 => return Ok(Some(Field::Number(key >> 3, take(bytes).ok_or(())?))),
            2 => {
                let len = usize::try_from(take(bytes).ok_or(())?).map_err(|_| ())?;
                let (value, rest) = bytes.split_at_checked(len).ok_or(())?;
                *bytes = rest;
                return Ok(Some(Field::Bytes(key >> 3, value)));
            }
            1 => 8,
            5 => 4,
            _ => return Err(()),
        };
        *bytes = bytes.get(skip..).ok_or(())?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_bad_ones_are_refused() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            assert_eq!(read(&bytes), Read::Number(value, bytes.len()));
            assert_eq!(read(&bytes[..bytes.len() - 1]), Read::More);
        }
        assert_eq!(read(&[0xff; 10]), Read::Invalid);
        assert_eq!(read(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02]), Read::Invalid);
    }

    #[test]
    fn fields_of_fixed_width_are_skipped() {
        let mut bytes: &[u8] = &[0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x25, 1, 2, 3, 4, 0x08, 3];
        assert!(matches!(field(&mut bytes), Ok(Some(Field::Number(1, 3)))));
        assert!(matches!(field(&mut bytes), Ok(None)));
        for bad in [&[0x12, 5, 1][..], &[0x0b], &[0x08], &[0x19, 1]] {
            assert!(field(&mut &*bad).is_err(), "{bad:?}");
        }
    }
}
