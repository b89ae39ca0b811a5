//! `neuromesh models`.

use std::path::PathBuf;

use clap::Subcommand;
use neuromesh::catalogue;
use serde_json::{Value, json};

use super::{Context, Failure, NodeUrl};
use crate::{client::Client, config::ByteSize, data::Stores, models::Import};

#[derive(Debug, Subcommand)]
pub(super) enum ModelsCommand {
    /// Add a model to this node: a folder with manifest.json, or an ONNX file
    Add {
        /// The folder or the .onnx file
        #[arg(value_name = "DIR|FILE.onnx")]
        path: PathBuf,
        /// What callers will say, instead of the name in the manifest or of the file
        #[arg(long)]
        name: Option<String>,
    },
    /// List the models of this node and, where it runs, of its peers
    List(NodeUrl),
    /// Remove a model from this node, and the files that no other model uses
    Rm {
        /// The model
        name: String,
    },
}

pub(super) async fn execute(context: &Context, command: ModelsCommand) -> Result<(), Failure> {
    match command {
        ModelsCommand::Add { path, name } => add(context, path, name).await,
        ModelsCommand::List(node) => list(context, &node).await,
        ModelsCommand::Rm { name } => remove(context, &name).await,
    }
}

async fn add(context: &Context, path: PathBuf, name: Option<String>) -> Result<(), Failure> {
    let read = tokio::task::spawn_blocking(move || Import::read(&path, name.as_deref())).await;
    let import = read.map_err(Failure::other)??;
    let (name, size) = (import.manifest.name.clone(), import.manifest.size());
    let digest = match Client::local(&context.data).await {
        Some(node) => import.into_node(&node).await?,
        None => import.into_stores(&open(context)?).await?,
    };
    context.out.print(&json!({"name": name, "digest": digest, "size": size}), || {
        format!("added {name}, {}, digest {digest}", ByteSize(size))
    });
    Ok(())
}

async fn list(context: &Context, node: &NodeUrl) -> Result<(), Failure> {
    let answer = match node.client(&context.data).await? {
        Some(client) => client.get("/v1/models").await?,
        None => {
            let stores = open(context)?;
            let installed = catalogue::list(&*stores.docs, &*stores.blobs).await?;
            let line = |model: catalogue::Installed| {
                json!({
                    "name": model.manifest.name, "digest": model.digest, "size": model.manifest.size(),
                    "local": true, "loaded": false, "holders": [],
                })
            };
            json!({"models": installed.into_iter().map(line).collect::<Vec<_>>()})
        }
    };
    context.out.print(&answer, || table(&answer));
    Ok(())
}

async fn remove(context: &Context, name: &str) -> Result<(), Failure> {
    let removed = match Client::local(&context.data).await {
        Some(node) => {
            if !neuromesh::core::model::is_model_name(name) {
                false
            } else {
                node.delete(&format!("/v1/models/{name}")).await?["removed"] == true
            }
        }
        None => {
            let stores = open(context)?;
            catalogue::remove(&*stores.docs, &*stores.blobs, name).await?
        }
    };
    if !removed {
        return Err(Failure::new(
            "ModelNotFound",
            format!("this node has no model {name:?}; see `neuromesh models list`"),
        ));
    }
    context.out.print(&json!({"name": name, "removed": true}), || format!("removed {name}"));
    Ok(())
}

fn open(context: &Context) -> Result<Stores, Failure> {
    context.data.open().map_err(|error| Failure::new("StorageError", error))
}

fn table(answer: &Value) -> String {
    let models = answer["models"].as_array().map(Vec::as_slice).unwrap_or_default();
    if models.is_empty() {
        return "no models yet; add one with `neuromesh models add DIR`".into();
    }
    let line = |model: &Value| {
        let place = match (model["local"] == true, model["loaded"] == true) {
            (true, true) => "here, loaded",
            (true, false) => "here",
            _ => "elsewhere",
        };
        let holders = model["holders"].as_array().map_or(0, Vec::len);
        format!(
            "{:<28}  {:>10}  {:<12}  on {holders} other peers  {}",
            model["name"].as_str().unwrap_or("-"),
            ByteSize(model["size"].as_u64().unwrap_or_default()).to_string(),
            place,
            model["digest"].as_str().and_then(|digest| digest.get(..12)).unwrap_or("-"),
        )
    };
    models.iter().map(line).collect::<Vec<_>>().join("\n")
}
