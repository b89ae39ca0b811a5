//! `neuromesh up`.

use std::process;

use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Context, Failure};
use crate::node::Node;

/// The exit status after a second Ctrl-C: 128 and the signal's number.
const INTERRUPTED: i32 = 130;

pub(super) async fn execute(context: &Context) -> Result<(), Failure> {
    let mut stop = Stop::new()?;
    let started = tokio::select! {
        started = Node::start(&context.data, &context.config.node) => started.map_err(Failure::other)?,
        () = stop.asked() => return Ok(()),
    };
    let addresses: Vec<_> = started.addresses().await.iter().map(ToString::to_string).collect();
    let issuers: Vec<_> =
        context.config.node.room_issuers.iter().map(|issuer| issuer.peer(started.id()).to_string()).collect();
    let ready = json!({
        "event": "ready", "http": started.url(), "peerId": started.id(), "addresses": addresses,
        "threads": context.config.node.threads, "roomIssuers": issuers,
    });
    context.out.print(&ready, || {
        let mut lines = vec![
            format!("Neuromesh {}, tier {}", env!("CARGO_PKG_VERSION"), context.config.node.tier),
            format!("  peer id   {}", started.id()),
            format!("  page      {}/", started.url()),
            format!("  threads   {}", context.config.node.threads),
        ];
        lines.extend(addresses.iter().map(|address| format!("  listens   {address}")));
        lines.extend(issuers.iter().map(|issuer| format!("  rooms     take tokens of {issuer}")));
        lines.push(format!("  data      {}", context.data.path().display()));
        lines.push("Ctrl-C stops it.".into());
        lines.join("\n")
    });
    stop.asked().await;
    tracing::info!("stopping; requests under way are finished first");
    let hurry = tokio::spawn(async move {
        stop.asked().await;
        process::exit(INTERRUPTED);
    });
    started.stop().await;
    hurry.abort();
    context.out.print(&json!({"event": "stopped"}), || "Stopped.".into());
    Ok(())
}

/// Ctrl-C or a service manager's request to end.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::other(format!("signals: {error}")));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
