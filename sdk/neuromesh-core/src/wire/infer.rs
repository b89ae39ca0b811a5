//! A model run, asked and answered.

use serde::{Deserialize, Serialize};

use super::{
    MAX_ERROR_TEXT, MAX_INFER_BYTES, MAX_INFER_HEADER_BYTES, WireError, behind, clip, decode, encode, encode_after,
};
use crate::{
    Digest, Payload, Receipt, SparseBytes, Tensor,
    payload::{DType, MAX_PARTS, MAX_PAYLOAD_BYTES, MAX_TENSORS, Part},
    request::Numerics,
};

const REQUEST: &str = "infer request";
const REPLY: &str = "infer reply";
const LIMITS: (usize, usize) = (MAX_INFER_HEADER_BYTES, MAX_INFER_BYTES);
/// The kind byte of a reply.
const KIND: u8 = 0;

/// Asks a peer to run a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InferRequest {
    /// Digest of the model's manifest.
    pub model: Digest,
    /// How long the asker will wait, in milliseconds.
    pub budget_ms: u32,
    /// Drawn by the asker; the same in every attempt of one request.
    pub nonce: u64,
    /// How exact the answer must be.
    pub numerics: Numerics,
    /// Whether the asker wants parts of the answer as they are made.
    pub stream: bool,
    /// What to run it on.
    pub input: Payload,
}

/// The answer to an [`InferRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InferReply {
    /// It ran.
    Ok(Box<InferSuccess>),
    /// It did not.
    Err(Failure),
}

/// A run that worked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InferSuccess {
    /// Signed by the peer that ran it.
    pub receipt: Receipt,
    /// Fetching and loading the model, in microseconds.
    pub load_us: u64,
    /// Waiting behind other work, in microseconds.
    pub queue_us: u64,
    /// What the model said.
    pub output: Payload,
}

/// A run that did not work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// For people; at most [`MAX_ERROR_TEXT`] bytes.
    pub message: String,
}

/// Kinds of failure of a model run. The order is part of the wire format: add at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The peer neither holds the model nor can fetch it.
    ModelNotFound,
    /// The model's files do not load: corrupted, or of a kind that this build does not know.
    ModelInvalid,
    /// The model does not take this input.
    InvalidInput,
    /// The model or the run needs more memory than the peer gives.
    TooLarge,
    /// The plugin trapped, ran out of its limits, or gave an error.
    PluginFailed,
    /// The peer's storage failed.
    StorageError,
    /// The peer's storage is full.
    QuotaExceeded,
    /// The model or the reply could not be carried over the network.
    NetworkError,
    /// The peer has as much work as it takes; later may work.
    Busy,
    /// Cancelled by the asker.
    Cancelled,
    /// The asker's time was over before the run.
    DeadlineExceeded,
    /// Anything else.
    Failed,
}

impl ErrorKind {
    /// The stable name under which JavaScript and HTTP callers see it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ModelNotFound => "ModelNotFound",
            Self::ModelInvalid => "ModelInvalid",
            Self::InvalidInput => "InvalidInput",
            Self::TooLarge => "TooLarge",
            Self::PluginFailed => "PluginFailed",
            Self::StorageError => "StorageError",
            Self::QuotaExceeded => "QuotaExceeded",
            Self::NetworkError => "NetworkError",
            Self::Busy => "Busy",
            Self::Cancelled => "AbortError",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::Failed => "RunFailed",
        }
    }
}

#[derive(Serialize, Deserialize)]
struct RequestHead {
    model: Digest,
    budget_ms: u32,
    nonce: u64,
    numerics: Numerics,
    stream: bool,
    input: PayloadHead,
}

#[derive(Serialize, Deserialize)]
enum ReplyHead {
    Ok { receipt: Box<Receipt>, load_us: u64, queue_us: u64, output: PayloadHead },
    Err(Failure),
}

/// A payload without its bulk.
#[derive(Serialize, Deserialize)]
enum PayloadHead {
    Text { len: u32 },
    Json { len: u32 },
    Bytes { len: u64, parts: Vec<(u64, u32)> },
    Tensors(Vec<TensorHead>),
}

#[derive(Serialize, Deserialize)]
struct TensorHead {
    name: String,
    dtype: DType,
    shape: Vec<u32>,
    len: u32,
}

impl InferRequest {
    /// The bytes for the wire.
    ///
    /// # Errors
    /// [`WireError::Payload`] for an input that breaks a rule.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        Self::encode_parts(self.model, self.budget_ms, self.nonce, self.numerics, self.stream, &self.input)
    }

    /// The same from its parts, without a copy of the input.
    ///
    /// # Errors
    /// As [`InferRequest::encode`].
    pub fn encode_parts(
        model: Digest,
        budget_ms: u32,
        nonce: u64,
        numerics: Numerics,
        stream: bool,
        input: &Payload,
    ) -> Result<Vec<u8>, WireError> {
        let head = RequestHead { model, budget_ms, nonce, numerics, stream, input: describe(input)? };
        with_body(REQUEST, encode(&head, input.size()), input)
    }

    /// Reads a request.
    ///
    /// # Errors
    /// [`WireError`]; an input that is returned has passed [`Payload::validate`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let (RequestHead { model, budget_ms, nonce, numerics, stream, input }, body) = decode(REQUEST, bytes, LIMITS)?;
        Ok(Self { model, budget_ms, nonce, numerics, stream, input: restore(REQUEST, input, body)? })
    }
}

