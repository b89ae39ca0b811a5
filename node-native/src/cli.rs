//! The command line.

mod inspect;
mod models;
mod out;
mod peers;
mod plugins;
mod rooms;
mod run;
mod up;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::{
    client::{Client, ClientError},
    config::{Config, GlobalArgs, NodeArgs},
    data::DataDir,
    identity::Identity,
    logs,
};
use out::{Failure, Out};

/// Run neural models where it is best: here, on another node, or in a browser tab.
#[derive(Debug, Parser)]
#[command(
    name = "neuromesh",
    version,
    about,
    propagate_version = true,
    subcommand_required = true,
    max_term_width = 110
)]
pub struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a node and keep it running
    Up(NodeArgs),
    /// Run a model on some input and print its answer
    Run(run::RunArgs),
    /// Add, list or remove models
    #[command(subcommand)]
    Models(models::ModelsCommand),
    /// Show what a model takes, gives and costs, and whether it can be run
    Inspect(inspect::InspectArgs),
    /// List the peers that a running node knows
    Peers(NodeUrl),
    /// Print this node's peer id
    Id(NodeUrl),
    /// Make tokens for rooms, or explain one
    #[command(subcommand)]
    Rooms(rooms::RoomsCommand),
    /// Work on plugins
    #[command(subcommand)]
    Plugins(plugins::PluginsCommand),
}

/// Which node to talk to.
#[derive(Args, Clone, Debug, Default)]
pub struct NodeUrl {
    /// Ask the node at this address instead of the one on this machine's data folder
    #[arg(long, env = "NEUROMESH_NODE", value_name = "http://HOST:PORT")]
    node: Option<String>,
}

impl NodeUrl {
    /// The node to talk to: the one named, else the one that runs on `data`.
    async fn client(&self, data: &DataDir) -> Result<Option<Client>, ClientError> {
        match &self.node {
            Some(url) => Client::public(url).map(Some),
            None => Ok(Client::local(data).await),
        }
    }
}

/// What a node tells unless told otherwise; the documents' machinery warns of connections that simply ended.
const NODE_LOGS: &str = "info,libp2p_swarm=warn,samod_core=error";
/// What other commands tell.
const COMMAND_LOGS: &str = "warn,samod_core=error";

/// What a command works with.
struct Context {
    config: Config,
    data: DataDir,
    out: Out,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let out = Out { json: cli.global.json };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return out.fail(&Failure::other(format!("no threads: {error}"))),
    };
    let result = runtime.block_on(execute(cli, out));
    // Whatever still blocks a thread must not hold up the end of the process.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => out.fail(&failure),
    }
}

async fn execute(cli: Cli, out: Out) -> Result<(), Failure> {
    let node_args = match &cli.command {
        Command::Up(args) => args.clone(),
        Command::Run(args) => NodeArgs { peer: args.peer.clone(), ..NodeArgs::default() },
        _ => NodeArgs::default(),
    };
    let config = Config::resolve(&cli.global, &node_args).map_err(Failure::other)?;
    let usual = if matches!(cli.command, Command::Up(_)) { NODE_LOGS } else { COMMAND_LOGS };
    logs::start(config.log_level.as_deref().unwrap_or(usual), config.log_format).map_err(Failure::other)?;
    if let Command::Plugins(command) = cli.command {
        return plugins::execute(&command, out);
    }
    let data = DataDir::create(&config.data).map_err(Failure::other)?;
    let context = Context { config, data, out };
    match cli.command {
        Command::Up(_) => up::execute(&context).await,
        Command::Run(args) => run::execute(&context, args).await,
        Command::Models(command) => models::execute(&context, command).await,
        Command::Inspect(args) => inspect::execute(&context, args).await,
        Command::Peers(node) => peers::execute(&context, &node).await,
        Command::Rooms(command) => rooms::execute(&context, &command),
        Command::Id(node) => id(&context, &node).await,
        Command::Plugins(_) => unreachable!("handled above: it needs no data folder"),
    }
}

async fn id(context: &Context, node: &NodeUrl) -> Result<(), Failure> {
    let id = match &node.node {
        Some(url) => {
            let document = Client::public(url)?.get("/.well-known/neuromesh").await?;
            document["peerId"].as_str().unwrap_or_default().to_owned()
        }
        None => Identity::open(&context.data).map_err(Failure::other)?.peer().to_string(),
    };
    context.out.print(&serde_json::json!({"peerId": id}), || id.clone());
    Ok(())
}
