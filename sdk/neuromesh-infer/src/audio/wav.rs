//! RIFF/WAVE files of plain samples.

use super::{AudioError, MAX_SAMPLES, Sound};

/// The most channels that are mixed into one.
const MAX_CHANNELS: usize = 32;

/// Reads a WAV file: integers of 8, 16, 24 or 32 bits, or float32. Channels are mixed: their sum, divided by their number.
///
/// A `data` chunk that claims more than there is, as unfinished recordings have, ends with the file.
///
/// # Errors
/// [`AudioError`].
pub fn read_wav(bytes: &[u8]) -> Result<Sound, AudioError> {
    let wrong = |text| Err(AudioError::Wav(text));
    if bytes.get(..4) != Some(b"RIFF") || bytes.get(8..12) != Some(b"WAVE") {
        return wrong("the file does not begin with RIFF and WAVE");
    }
    let mut rest = &bytes[12..];
    let mut format = None;
    while let Some((head, body)) = rest.split_first_chunk::<8>() {
        let size = u32_at(head, 4).unwrap_or(0) as usize;
        let body = &body[..size.min(body.len())];
        match &head[..4] {
            b"fmt " => format = Some(Format::read(body)?),
            b"data" => {
                return match format {
                    Some(format) => format.samples(body),
                    None => wrong("samples before their format"),
                };
            }
            _ => {}
        }
        // Chunks begin at even places.
        rest = rest.get(8 + size + size % 2..).unwrap_or_default();
    }
    wrong("no samples")
}

struct Format {
    rate: u32,
    channels: usize,
    read: fn(&[u8]) -> f32,
    size: usize,
}

impl Format {
    fn read(chunk: &[u8]) -> Result<Self, AudioError> {
        let short = || AudioError::Wav("the format is cut short");
        let number = |at: usize| u16_at(chunk, at).ok_or_else(short);
        let (mut tag, channels, bits) = (number(0)?, usize::from(number(2)?), number(14)?);
        let rate = u32_at(chunk, 4).ok_or_else(short)?;
        if tag == 0xfffe {
            // WAVE_FORMAT_EXTENSIBLE: the real tag begins a GUID.
            tag = number(24)?;
        }
        if !(1..=MAX_CHANNELS).contains(&channels) {
            return Err(AudioError::Wav("1 to 32 channels are taken"));
        }
        let (read, size): (fn(&[u8]) -> f32, usize) = match (tag, bits) {
            (1, 8) => (|b| (f32::from(b[0]) - 128.0) / 128.0, 1),
            (1, 16) => (|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0, 2),
            (1, 24) => (|b| (i32::from_le_bytes([0, b[0], b[1], b[2]]) >> 8) as f32 / 8_388_608.0, 3),
            (1, 32) => (|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]) as f32 / 2_147_483_648.0, 4),
            (3, 32) => (|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]), 4),
            _ => return Err(AudioError::Wav("only integers of 8, 16, 24, 32 bits and float32 are known")),
        };
        Ok(Self { rate, channels, read, size })
    }

    fn samples(&self, data: &[u8]) -> Result<Sound, AudioError> {
        let frames = data.chunks_exact(self.size * self.channels);
        if frames.len() > MAX_SAMPLES {
            return Err(AudioError::TooLong(frames.len()));
        }
        let mix = |frame: &[u8]| {
            let sum = frame.chunks_exact(self.size).fold(0.0, |sum, sample| sum + (self.read)(sample));
            sum / self.channels as f32
        };
        Sound::new(self.rate, frames.map(mix).collect())
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}
