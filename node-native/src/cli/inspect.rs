//! `neuromesh inspect`.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use clap::Args;
use neuromesh::{
    Digest, Manifest, catalogue,
    infer::{
        Dim, Limits, Loader, Options,
        inspect::{self, Inspection},
    },
};
use serde_json::{Value, json};

use super::{Context, Failure};
use crate::{client::Client, config::ByteSize, data::DataDir};

/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// Why `neuromesh inspect` failed although the model could be read.
const REFUSED: &str = "ModelInvalid";

#[derive(Args, Clone, Debug)]
pub(super) struct InspectArgs {
    /// An .onnx file, or the name of a model of this node
    #[arg(value_name = "FILE.onnx|MODEL")]
    model: String,
    /// The sizes of an input, where the model leaves them free; may be repeated
    #[arg(long = "input", value_name = "NAME=1x128", value_parser = sizes)]
    inputs: Vec<(String, Vec<usize>)>,
    /// Also run it once, on zeros, and measure the memory
    #[arg(long)]
    run: bool,
    /// What the model may use: weights and activations
    #[arg(long, value_name = "SIZE", default_value = "2GiB")]
    memory: ByteSize,
}

fn sizes(text: &str) -> Result<(String, Vec<usize>), String> {
    let wrong = || "expected a name and sizes, like tokens=1x128; a single number has none: scale=".to_owned();
    let (name, sizes) = text.rsplit_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(wrong)?;
    let sizes = sizes.split('x').filter(|size| !size.is_empty());
    let sizes = sizes.map(|size| size.trim().parse()).collect::<Result<_, _>>().map_err(|_| wrong())?;
    Ok((name.to_owned(), sizes))
}

pub(super) async fn execute(context: &Context, args: InspectArgs) -> Result<(), Failure> {
    let path = match Path::new(&args.model) {
        path if path.is_file() => path.to_owned(),
        path if path.extension().is_some() && path.components().count() > 1 => {
            return Err(Failure::new(REFUSED, format!("{}: there is no such file", path.display())));
        }
        _ => stored(context, &args.model).await?,
    };
    let out = context.out;
    let name = args.model.clone();
    let looked = tokio::task::spawn_blocking(move || look(&path, &args)).await.map_err(Failure::other)?;
    let (found, measured) = looked?;
    out.print(&document(&name, &found, measured.as_ref().and_then(|run| run.as_ref().ok())), || {
        text(&name, &found, measured.as_ref())
    });
    match (&found.refusal, measured) {
        (Some(reason), _) => Err(Failure::new(REFUSED, format!("{name} cannot be run: {reason}")).told()),
        (None, Some(Err(reason))) => {
            Err(Failure::new("RunFailed", format!("{name}: the run on zeros failed: {reason}")))
        }
        _ => Ok(()),
    }
}

/// Bytes needed and held by the run, or why it failed.
type Measured = Result<(u64, u64), String>;

fn look(path: &Path, args: &InspectArgs) -> Result<(Inspection, Option<Measured>), Failure> {
    let sizes: BTreeMap<String, Vec<usize>> = args.inputs.iter().cloned().collect();
    if sizes.len() < args.inputs.len() {
        return Err(Failure::other("the sizes of an input are given twice"));
    }
    let invalid = |error| Failure::new(REFUSED, format!("{}: {error}", path.display()));
    let found = inspect::inspect(read(path, args.memory.0)?, &sizes).map_err(invalid)?;
    let measured = (args.run && found.refusal.is_none()).then(|| {
        let model = read(path, args.memory.0).map_err(|failure| format!("{failure:?}"))?;
        let model = model.finish().map_err(|error| error.to_string())?;
        inspect::measure(model, &sizes).map_err(|error| error.to_string())
    });
    Ok((found, measured))
}

