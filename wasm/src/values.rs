//! Values across the border: payloads keep their bytes in `Uint8Array`, everything else goes as plain objects.

use js_sys::{Array, Object, Reflect, Uint8Array};
use neuromesh::{
    Answer, Part as AnswerPart, Payload, SparseBytes, Tensor,
    core::payload::{DType, MAX_PARTS, MAX_PAYLOAD_BYTES, MAX_RANK, MAX_TENSORS, Part},
};
use serde::Serialize;
use wasm_bindgen::{JsCast, JsValue};

use crate::errors::invalid;

pub(crate) fn plain(value: &impl Serialize) -> Result<JsValue, JsValue> {
    value
        .serialize(&serde_wasm_bindgen::Serializer::json_compatible())
        .map_err(|error| js_sys::Error::new(&error.to_string()).into())
}

pub(crate) fn set(object: &Object, key: &str, value: &JsValue) {
    // Setting a property of a fresh plain object cannot fail.
    let _ = Reflect::set(object, &key.into(), value);
}

pub(crate) fn get(object: &JsValue, key: &str) -> Result<JsValue, JsValue> {
    Reflect::get(object, &key.into()).map_err(|_| invalid(&format!("expected an object with {key:?}")))
}

pub(crate) fn number(object: &JsValue, key: &str) -> Result<f64, JsValue> {
    let value = get(object, key)?.as_f64().filter(|value| value.is_finite() && *value >= 0.0);
    value.ok_or_else(|| invalid(&format!("{key:?} must be a number of at least 0")))
}

pub(crate) fn string(object: &JsValue, key: &str) -> Result<String, JsValue> {
    get(object, key)?.as_string().ok_or_else(|| invalid(&format!("{key:?} must be a string")))
}

fn bytes(object: &JsValue, key: &str) -> Result<Vec<u8>, JsValue> {
    let value = get(object, key)?;
    let array = value.dyn_ref::<Uint8Array>().ok_or_else(|| invalid(&format!("{key:?} must be a Uint8Array")))?;
    if array.length() as usize > MAX_PAYLOAD_BYTES {
        return Err(invalid(&format!("{key:?} has {} bytes, over the limit of {MAX_PAYLOAD_BYTES}", array.length())));
    }
    Ok(array.to_vec())
}

fn items(value: &JsValue, what: &str, limit: usize) -> Result<Vec<JsValue>, JsValue> {
    let array = value.dyn_ref::<Array>().ok_or_else(|| invalid(&format!("{what} must be an array")))?;
    if array.length() as usize > limit {
        return Err(invalid(&format!("{} {what}, over the limit of {limit}", array.length())));
    }
    Ok(array.to_vec())
}

pub(crate) fn payload_from_js(value: &JsValue) -> Result<Payload, JsValue> {
    let has = |key: &str| get(value, key).is_ok_and(|found| !found.is_undefined());
    let payload = if has("text") {
        Payload::Text(string(value, "text")?)
    } else if has("json") {
        Payload::Json(string(value, "json")?)
    } else if has("bytes") {
        Payload::Bytes(sparse_from_js(&get(value, "bytes")?)?)
    } else if has("tensors") {
        Payload::Tensors(tensors_from_js(&get(value, "tensors")?)?)
    } else {
        return Err(invalid("an input is {text}, {bytes} or {tensors}"));
    };
    payload.validate().map_err(|error| invalid(&error.to_string()))?;
    Ok(payload)
}

fn sparse_from_js(value: &JsValue) -> Result<SparseBytes, JsValue> {
    let len = number(value, "len")? as u64;
    let parts = items(&get(value, "parts")?, "parts", MAX_PARTS)?;
    let parts =
        parts.iter().map(|part| Ok(Part { offset: number(part, "offset")? as u64, data: bytes(part, "data")? }));
    Ok(SparseBytes { len, parts: parts.collect::<Result<_, JsValue>>()? })
}

