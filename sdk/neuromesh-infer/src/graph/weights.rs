//! Tensors of the file to tensors of the engine.

use bytes::Bytes;

use crate::{
    Data, DataType, LoadError, Tensor,
    limits::MAX_RANK,
    proto::{LOCATION_EXTERNAL, TensorProto},
    shape,
};

/// Checks a tensor's dimensions against its data and copies it, once, into aligned memory.
pub(crate) fn decode(proto: TensorProto) -> Result<Tensor, LoadError> {
    let name = proto.name.clone();
    read(proto).map_err(|reason| LoadError::Tensor { name, reason })
}

fn read(proto: TensorProto) -> Result<Tensor, String> {
    if proto.data_location == LOCATION_EXTERNAL || !proto.external_data.is_empty() {
        return Err("its data is in another file; only models in one file are supported".into());
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
        None => from_fields(data_type, proto, elements)?,
    };
    Tensor::new(shape, data).map_err(|mismatch| mismatch.to_string())
}

fn from_raw(data_type: DataType, raw: &Bytes, elements: usize) -> Result<Data, String> {
    // `elements` leaves room for sixteen bytes each.
    let expected = elements * data_type.size();
    if raw.len() != expected {
        return Err(format!("{} bytes of data where its dimensions need {expected}", raw.len()));
    }
    Ok(match data_type {
        DataType::F32 => Data::F32(raw.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()),
        DataType::I64 => Data::I64(raw.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect()),
        DataType::I32 => Data::I32(raw.as_chunks().0.iter().map(|&bytes| i32::from_le_bytes(bytes)).collect()),
        DataType::U8 => Data::U8(raw.to_vec()),
        DataType::I8 => Data::I8(raw.iter().map(|&byte| byte as i8).collect()),
        DataType::Bool => Data::Bool(raw.iter().map(|&byte| byte != 0).collect()),
    })
}

fn from_fields(data_type: DataType, proto: TensorProto, elements: usize) -> Result<Data, String> {
    let small = proto.int32_data;
    let data = match data_type {
        DataType::F32 => Data::F32(proto.float_data),
        DataType::I64 => Data::I64(proto.int64_data),
        DataType::I32 => Data::I32(small),
        DataType::U8 => Data::U8(small.iter().map(|&value| value as u8).collect()),
        DataType::I8 => Data::I8(small.iter().map(|&value| value as i8).collect()),
        DataType::Bool => Data::Bool(small.iter().map(|&value| value != 0).collect()),
    };
    match data.len() == elements {
        true => Ok(data),
        false => Err(format!("{} elements of data where its dimensions need {elements}", data.len())),
    }
}
