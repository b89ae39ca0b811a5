//! tract: the model is optimized for the shapes that it will be run with.

use tract_onnx::prelude::*;

use crate::{Engine, Tensor};

pub(crate) struct Loaded {
    plan: Arc<TypedRunnableModel>,
    /// The model's inputs, in its order.
    names: Vec<String>,
}

impl Loaded {
    pub fn new(mut bytes: &[u8], inputs: &[(String, Tensor)]) -> Result<Self, String> {
        let said = |error: TractError| format!("{error:#}");
        let mut model = tract_onnx::onnx().model_for_read(&mut bytes).map_err(said)?;
        let outlets = model.input_outlets().map_err(said)?.to_vec();
        let names: Vec<String> = outlets.iter().map(|outlet| model.node(outlet.node).name.clone()).collect();
        for (index, name) in names.iter().enumerate() {
            let (_, given) = find(inputs, name)?;
            let fact = InferenceFact::dt_shape(datum_type(&given.dtype)?, &given.shape[..]);
            model.set_input_fact(index, fact).map_err(said)?;
        }
        // What the file says of the outputs' shapes is in names for dimensions, which the inputs' shapes have just settled.
        for index in 0..model.output_outlets().map_err(said)?.len() {
            model.set_output_fact(index, InferenceFact::default()).map_err(said)?;
        }
        let plan = model.into_optimized().and_then(|model| model.into_runnable()).map_err(said)?;
        Ok(Self { plan, names })
    }
}

impl Engine for Loaded {
    fn run(&self, inputs: &[(String, Tensor)]) -> Result<Vec<Tensor>, String> {
        let mut given = TVec::new();
        for name in &self.names {
            given.push(value(&find(inputs, name)?.1)?.into_tvalue());
        }
        let outputs = self.plan.run(given).map_err(|error| format!("{error:#}"))?;
        outputs.iter().map(|value| tensor(value)).collect()
    }
}

fn find<'a>(inputs: &'a [(String, Tensor)], name: &str) -> Result<&'a (String, Tensor), String> {
    inputs.iter().find(|(given, _)| given == name).ok_or_else(|| format!("the input {name:?} is missing"))
}

fn datum_type(dtype: &str) -> Result<DatumType, String> {
    Ok(match dtype {
        "f32" => f32::datum_type(),
        "i64" => i64::datum_type(),
        "i32" => i32::datum_type(),
        "u8" => u8::datum_type(),
        "i8" => i8::datum_type(),
        "bool" => bool::datum_type(),
        other => return Err(format!("tract gets no {other} here")),
    })
}

fn value(Tensor { dtype, shape, data }: &Tensor) -> Result<tract_onnx::prelude::Tensor, String> {
    use tract_onnx::prelude::Tensor as Made;
    let made = match dtype.as_str() {
        "f32" => {
            Made::from_shape(shape, &data.as_chunks().0.iter().map(|&x| f32::from_le_bytes(x)).collect::<Vec<_>>())
        }
        "i64" => {
            Made::from_shape(shape, &data.as_chunks().0.iter().map(|&x| i64::from_le_bytes(x)).collect::<Vec<_>>())
        }
        "i32" => {
            Made::from_shape(shape, &data.as_chunks().0.iter().map(|&x| i32::from_le_bytes(x)).collect::<Vec<_>>())
        }
        "u8" => Made::from_shape(shape, data),
        "i8" => Made::from_shape(shape, &data.iter().map(|&x| x as i8).collect::<Vec<_>>()),
        "bool" => Made::from_shape(shape, &data.iter().map(|&x| x != 0).collect::<Vec<_>>()),
        other => return Err(format!("tract gets no {other} here")),
    };
    made.map_err(|error| format!("{error:#}"))
}

fn tensor(value: &tract_onnx::prelude::Tensor) -> Result<Tensor, String> {
    let (shape, found) = (value.shape().to_vec(), value.datum_type());
    let dtype = ["f32", "i64", "i32", "u8", "i8", "bool"].into_iter().find(|name| datum_type(name) == Ok(found));
    let dtype = dtype.ok_or_else(|| format!("an output is {found:?}"))?;
    Ok(Tensor { dtype: dtype.into(), shape, data: value.as_bytes().to_vec() })
}