pub(crate) fn tensors_from_js(value: &JsValue) -> Result<Vec<Tensor>, JsValue> {
    let tensor = |value: &JsValue| {
        let dtype = string(value, "dtype")?;
        let dtype = dtype_from_name(&dtype).ok_or_else(|| invalid(&format!("unknown tensor type {dtype:?}")))?;
        let shape = items(&get(value, "shape")?, "dimensions", MAX_RANK)?;
        let shape = shape.iter().map(|dim| {
            let dim = dim.as_f64().filter(|dim| dim.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(dim));
            dim.map(|dim| dim as u32).ok_or_else(|| invalid("a dimension is a whole number of at least 0"))
        });
        Ok(Tensor {
            name: string(value, "name")?,
            dtype,
            shape: shape.collect::<Result<_, _>>()?,
            data: bytes(value, "data")?,
        })
    };
    items(value, "tensors", MAX_TENSORS)?.iter().map(tensor).collect()
}

pub(crate) fn payload_to_js(payload: &Payload) -> JsValue {
    let object = Object::new();
    match payload {
        Payload::Text(text) => set(&object, "text", &text.into()),
        Payload::Json(json) => set(&object, "json", &json.into()),
        Payload::Tensors(tensors) => set(&object, "tensors", &tensors_to_js(tensors)),
        Payload::Bytes(sparse) => {
            let parts = Array::new();
            for part in &sparse.parts {
                let entry = Object::new();
                set(&entry, "offset", &(part.offset as f64).into());
                set(&entry, "data", &Uint8Array::from(&part.data[..]));
                parts.push(&entry);
            }
            let bytes = Object::new();
            set(&bytes, "len", &(sparse.len as f64).into());
            set(&bytes, "parts", &parts);
            set(&object, "bytes", &bytes);
        }
    }
    object.into()
}

pub(crate) fn tensors_to_js(tensors: &[Tensor]) -> JsValue {
    let array = Array::new();
    for tensor in tensors {
        let entry = Object::new();
        set(&entry, "name", &tensor.name.as_str().into());
        set(&entry, "dtype", &dtype_name(tensor.dtype).into());
        let shape = tensor.shape.iter().map(|dim| JsValue::from(*dim)).collect::<Array>();
        set(&entry, "shape", &shape);
        set(&entry, "data", &Uint8Array::from(&tensor.data[..]));
        array.push(&entry);
    }
    array.into()
}

pub(crate) fn part_to_js(part: &AnswerPart) -> JsValue {
    let object = Object::new();
    set(&object, "text", &part.text.as_str().into());
    set(&object, "tokens", &part.tokens.iter().map(|token| JsValue::from(*token)).collect::<Array>());
    object.into()
}

pub(crate) fn part_from_js(value: &JsValue) -> Result<AnswerPart, JsValue> {
    let token = |token: &JsValue| {
        let token = token.as_f64().filter(|token| token.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(token));
        token.map(|token| token as u32).ok_or_else(|| invalid("a token is a whole number of at least 0"))
    };
    let tokens = items(&get(value, "tokens")?, "tokens", MAX_PAYLOAD_BYTES / 4)?;
    let tokens = tokens.iter().map(token).collect::<Result<_, _>>()?;
    Ok(AnswerPart { text: string(value, "text")?, tokens })
}

pub(crate) fn answer_to_js(answer: &Answer) -> Result<JsValue, JsValue> {
    let object = Object::new();
    set(&object, "output", &payload_to_js(&answer.output));
    set(&object, "receipt", &plain(&answer.receipt)?);
    set(&object, "route", &plain(&answer.route)?);
    Ok(object.into())
}

const DTYPES: [(DType, &str); 7] = [
    (DType::F32, "f32"),
    (DType::F16, "f16"),
    (DType::I64, "i64"),
    (DType::I32, "i32"),
    (DType::I8, "i8"),
    (DType::U8, "u8"),
    (DType::Bool, "bool"),
];

fn dtype_name(dtype: DType) -> &'static str {
    DTYPES.iter().find(|(known, _)| *known == dtype).expect("every type is in the table").1
}

fn dtype_from_name(name: &str) -> Option<DType> {
    DTYPES.iter().find(|(_, known)| *known == name).map(|(dtype, _)| *dtype)
}
