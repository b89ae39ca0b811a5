//! A peer of the SDK for `make bench-webrtc` to measure against: takes streams, and throws bytes away or gives them.
//!
//! ```text
//!   bench-peer LISTEN...          prints {"id", "addresses"} as one line; ends with its standard input
//!   bench-peer --dial ADDRESS MIB measures against the first: prints MiB/s up and down, and what each 100 ms carried
//! ```

use std::{
    error::Error,
    io::Read,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{AsyncReadExt, AsyncWriteExt};
use neuromesh::{
    Accepted, Config, Event, Mesh, Multiaddr, Parts, PeerId, Stream, Tier,
    engine::{LocalEngine, LocalEngineConfig},
    platform,
    storage::{MemoryBlobStore, MemoryDocStore},
};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Gives back what comes.
const ECHO: &str = "/bench-echo/1";
/// Takes all, then answers with one byte.
const SINK: &str = "/bench-sink/1";
/// Takes all, then answers with how much each [`STEP`] since the first byte carried, as 32-bit numbers (little-endian).
const PACE: &str = "/bench-pace/1";
/// Reads how much is wanted, as a 32-bit number (little-endian), and gives so many bytes.
const SOURCE: &str = "/bench-source/1";
const PIECE: usize = 64 << 10;
const STEP: Duration = Duration::from_millis(100);
/// Those that are told apart; the last one has the rest.
const STEPS: usize = 20;
const MIB: usize = 1 << 20;

#[tokio::main]
async fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--dial", address, mib] => measure(address.parse()?, mib.parse::<usize>()? * MIB).await,
        _ => serve(args.iter().map(|address| address.parse()).collect::<Result<_, _>>()?).await,
    }
}

async fn join(config: Config) -> Outcome<Mesh> {
    let (blobs, docs) = (Arc::new(MemoryBlobStore::default()), Arc::new(MemoryDocStore::default()));
    let engine = Arc::new(LocalEngine::new(blobs.clone(), None, &LocalEngineConfig::default()));
    Ok(Mesh::join(config, Parts { engine, blobs, docs }).await?)
}

async fn serve(listen: Vec<Multiaddr>) -> Outcome<()> {
    let mesh = join(Config { listen, ..Config::new(platform::random_seed(), Tier::Edge) }).await?;
    take(mesh.accept(ECHO)?, echo);
    take(mesh.accept(SINK)?, sink);
    take(mesh.accept(PACE)?, pace);
    take(mesh.accept(SOURCE)?, source);
    let addresses: Vec<_> = mesh.addresses().await?.iter().map(ToString::to_string).collect();
    println!("{}", serde_json::json!({ "id": mesh.id().to_string(), "addresses": addresses }));
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    mesh.close().await;
    Ok(())
}

fn take<F>(mut accepted: Accepted, answer: impl Fn(Stream) -> F + Send + 'static)
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    tokio::spawn(async move {
        while let Some((_, stream)) = accepted.next().await {
            let answered = answer(stream);
            tokio::spawn(async move {
                if let Err(error) = answered.await {
                    eprintln!("a stream ended: {error}");
                }
            });
        }
    });
}

async fn echo(mut stream: Stream) -> std::io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return stream.close().await,
            count => stream.write_all(&buffer[..count]).await?,
        }
    }
}

async fn sink(mut stream: Stream) -> std::io::Result<()> {
    drain(&mut stream).await?;
    stream.write_all(&[0]).await?;
    stream.close().await
}

async fn pace(mut stream: Stream) -> std::io::Result<()> {
    let steps = drain(&mut stream).await?;
    let bytes: Vec<u8> = steps.iter().flat_map(|step| u32::try_from(*step).unwrap_or(u32::MAX).to_le_bytes()).collect();
    stream.write_all(&bytes).await?;
    stream.close().await
}

async fn source(mut stream: Stream) -> std::io::Result<()> {
    let mut wanted = [0; 4];
    stream.read_exact(&mut wanted).await?;
    give(&mut stream, u32::from_le_bytes(wanted) as usize).await
}

/// Reads until the end; what each step since the first byte carried.
async fn drain(stream: &mut Stream) -> std::io::Result<[usize; STEPS]> {
    let (mut buffer, mut steps, mut began) = (vec![0; PIECE], [0; STEPS], None);
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(steps);
        }
        let began: &Instant = began.get_or_insert_with(Instant::now);
        let step = began.elapsed().as_millis() / STEP.as_millis();
        steps[usize::try_from(step).unwrap_or(STEPS).min(STEPS - 1)] += count;
    }
}

async fn give(stream: &mut Stream, mut left: usize) -> std::io::Result<()> {
    let piece = vec![0; PIECE];
    while left > 0 {
        let count = left.min(PIECE);
        stream.write_all(&piece[..count]).await?;
        left -= count;
    }
    stream.close().await
}

async fn measure(address: Multiaddr, size: usize) -> Outcome<()> {
    let mesh = join(Config::new(platform::random_seed(), Tier::Device)).await?;
    let mut events = mesh.events();
    mesh.dial(address).await?;
    let peer: PeerId = loop {
        match events.recv().await? {
            Event::Peer { peer } if peer.connected => break peer.id,
            _ => {}
        }
    };
    for protocol in [PACE, SOURCE] {
        let mut stream = mesh.open(peer, protocol).await?;
        let began = Instant::now();
        let steps = if protocol == PACE {
            give(&mut stream, size).await?;
            let mut told = Vec::new();
            stream.read_to_end(&mut told).await?;
            told.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes) as usize).collect()
        } else {
            stream.write_all(&u32::try_from(size)?.to_le_bytes()).await?;
            drain(&mut stream).await?.to_vec()
        };
        let rate = size as f64 / MIB as f64 / began.elapsed().as_secs_f64();
        let mib: Vec<_> = steps.iter().map(|step| format!("{:.1}", *step as f64 / MIB as f64)).collect();
        println!("{protocol}: {rate:.1} MiB/s; MiB per 100 ms: {}", mib.join(" "));
    }
    mesh.close().await;
    Ok(())
}