impl InferReply {
    /// A failure with a text for people.
    pub fn failure(kind: ErrorKind, message: &str) -> Self {
        Self::Err(Failure { kind, message: clip(message, MAX_ERROR_TEXT).to_owned() })
    }

    /// The bytes for the wire.
    ///
    /// # Errors
    /// [`WireError::Payload`] for an output that breaks a rule.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        match self {
            Self::Err(failure) => {
                let message = clip(&failure.message, MAX_ERROR_TEXT).to_owned();
                Ok(encode_after(&[KIND], &ReplyHead::Err(Failure { kind: failure.kind, message }), 0))
            }
            Self::Ok(success) => {
                let head = ReplyHead::Ok {
                    receipt: Box::new(success.receipt.clone()),
                    load_us: success.load_us,
                    queue_us: success.queue_us,
                    output: describe(&success.output)?,
                };
                with_body(REPLY, encode_after(&[KIND], &head, success.output.size()), &success.output)
            }
        }
    }

    /// Reads a reply. Whether the receipt holds is for the caller to check.
    ///
    /// # Errors
    /// [`WireError`]; an output that is returned has passed [`Payload::validate`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        match decode(REPLY, behind(KIND, REPLY, bytes)?, LIMITS)? {
            (ReplyHead::Err(failure), []) => Ok(Self::failure(failure.kind, &failure.message)),
            (ReplyHead::Err(_), _) => Err(WireError::Trailing(REPLY)),
            (ReplyHead::Ok { receipt, load_us, queue_us, output }, body) => {
                let output = restore(REPLY, output, body)?;
                Ok(Self::Ok(Box::new(InferSuccess { receipt: *receipt, load_us, queue_us, output })))
            }
        }
    }
}

fn describe(payload: &Payload) -> Result<PayloadHead, WireError> {
    payload.validate()?;
    let len = |data: &[u8]| u32::try_from(data.len()).expect("validated payloads are far below 4 GiB");
    Ok(match payload {
        Payload::Text(text) => PayloadHead::Text { len: len(text.as_bytes()) },
        Payload::Json(text) => PayloadHead::Json { len: len(text.as_bytes()) },
        Payload::Bytes(bytes) => PayloadHead::Bytes {
            len: bytes.len,
            parts: bytes.parts.iter().map(|part| (part.offset, len(&part.data))).collect(),
        },
        Payload::Tensors(tensors) => PayloadHead::Tensors(
            tensors
                .iter()
                .map(|tensor| TensorHead {
                    name: tensor.name.clone(),
                    dtype: tensor.dtype,
                    shape: tensor.shape.clone(),
                    len: len(&tensor.data),
                })
                .collect(),
        ),
    })
}

fn with_body(what: &'static str, mut out: Vec<u8>, payload: &Payload) -> Result<Vec<u8>, WireError> {
    // Cannot happen while the bounds in `payload` stand; a test holds them together.
    if out.len() > 1 + MAX_INFER_HEADER_BYTES {
        return Err(WireError::TooLarge { what, size: out.len(), limit: MAX_INFER_HEADER_BYTES });
    }
    match payload {
        Payload::Text(text) | Payload::Json(text) => out.extend_from_slice(text.as_bytes()),
        Payload::Bytes(bytes) => bytes.parts.iter().for_each(|part| out.extend_from_slice(&part.data)),
        Payload::Tensors(tensors) => tensors.iter().for_each(|tensor| out.extend_from_slice(&tensor.data)),
    }
    Ok(out)
}

fn restore(what: &'static str, head: PayloadHead, mut body: &[u8]) -> Result<Payload, WireError> {
    if body.len() > MAX_PAYLOAD_BYTES {
        return Err(WireError::TooLarge { what, size: body.len(), limit: MAX_PAYLOAD_BYTES });
    }
    let mut take = |len: u32| {
        let (data, rest) = body.split_at_checked(len as usize).ok_or(WireError::Malformed(what))?;
        body = rest;
        Ok::<_, WireError>(data.to_vec())
    };
    let text = |data| String::from_utf8(data).map_err(|_| WireError::Malformed(what));
    let payload = match head {
        PayloadHead::Text { len } => Payload::Text(text(take(len)?)?),
        PayloadHead::Json { len } => Payload::Json(text(take(len)?)?),
        PayloadHead::Bytes { len, parts } => {
            if parts.len() > MAX_PARTS {
                return Err(WireError::Malformed(what));
            }
            let parts = parts.into_iter().map(|(offset, len)| Ok(Part { offset, data: take(len)? }));
            Payload::Bytes(SparseBytes { len, parts: parts.collect::<Result<_, WireError>>()? })
        }
        PayloadHead::Tensors(heads) => {
            if heads.len() > MAX_TENSORS {
                return Err(WireError::Malformed(what));
            }
            let tensors = heads.into_iter().map(|head| {
                let data = take(head.len)?;
                Ok(Tensor { name: head.name, dtype: head.dtype, shape: head.shape, data })
            });
            Payload::Tensors(tensors.collect::<Result<_, WireError>>()?)
        }
    };
    if !body.is_empty() {
        return Err(WireError::Trailing(what));
    }
    payload.validate()?;
    Ok(payload)
}
