//! `neuromesh peers`.

use serde_json::Value;

use super::{Context, Failure, NodeUrl};

pub(super) async fn execute(context: &Context, node: &NodeUrl) -> Result<(), Failure> {
    let Some(client) = node.client(&context.data).await? else {
        let folder = context.data.path().display();
        let text =
            format!("no node runs on data folder {folder}; start one with `neuromesh up`, or name one with --node URL");
        return Err(Failure::new("NoNode", text));
    };
    let answer = client.get("/v1/peers").await?;
    // Only the owner's own node tells more of itself.
    let own = if node.node.is_none() { client.get("/v1/status").await.ok() } else { None };
    context.out.print(&answer, || match &own {
        Some(own) => format!("{}\n{}", this_node(own), table(&answer)),
        None => table(&answer),
    });
    Ok(())
}

fn this_node(own: &Value) -> String {
    let text = |key: &str| own[key].as_str().unwrap_or("-").to_owned();
    let threads = own["threads"].as_u64().unwrap_or(1);
    format!(
        "this node: {}, {}, {threads} {}",
        text("peerId"),
        text("tier"),
        if threads == 1 { "thread" } else { "threads" }
    )
}

fn table(answer: &Value) -> String {
    let peers = answer["peers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if peers.is_empty() {
        return "no peers yet; another node joins with `neuromesh up --peer ADDRESS`".into();
    }
    let line = |peer: &Value| {
        let rtt = peer["rttMs"].as_f64().map_or_else(|| "-".into(), |rtt| format!("{rtt:.1} ms"));
        let state = if peer["connected"] == true { peer["path"].as_str().unwrap_or("-") } else { "away" };
        let models = peer["models"].as_array().map(Vec::as_slice).unwrap_or_default();
        let models: Vec<_> = models.iter().filter_map(Value::as_str).collect();
        format!(
            "{}  {:<6}  {:<8}  {:>9}  {}",
            peer["id"].as_str().unwrap_or("-"),
            peer["tier"].as_str().unwrap_or("-"),
            state,
            rtt,
            models.join(" ")
        )
    };
    peers.iter().map(line).collect::<Vec<_>>().join("\n")
}