/// The file, and those beside it that hold its weights.
fn read(path: &Path, memory: u64) -> Result<Loader, Failure> {
    let failed =
        |path: &Path, error: &dyn std::fmt::Display| Failure::new(REFUSED, format!("{}: {error}", path.display()));
    let size = |path: &Path| path.metadata().map(|facts| facts.len()).map_err(|error| failed(path, &error));
    let limits = Limits { memory, ..Limits::default() };
    let mut loader = Loader::new(Options { limits, ..Options::default() }, size(path)?);
    let mut pour = |loader: &mut Loader, path: &Path| -> Result<(), Failure> {
        let mut file = File::open(path).map_err(|error| failed(path, &error))?;
        let mut chunk = vec![0; CHUNK];
        loop {
            match file.read(&mut chunk).map_err(|error| failed(path, &error))? {
                0 => return Ok(()),
                count => loader.push(&chunk[..count]).map_err(|error| failed(path, &error))?,
            }
        }
    };
    pour(&mut loader, path)?;
    for name in loader.outside().map_err(|error| failed(path, &error))? {
        // A name that leads elsewhere is none of the model's.
        if Path::new(&name).components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
            return Err(failed(path, &format!("its weights are said to be in {name:?}, which is not beside it")));
        }
        let beside = path.with_file_name(&name);
        if beside.is_file() {
            loader.begin(&name, size(&beside)?).map_err(|error| failed(path, &error))?;
            pour(&mut loader, &beside)?;
        }
    }
    Ok(loader)
}

/// The graph of a model of this node, which may be running.
async fn stored(context: &Context, name: &str) -> Result<PathBuf, Failure> {
    let missing = || {
        Failure::new(
            "ModelNotFound",
            format!("there is no file {name:?}, and no model of that name; see `neuromesh models list`"),
        )
    };
    let manifest = match Client::local(&context.data).await {
        // The node has its store open: it tells which manifest, whose bytes are a file like the model's own.
        Some(node) => {
            let answer = node.get("/v1/models").await?;
            let models = answer["models"].as_array().map(Vec::as_slice).unwrap_or_default();
            let model =
                models.iter().find(|model| model["name"] == name && model["local"] == true).ok_or_else(missing)?;
            let digest = model["digest"].as_str().and_then(|text| text.parse::<Digest>().ok()).ok_or_else(missing)?;
            let path = blob(&context.data, &digest);
            let bytes = tokio::fs::read(&path)
                .await
                .map_err(|error| Failure::new("StorageError", format!("{}: {error}", path.display())))?;
            Manifest::from_json(&bytes).map_err(|error| Failure::new(REFUSED, error))?
        }
        None => {
            let stores = context.data.open().map_err(|error| Failure::new("StorageError", error))?;
            let installed = catalogue::list(&*stores.docs, &*stores.blobs).await?;
            installed.into_iter().find(|model| model.manifest.name == name).ok_or_else(missing)?.manifest
        }
    };
    let graph = manifest.file("graph").ok_or_else(|| Failure::new(REFUSED, format!("model {name} has no graph")))?;
    Ok(blob(&context.data, &graph.digest))
}

fn blob(data: &DataDir, digest: &Digest) -> PathBuf {
    let name = digest.to_string();
    data.path().join("blobs").join(&name[..2]).join(&name[2..])
}

fn shape(dims: Option<&Vec<Dim>>) -> Value {
    let size = |dim: &Dim| match dim {
        Dim::Fixed(size) => json!(size),
        other => json!(other.to_string()),
    };
    dims.map_or(Value::Null, |dims| dims.iter().map(size).collect())
}

