//! Payloads and answers as JSON.

use base64::{Engine, prelude::BASE64_STANDARD};
use neuromesh::{
    Answer, Options, Payload, Request, SparseBytes, Tensor,
    core::{DType, payload::Part},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::picture::{self, PictureError};

/// The body of `POST /v1/run`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunBody {
    /// Name or digest of the model.
    pub model: String,
    /// What to run it on.
    pub input: WirePayload,
    /// What the caller wants of the router.
    #[serde(default)]
    pub options: Options,
}

/// A [`Payload`] in JSON; bytes are base64.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum WirePayload {
    /// `{"text": "…"}`
    Text(String),
    /// `{"bytesBase64": "…"}`: a whole file.
    BytesBase64(String),
    /// `{"bytes": {"len", "parts": [{"offset", "dataBase64"}]}}`: the parts of a file that the model reads.
    Bytes {
        /// Length of the whole.
        len: u64,
        /// The parts at hand.
        parts: Vec<WirePart>,
    },
    /// `{"imageBase64": "…"}`: the file of a picture (PNG, JPEG, WebP), for models that take pictures.
    ImageBase64(String),
    /// `{"tensors": [{"name", "dtype", "shape", "dataBase64"}]}`, little-endian.
    Tensors(Vec<WireTensor>),
    /// `{"json": …}`, in answers.
    Json(Value),
}

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WirePart {
    /// Where it begins.
    pub offset: u64,
    /// Its content.
    pub data_base64: String,
}

/// A tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WireTensor {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    pub dtype: DType,
    /// Its sizes.
    pub shape: Vec<u32>,
    /// Its content.
    pub data_base64: String,
}

/// A body is not what it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// Bytes are no base64.
    #[error("{0} is not base64 (RFC 4648, with padding)")]
    Base64(&'static str),
    /// A picture is none.
    #[error(transparent)]
    Picture(#[from] PictureError),
}

impl RunBody {
    /// The request that the body asks for.
    ///
    /// # Errors
    /// [`BodyError`].
    pub fn into_request(self) -> Result<Request, BodyError> {
        Ok(Request { model: self.model, input: self.input.into_payload()?, options: self.options })
    }
}

impl WirePayload {
    /// The payload; not validated yet.
    ///
    /// # Errors
    /// [`BodyError`].
    pub fn into_payload(self) -> Result<Payload, BodyError> {
        Ok(match self {
            Self::Text(text) => Payload::Text(text),
            Self::BytesBase64(data) => Payload::Bytes(SparseBytes::whole(decode("bytesBase64", data)?)),
            Self::Bytes { len, parts } => {
                let part = |part: WirePart| {
                    decode("dataBase64", part.data_base64).map(|data| Part { offset: part.offset, data })
                };
                Payload::Bytes(SparseBytes { len, parts: parts.into_iter().map(part).collect::<Result<_, _>>()? })
            }
            Self::ImageBase64(data) => picture::payload(&decode("imageBase64", data)?)?,
            Self::Tensors(tensors) => {
                let tensor = |WireTensor { name, dtype, shape, data_base64 }| {
                    decode("dataBase64", data_base64).map(|data| Tensor { name, dtype, shape, data })
                };
                Payload::Tensors(tensors.into_iter().map(tensor).collect::<Result<_, _>>()?)
            }
            Self::Json(value) => Payload::Json(value.to_string()),
        })
    }
}

impl From<&Payload> for WirePayload {
    fn from(payload: &Payload) -> Self {
        let encode = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
        match payload {
            Payload::Text(text) => Self::Text(text.clone()),
            // A plugin's answer was checked to be JSON; another peer's may be anything, and stays text.
            Payload::Json(text) => {
                Self::Json(serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone())))
            }
            Payload::Bytes(bytes) => Self::Bytes {
                len: bytes.len,
                parts: bytes
                    .parts
                    .iter()
                    .map(|part| WirePart { offset: part.offset, data_base64: encode(&part.data) })
                    .collect(),
            },
            Payload::Tensors(tensors) => Self::Tensors(
                tensors
                    .iter()
                    .map(|tensor| WireTensor {
                        name: tensor.name.clone(),
                        dtype: tensor.dtype,
                        shape: tensor.shape.clone(),
                        data_base64: encode(&tensor.data),
                    })
                    .collect(),
            ),
        }
    }
}

/// An answer in JSON: `{"output", "receipt", "route"}`; the signature is hexadecimal.
pub fn answer(answer: &Answer) -> Value {
    let mut receipt = json!(answer.receipt);
    receipt["signature"] = hex::encode(&answer.receipt.signature).into();
    json!({"output": WirePayload::from(&answer.output), "receipt": receipt, "route": answer.route})
}

fn decode(what: &'static str, text: String) -> Result<Vec<u8>, BodyError> {
    BASE64_STANDARD.decode(text).map_err(|_| BodyError::Base64(what))
}
