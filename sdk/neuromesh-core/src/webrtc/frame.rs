//! Messages on a data channel: libp2p/specs `webrtc/README.md`, section "Multiplexing".
//!
//! ```text
//!   len: uvarint │ [08 flag: 0..3] [12 len: uvarint │ data]         at most MAX_MESSAGE bytes in all
//! ```

use super::varint::{self, Field, Read};

/// The longest message, its length prefix included.
pub const MAX_MESSAGE: usize = 16 << 10;
/// The most data in one message: two bytes of prefix, one of key, two of length are gone.
pub const MAX_DATA: usize = MAX_MESSAGE - 5;

/// What a message says beside its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// The sender will send no more data.
    Fin,
    /// The sender reads no more; data that comes is thrown away.
    StopSending,
    /// The sender ends the stream; data that came may be thrown away.
    Reset,
    /// The sender has received [`Flag::Fin`].
    FinAck,
}

impl Flag {
    fn number(self) -> u8 {
        match self {
            Flag::Fin => 0,
            Flag::StopSending => 1,
            Flag::Reset => 2,
            Flag::FinAck => 3,
        }
    }

    /// Protobuf takes a value that an enum lacks for an unknown field.
    fn from_number(number: u64) -> Option<Self> {
        [Flag::Fin, Flag::StopSending, Flag::Reset, Flag::FinAck]
            .into_iter()
            .find(|flag| u64::from(flag.number()) == number)
    }
}

/// One message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// What it says.
    pub flag: Option<Flag>,
    /// The stream's next bytes; empty when there are none.
    pub data: Vec<u8>,
}

/// The message with a flag alone.
pub fn encode_flag(flag: Flag) -> Vec<u8> {
    vec![2, 0x08, flag.number()]
}

/// The message with data alone.
///
/// # Panics
/// When `data` is longer than [`MAX_DATA`].
pub fn encode_data(data: &[u8]) -> Vec<u8> {
    assert!(data.len() <= MAX_DATA, "a message carries at most {MAX_DATA} bytes");
    let mut header = vec![0x12];
    varint::put(&mut header, data.len() as u64);
    let mut out = Vec::with_capacity(2 + header.len() + data.len());
    varint::put(&mut out, (header.len() + data.len()) as u64);
    out.extend_from_slice(&header);
    out.extend_from_slice(data);
    out
}

/// Bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Longer than the specification permits.
    #[error("a message of {0} bytes is over the limit of {MAX_MESSAGE}")]
    TooLong(u64),
    /// No protobuf, or a length that is no number.
    #[error("what came on the data channel is no message of libp2p")]
    Malformed,
}

/// Puts messages together again, however the data channel cuts them.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The beginning of a message, less than [`MAX_MESSAGE`] bytes.
    partial: Vec<u8>,
}

impl Decoder {
    /// Calls `take` with each message that `bytes` completes. After an error the decoder is of no more use.
    pub fn push(&mut self, mut bytes: &[u8], mut take: impl FnMut(Frame)) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            if self.partial.is_empty() {
                // As every peer sends it: whole.
                match length(bytes)? {
                    Some((prefix, len)) if bytes.len() >= prefix + len => {
                        take(decode(&bytes[prefix..prefix + len])?);
                        bytes = &bytes[prefix + len..];
                    }
                    _ => {
                        self.partial.extend_from_slice(bytes);
                        return Ok(());
                    }
                }
                continue;
            }
            let wanted = match length(&self.partial)? {
                Some((prefix, len)) => prefix + len,
                None => self.partial.len() + 1,
            };
            let more = wanted.saturating_sub(self.partial.len()).min(bytes.len());
            self.partial.extend_from_slice(&bytes[..more]);
            bytes = &bytes[more..];
            if let Some((prefix, len)) = length(&self.partial)?
                && self.partial.len() == prefix + len
            {
                let frame = decode(&self.partial[prefix..])?;
                self.partial.clear();
                take(frame);
            }
        }
        Ok(())
    }
}

/// The length of the prefix and of what follows; none when the prefix is not whole.
fn length(bytes: &[u8]) -> Result<Option<(usize, usize)>, FrameError> {
    match varint::read(bytes) {
        Read::Number(len, prefix) => match usize::try_from(len) {
            Ok(short) if short <= MAX_MESSAGE - prefix => Ok(Some((prefix, short))),
            _ => Err(FrameError::TooLong(len)),
        },
        Read::More => Ok(None),
        Read::Invalid => Err(FrameError::Malformed),
    }
}

