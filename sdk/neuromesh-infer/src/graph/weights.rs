//! Tensors of the file to tensors of the engine.

use half::f16;

use crate::{
    DataType, LoadError,
    buffer::Buffer,
    limits::MAX_RANK,
    proto::{LOCATION_EXTERNAL, TensorProto},
    shape,
    value::Value,
};

/// The data of a model's tensors, by the numbers that the tensors refer to.
pub(crate) struct Weights {
    held: Vec<Held>,
}

enum Held {
    Raw(Buffer),
    /// A function's tensor, once it has been read: each call of the function has the same one.
    Read(Value),
    Gone,
}

impl Weights {
    pub fn new(held: Vec<Buffer>) -> Self {
        Self { held: held.into_iter().map(Held::Raw).collect() }
    }

    /// Checks a tensor's dimensions against its data; the data stay where they are.
    pub fn decode(&mut self, proto: TensorProto) -> Result<Value, LoadError> {
        let name = proto.name.clone();
        self.read(proto).map_err(|reason| LoadError::Tensor { name, reason })
    }

    fn read(&mut self, proto: TensorProto) -> Result<Value, String> {
        let number = match (&proto.held_raw[..], &proto.held_floats[..]) {
            ([.., last], _) => Some((*last, false)),
            (_, &[number]) if proto.float_data.is_empty() => Some((number, true)),
            (_, []) => None,
            _ => return Err("its data stand in several pieces".into()),
        };
        if number.is_none() && is_outside(&proto) {
            let location = Place::of(&proto)?.location;
            return Err(format!("its data is in the file {location:?}, which was not given; give it with the model"));
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
        let Some((number, floats)) = number else {
            return Ok(Value::new(data_type, shape, from_fields(data_type, &proto, elements)?));
        };
        let at = usize::try_from(number).ok().filter(|&at| at < self.held.len()).ok_or("its data are missing")?;
        let value = match std::mem::replace(&mut self.held[at], Held::Gone) {
            Held::Raw(buffer) => Value::new(data_type, shape, from_buffer(data_type, floats, buffer, elements)?),
            Held::Read(value) => value,
            Held::Gone => return Err("its data are missing".into()),
        };
        self.held[at] = Held::Read(value.clone());
        Ok(value)
    }
}

/// Whether a tensor's data lie in a file beside the model.
pub(crate) fn is_outside(proto: &TensorProto) -> bool {
    proto.data_location == LOCATION_EXTERNAL || !proto.external_data.is_empty()
}

/// Where in which file a tensor's data lie.
pub(crate) struct Place<'a> {
    pub location: &'a str,
    pub start: u64,
    /// Absent: to the end of the file.
    pub length: Option<u64>,
}

impl<'a> Place<'a> {
    pub fn of(proto: &'a TensorProto) -> Result<Self, String> {
        let entry = |key: &str| proto.external_data.iter().find(|entry| entry.key == key).map(|entry| &entry.value[..]);
        let number = |key: &str| match entry(key) {
            None => Ok(None),
            Some(text) => text.parse::<u64>().map(Some).map_err(|_| format!("its {key} {text:?} is not a number")),
        };
        let location = entry("location").ok_or("it does not tell which file it is in")?;
        Ok(Place { location, start: number("offset")?.unwrap_or(0), length: number("length")? })
    }

    /// Its first byte and how many they are, in a file of this many.
    pub fn within(&self, size: u64) -> Result<(u64, u64), String> {
        let end = self.length.map_or(size, |length| self.start.saturating_add(length));
        match self.start <= end && end <= size {
            true => Ok((self.start, end - self.start)),
            false => {
                Err(format!("its bytes {}..{end} are outside of {:?}, which has {size}", self.start, self.location))
            }
        }
    }
}

#[cfg(target_endian = "big")]
compile_error!("weights are copied as they stand in the file, which is little-endian");

fn from_buffer(data_type: DataType, floats: bool, mut buffer: Buffer, elements: usize) -> Result<Buffer, String> {
    if floats && data_type != DataType::F32 {
        return Err(format!("its data are floats, its elements {data_type}"));
    }
    // `elements` leaves room for sixteen bytes each.
    let expected = elements * data_type.size();
    if buffer.bytes() != expected {
        return Err(format!("{} bytes of data where its dimensions need {expected}", buffer.bytes()));
    }
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
