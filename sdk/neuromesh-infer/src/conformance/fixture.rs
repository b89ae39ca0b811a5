//! The fixtures' format: a length, a JSON header, the model, the tensors.

use serde::Deserialize;

use crate::{Data, Tensor};

/// One case.
#[derive(Debug, Default)]
pub struct Fixture {
    /// What it is about.
    pub name: String,
    /// A model file, if the case brings its own.
    pub model: Vec<u8>,
    /// What goes in.
    pub inputs: Vec<(String, Tensor)>,
    /// What must come out.
    pub outputs: Vec<(String, Tensor)>,
    /// A text, for cases about text.
    pub text: String,
    /// The operator that it is about, if it is about one.
    pub operator: String,
    /// How far a float may be off, if the case has its own rule.
    pub tolerance: Option<Tolerance>,
    /// A part of the message with which the case must be refused …
    pub message: String,
    /// … and the latest stage at which.
    pub(crate) stage: Stage,
}

/// How far a float may be off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// So much of its own size, and so much.
    Each {
        /// Of its size.
        relative: f32,
        /// At all.
        absolute: f32,
    },
    /// So much of the largest element of the output.
    OfLargest(f32),
}

/// Where a bad model is found out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    Load,
    #[default]
    Run,
}

#[derive(Deserialize)]
struct Header {
    name: String,
    model: usize,
    inputs: Vec<Description>,
    outputs: Vec<Description>,
    #[serde(default)]
    text: String,
    #[serde(default)]
    operator: String,
    rtol: Option<f32>,
    atol: Option<f32>,
    tolerance: Option<f32>,
    #[serde(default)]
    message: String,
    #[serde(default)]
    stage: Stage,
}

#[derive(Deserialize)]
struct Description {
    name: String,
    r#type: String,
    shape: Vec<usize>,
}

impl Fixture {
    /// Reads all cases of a file.
    pub fn read_all(mut bytes: &[u8]) -> Result<Vec<Self>, String> {
        let mut cases = Vec::new();
        while !bytes.is_empty() {
            cases.push(Self::read(&mut bytes)?);
        }
        Ok(cases)
    }

    fn read(bytes: &mut &[u8]) -> Result<Self, String> {
        let length = u32::from_le_bytes(take(bytes, 4)?.try_into().map_err(|_| "no length")?);
        let header: Header =
            serde_json::from_slice(take(bytes, length as usize)?).map_err(|error| error.to_string())?;
        let model = take(bytes, header.model)?.to_vec();
        let mut tensors = |list: Vec<Description>| -> Result<Vec<_>, String> {
            list.into_iter().map(|one| tensor(bytes, one)).collect()
        };
        Ok(Self {
            name: header.name,
            model,
            inputs: tensors(header.inputs)?,
            outputs: tensors(header.outputs)?,
            text: header.text,
            operator: header.operator,
            tolerance: match (header.rtol, header.atol, header.tolerance) {
                (Some(relative), Some(absolute), _) => Some(Tolerance::Each { relative, absolute }),
                (_, _, Some(part)) => Some(Tolerance::OfLargest(part)),
                _ => None,
            },
            message: header.message,
            stage: header.stage,
        })
    }
}

fn tensor(bytes: &mut &[u8], description: Description) -> Result<(String, Tensor), String> {
    let count = description.shape.iter().product::<usize>();
    let data = match description.r#type.as_str() {
        "f32" => {
            Data::F32(take(bytes, 4 * count)?.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect())
        }
        "f16" => {
            Data::F16(take(bytes, 2 * count)?.as_chunks().0.iter().map(|&two| half::f16::from_le_bytes(two)).collect())
        }
        "i64" => {
            Data::I64(take(bytes, 8 * count)?.as_chunks().0.iter().map(|&eight| i64::from_le_bytes(eight)).collect())
        }
        "i32" => {
            Data::I32(take(bytes, 4 * count)?.as_chunks().0.iter().map(|&four| i32::from_le_bytes(four)).collect())
        }
        "u8" => Data::U8(take(bytes, count)?.to_vec()),
        "i8" => Data::I8(take(bytes, count)?.iter().map(|&byte| byte as i8).collect()),
        "bool" => Data::Bool(take(bytes, count)?.iter().map(|&byte| byte != 0).collect()),
        other => return Err(format!("unknown type {other:?}")),
    };
    let tensor = Tensor::new(description.shape, data).map_err(|error| error.to_string())?;
    Ok((description.name, tensor))
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], String> {
    let (taken, rest) = bytes.split_at_checked(length).ok_or("the fixture is cut short")?;
    *bytes = rest;
    Ok(taken)
}