/// The message without its prefix. Unknown fields are skipped, the last of a repeated one counts.
fn decode(mut bytes: &[u8]) -> Result<Frame, FrameError> {
    let mut frame = Frame::default();
    while let Some(field) = varint::field(&mut bytes).map_err(|()| FrameError::Malformed)? {
        match field {
            Field::Number(1, number) => frame.flag = Flag::from_number(number).or(frame.flag),
            Field::Bytes(2, data) => frame.data = data.to_vec(),
            _ => {}
        }
    }
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn all(decoder: &mut Decoder, bytes: &[u8]) -> Result<Vec<Frame>, FrameError> {
        let mut frames = Vec::new();
        decoder.push(bytes, |frame| frames.push(frame)).map(|()| frames)
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(encode_flag(Flag::Fin), [2, 8, 0]);
        assert_eq!(encode_flag(Flag::StopSending), [2, 8, 1]);
        assert_eq!(encode_flag(Flag::Reset), [2, 8, 2]);
        assert_eq!(encode_flag(Flag::FinAck), [2, 8, 3]);
        assert_eq!(encode_data(b"hello"), [7, 0x12, 5, b'h', b'e', b'l', b'l', b'o']);
        let longest = encode_data(&vec![7; MAX_DATA]);
        assert_eq!(longest.len(), MAX_MESSAGE);
        assert_eq!(longest[..5], [0xfe, 0x7f, 0x12, 0xfb, 0x7f]);
    }

    #[test]
    fn a_flag_and_data_in_one_message_are_both_heard() {
        let frames = all(&mut Decoder::default(), &[6, 8, 0, 0x12, 2, 1, 2, 3, 8, 9, 1 << 3]).unwrap_err();
        assert_eq!(frames, FrameError::Malformed, "a key without a value");
        let frames = all(&mut Decoder::default(), &[6, 8, 0, 0x12, 2, 1, 2]).unwrap();
        assert_eq!(frames, [Frame { flag: Some(Flag::Fin), data: vec![1, 2] }]);
        let unknown = all(&mut Decoder::default(), &[4, 8, 9, 0x18, 1]).unwrap();
        assert_eq!(unknown, [Frame::default()], "unknown flags and fields say nothing");
    }

    #[test]
    fn too_long_or_senseless_is_refused_before_it_is_kept() {
        assert_eq!(all(&mut Decoder::default(), &[0xff, 0x7f]), Err(FrameError::TooLong(16_383)));
        assert_eq!(all(&mut Decoder::default(), &[0xff; 12]), Err(FrameError::Malformed));
        let mut decoder = Decoder::default();
        assert_eq!(all(&mut decoder, &[0x80]), Ok(vec![]));
        assert_eq!(all(&mut decoder, &[0x80, 0x01]), Err(FrameError::TooLong(16_384)));
        // With the prefix added these would be short again, in 32 and in 64 bits.
        for len in [u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            varint::put(&mut bytes, len);
            assert_eq!(all(&mut Decoder::default(), &bytes), Err(FrameError::TooLong(len)));
            let mut decoder = Decoder::default();
            assert!(bytes.chunks(1).try_for_each(|byte| all(&mut decoder, byte).map(drop)).is_err(), "in pieces, too");
        }
    }

    #[test]
    fn any_cut_gives_the_same_messages() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for _ in 0..200 {
            let (mut bytes, mut expected) = (Vec::new(), Vec::new());
            for _ in 0..rng.random_range(1..6) {
                if rng.random_bool(0.3) {
                    bytes.extend(encode_flag(Flag::FinAck));
                    expected.push(Frame { flag: Some(Flag::FinAck), data: vec![] });
                } else {
                    let data: Vec<u8> = (0..rng.random_range(0..300)).map(|_| rng.random()).collect();
                    bytes.extend(encode_data(&data));
                    expected.push(Frame { flag: None, data });
                }
            }
            let (mut decoder, mut frames, mut rest) = (Decoder::default(), Vec::new(), &bytes[..]);
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(rng.random_range(1..=rest.len()));
                frames.extend(all(&mut decoder, piece).unwrap());
                rest = after;
            }
            assert_eq!(frames, expected);
        }
    }

    #[test]
    fn noise_never_panics_and_keeps_little() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        for _ in 0..2000 {
            let mut decoder = Decoder::default();
            for _ in 0..8 {
                let noise: Vec<u8> = (0..rng.random_range(0..64)).map(|_| rng.random()).collect();
                if all(&mut decoder, &noise).is_err() {
                    break;
                }
                assert!(decoder.partial.len() < MAX_MESSAGE);
            }
        }
    }
}
