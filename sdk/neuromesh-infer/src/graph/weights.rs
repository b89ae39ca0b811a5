//! Tensors of the file to tensors of the engine.

use std::collections::BTreeMap;

use bytes::Bytes;
use half::f16;

use crate::{
    DataType, LoadError,
    buffer::Buffer,
    limits::MAX_RANK,
    proto::{LOCATION_EXTERNAL, TensorProto},
    shape,
    value::Value,
};

/// Where a model's weights come from: the file itself, and files beside it by their names.
pub(crate) struct Weights<'a> {
    pub external: &'a BTreeMap<String, Bytes>,
}

impl Weights<'_> {
    /// Checks a tensor's dimensions against its data and copies it, once, into aligned memory.
    pub fn decode(&self, proto: TensorProto) -> Result<Value, LoadError> {
        let name = proto.name.clone();
        self.read(proto).map_err(|reason| LoadError::Tensor { name, reason })
    }

    fn read(&self, mut proto: TensorProto) -> Result<Value, String> {
        if proto.data_location == LOCATION_EXTERNAL || !proto.external_data.is_empty() {
            proto.raw_data = Some(self.outside(&proto)?);
        }
        let Some(data_type) = DataType::from_onnx(proto.data_type) else {
            return Err(format!("element type {} is not supported", proto.data_type));
        };
        if proto.dims.len() > MAX_RANK {
            return Err(format!("{} dimensions; at most {MAX_RANK} are supported", proto.dims.len()));
        }
        let shape = shape::sizes(&proto.dims)
            .map_err(|reason| format!("its dimensions {:?} are not sizes: {reason}", proto.dims))?;
        let elements = shape::elements(&shape).ok_or_else(|| format!("its dimensions {shape:?} are too large"))?;
        let data = match &proto.raw_data {
            Some(raw) => from_raw(data_type, raw, elements)?,
            None => from_fields(data_type, &proto, elements)?,
        };
        Ok(Value::new(data_type, shape, data))
    }

    /// The bytes of a tensor that lies in a file beside the model.
    fn outside(&self, proto: &TensorProto) -> Result<Bytes, String> {
        let entry = |key: &str| proto.external_data.iter().find(|entry| entry.key == key).map(|entry| &entry.value[..]);
        let number = |key: &str| match entry(key) {
            None => Ok(None),
            Some(text) => text.parse::<usize>().map(Some).map_err(|_| format!("its {key} {text:?} is not a number")),
        };
        let location = entry("location").ok_or("it does not tell which file it is in")?;
        let file = self.external.get(location).ok_or_else(|| {
            format!("its data is in the file {location:?}, which was not given; give it with the model")
        })?;
        let start = number("offset")?.unwrap_or(0);
        let end = match number("length")? {
            Some(length) => start.saturating_add(length),
            None => file.len(),
        };
        match start <= end && end <= file.len() {
            true => Ok(file.slice(start..end)),
            false => Err(format!("its bytes {start}..{end} are outside of {location:?}, which has {}", file.len())),
        }
    }
}

#[cfg(target_endian = "big")]
compile_error!("weights are copied as they stand in the file, which is little-endian");

fn from_raw(data_type: DataType, raw: &[u8], elements: usize) -> Result<Buffer, String> {
    // `elements` leaves room for sixteen bytes each.
    let expected = elements * data_type.size();
    if raw.len() != expected {
        return Err(format!("{} bytes of data where its dimensions need {expected}", raw.len()));
    }
    let mut buffer = Buffer::from_slice(raw);
    if data_type == DataType::Bool {
        buffer.slice_mut::<u8>().iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
    }
    Ok(buffer)
}

fn from_fields(data_type: DataType, proto: &TensorProto, elements: usize) -> Result<Buffer, String> {
    let small = &proto.int32_data;
    let found = match data_type {
        DataType::F32 => proto.float_data.len(),
        DataType::I64 => proto.int64_data.len(),
        _ => small.len(),
    };
    if found != elements {
        return Err(format!("{found} elements of data where its dimensions need {elements}"));
    }
    Ok(match data_type {
        DataType::F32 => Buffer::from_slice(&proto.float_data),
        DataType::I64 => Buffer::from_slice(&proto.int64_data),
        DataType::I32 => Buffer::from_slice(small),
        DataType::F16 => Buffer::from_slice(&small.iter().map(|&bits| f16::from_bits(bits as u16)).collect::<Vec<_>>()),
        DataType::Bool => Buffer::from_slice(&small.iter().map(|&value| u8::from(value != 0)).collect::<Vec<_>>()),
        DataType::U8 | DataType::I8 => Buffer::from_slice(&small.iter().map(|&value| value as u8).collect::<Vec<_>>()),
    })
}
