use serde::{Deserialize, Serialize};

use super::super::varint::{self, Field, Read};

/// The longest message: browsers' descriptions have a few kilobytes.
pub const MAX_SIGNAL: usize = 64 << 10;

/// One message of the signalling protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The session description of who asks.
    Offer(String),
    /// The session description of who is asked.
    Answer(String),
    /// `RTCIceCandidate.toJSON()`; empty or `null` when there are no more.
    Candidate(String),
}

/// A way to a peer: `RTCIceCandidateInit`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// As RFC 8839 writes it: `candidate:1 1 udp 2122260223 192.0.2.1 50000 typ host`.
    pub candidate: String,
    /// The media description that it belongs to, by name.
    #[serde(default)]
    pub sdp_mid: Option<String>,
    /// The same by number.
    #[serde(default)]
    pub sdp_m_line_index: Option<u16>,
    /// The ICE generation that it belongs to.
    #[serde(default)]
    pub username_fragment: Option<String>,
}

impl Candidate {
    /// None for the mark that there are no more (`""`, `null`, an empty candidate), and for what is no candidate.
    pub fn parse(json: &str) -> Option<Self> {
        serde_json::from_str::<Self>(json).ok().filter(|candidate| !candidate.candidate.is_empty())
    }

    /// As browsers write it.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers are JSON")
    }
}

/// Bytes are not of the signalling protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignalError {
    /// Longer than [`MAX_SIGNAL`].
    #[error("a signalling message of {0} bytes is over the limit of {MAX_SIGNAL}")]
    TooLong(u64),
    /// No protobuf, no UTF-8, or a type that is not known.
    #[error("what came is no signalling message")]
    Malformed,
}

impl Signal {
    /// With its length prefix. The type is always written: readers differ in what they take a missing one for.
    pub fn encode(&self) -> Vec<u8> {
        let (number, data) = match self {
            Signal::Offer(sdp) => (0, sdp),
            Signal::Answer(sdp) => (1, sdp),
            Signal::Candidate(json) => (2, json),
        };
        let mut body = vec![0x08, number, 0x12];
        varint::put(&mut body, data.len() as u64);
        body.extend_from_slice(data.as_bytes());
        let mut out = Vec::with_capacity(body.len() + 3);
        varint::put(&mut out, body.len() as u64);
        out.extend_from_slice(&body);
        out
    }

    fn decode(mut bytes: &[u8]) -> Result<Self, SignalError> {
        let (mut number, mut data) = (0, "");
        while let Some(field) = varint::field(&mut bytes).map_err(|()| SignalError::Malformed)? {
            match field {
                Field::Number(1, value) => number = value,
                Field::Bytes(2, value) => data = std::str::from_utf8(value).map_err(|_| SignalError::Malformed)?,
                _ => {}
            }
        }
        match number {
            0 => Ok(Signal::Offer(data.to_owned())),
            1 => Ok(Signal::Answer(data.to_owned())),
            2 => Ok(Signal::Candidate(data.to_owned())),
            _ => Err(SignalError::Malformed),
        }
    }
}

/// Puts messages together from a stream's bytes; holds less than one message.
#[derive(Debug, Default)]
pub struct Reader {
    partial: Vec<u8>,
}

impl Reader {
    /// The messages that `bytes` completes. After an error the reader is of no more use.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Signal>, SignalError> {
        self.partial.extend_from_slice(bytes);
        let (mut signals, mut rest) = (Vec::new(), &self.partial[..]);
        loop {
            let (len, prefix) = match varint::read(rest) {
                Read::Number(len, prefix) => (len, prefix),
                Read::More => break,
                Read::Invalid => return Err(SignalError::Malformed),
            };
            let short = usize::try_from(len).ok().filter(|len| *len <= MAX_SIGNAL).ok_or(SignalError::TooLong(len))?;
            let Some(body) = rest.get(prefix..prefix + short) else { break };
            signals.push(Signal::decode(body)?);
            rest = &rest[prefix + short..];
        }
        let used = self.partial.len() - rest.len();
        self.partial.drain(..used);
        Ok(signals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        assert_eq!(Signal::Offer("v=0".into()).encode(), [7, 8, 0, 0x12, 3, b'v', b'=', b'0']);
        assert_eq!(Signal::Answer(String::new()).encode(), [4, 8, 1, 0x12, 0]);
        assert_eq!(Signal::Candidate("{}".into()).encode(), [6, 8, 2, 0x12, 2, b'{', b'}']);
    }

    #[test]
    fn candidates_are_read_as_browsers_write_them() {
        let json = r#"{"candidate":"candidate:1 1 udp 1 10.0.0.1 9 typ host","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"ab"}"#;
        let candidate = Candidate::parse(json).unwrap();
        assert_eq!(candidate.to_json(), json);
        assert_eq!(Candidate::parse(r#"{"candidate":"x"}"#).unwrap().sdp_mid, None);
        for none in ["", "null", "\"\"", "{}", "[1]", r#"{"candidate":""}"#, r#"{"candidate":7}"#] {
            assert_eq!(Candidate::parse(none), None, "{none}");
        }
    }

    #[test]
    fn messages_come_back_however_they_are_cut() {
        let signals = [Signal::Offer("x".repeat(3000)), Signal::Candidate("ü".into()), Signal::Answer("y".into())];
        let bytes: Vec<u8> = signals.iter().flat_map(Signal::encode).collect();
        for piece in [1, 2, 7, 1000, bytes.len()] {
            let mut reader = Reader::default();
            let found: Vec<_> = bytes.chunks(piece).flat_map(|bytes| reader.push(bytes).unwrap()).collect();
            assert_eq!(found, signals);
        }
    }

    #[test]
    fn a_missing_type_is_an_offer_and_nonsense_is_refused() {
        assert_eq!(Reader::default().push(&[3, 0x12, 1, b'x']), Ok(vec![Signal::Offer("x".into())]));
        assert_eq!(Reader::default().push(&[2, 8, 7]), Err(SignalError::Malformed));
        assert_eq!(Reader::default().push(&[4, 8, 0, 0x12, 9]), Err(SignalError::Malformed));
        assert_eq!(Reader::default().push(&[3, 0x12, 1, 0xff]), Err(SignalError::Malformed));
        assert_eq!(Reader::default().push(&[0xff, 0xff, 0xff, 0x7f]), Err(SignalError::TooLong(0x0fff_ffff)));
    }
}