fn document(name: &str, found: &Inspection, measured: Option<&(u64, u64)>) -> Value {
    let specs = |list: &[neuromesh::infer::IoSpec]| {
        let spec = |spec: &neuromesh::infer::IoSpec| {
            json!({
                "name": spec.name, "type": spec.data_type.to_string(), "shape": shape(spec.shape.as_ref()),
                "optional": spec.optional,
            })
        };
        list.iter().map(spec).collect::<Value>()
    };
    let operator = |operator: &inspect::Operator| json!({"name": operator.name, "count": operator.count, "supported": operator.supported});
    json!({
        "model": name,
        "runs": found.refusal.is_none(),
        "refusal": found.refusal.as_ref().map(ToString::to_string),
        "inputs": specs(&found.inputs),
        "outputs": specs(&found.outputs),
        "operatorSets": found.operator_sets.iter().map(|(domain, version)| json!({"domain": domain, "version": version})).collect::<Value>(),
        "operators": found.operators.iter().map(operator).collect::<Value>(),
        "functions": found.functions,
        "parameters": found.parameters,
        "weightBytes": found.weight_bytes,
        "steps": found.steps.iter().map(|(name, count)| json!({"name": name, "count": count})).collect::<Value>(),
        "freeInputs": found.free,
        "multiplyAdds": found.estimate.and_then(|estimate| estimate.multiply_adds),
        "estimatedMemory": found.estimate.map(|estimate| estimate.memory),
        "neededMemory": measured.map(|(needed, _)| needed),
        "peakMemory": measured.map(|(_, peak)| peak),
    })
}

fn text(name: &str, found: &Inspection, measured: Option<&Measured>) -> String {
    let mut text = String::new();
    let sets: Vec<String> = (found.operator_sets.iter())
        .map(|(domain, version)| format!("{} {version}", if domain.is_empty() { "ai.onnx" } else { domain }))
        .collect();
    let _ = writeln!(text, "{name}: operator sets {}", sets.join(", "));
    for (what, list) in [("input", &found.inputs), ("output", &found.outputs)] {
        for spec in list {
            let dims = spec.shape.as_ref().map(|dims| dims.iter().map(Dim::to_string).collect::<Vec<_>>().join(", "));
            let dims = dims.map_or_else(|| "of any shape".into(), |dims| format!("[{dims}]"));
            let optional = if spec.optional { ", has a value of its own" } else { "" };
            let _ = writeln!(text, "  {what:<6}  {}  {} {dims}{optional}", spec.name, spec.data_type);
        }
    }
    let _ = writeln!(text, "weights: {} numbers, {}", found.parameters, ByteSize(found.weight_bytes));
    let list = |all: Vec<String>| all.join(", ");
    let known = found.operators.iter().map(|operator| {
        let mark = if operator.supported { "" } else { " (NOT SUPPORTED)" };
        format!("{} {}{mark}", operator.count, operator.name)
    });
    let _ = writeln!(text, "operators in the file: {}", list(known.collect()));
    if !found.functions.is_empty() {
        let _ = writeln!(text, "functions in the file: {}", found.functions.join(", "));
    }
    if !found.steps.is_empty() {
        let steps = found.steps.iter().map(|(name, count)| format!("{count} {name}"));
        let _ = writeln!(text, "steps after folding and fusing (* made by fusing): {}", list(steps.collect()));
    }
    match &found.estimate {
        Some(estimate) => {
            let work = estimate.multiply_adds.map_or_else(|| "unknown".into(), |count| count.to_string());
            let _ = writeln!(text, "one run: {work} multiply-adds, at most {}", ByteSize(estimate.memory));
        }
        None if !found.free.is_empty() => {
            let hint = found.free.iter().map(|name| format!("--input {name}=1x..."));
            let _ = writeln!(
                text,
                "one run: unknown; say how large the inputs are: {}",
                hint.collect::<Vec<_>>().join(" ")
            );
        }
        None if found.refusal.is_none() => {
            let _ = writeln!(text, "one run: some sizes depend on the data; --run measures");
        }
        None => {}
    }
    if let Some(Ok((needed, peak))) = measured {
        let _ = writeln!(text, "measured on zeros: {} needed, {} held", ByteSize(*needed), ByteSize(*peak));
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_inputs_are_read() {
        assert_eq!(sizes("tokens=1x128"), Ok(("tokens".into(), vec![1, 128])));
        assert_eq!(sizes("a=b=3"), Ok(("a=b".into(), vec![3])));
        assert_eq!(sizes("scale="), Ok(("scale".into(), vec![])));
        for wrong in ["tokens", "=1x2", "x=1x-2", "x=axb", "x=99999999999999999999999"] {
            assert!(sizes(wrong).is_err(), "{wrong}");
        }
    }
}
