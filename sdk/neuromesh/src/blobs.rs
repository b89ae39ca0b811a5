//! Model files between peers: `/neuromesh/blob/1`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::StreamExt;
use libp2p::StreamProtocol;
use neuromesh_core::{
    Digest, Manifest, PeerId,
    model::MAX_MANIFEST_BYTES,
    wire::{BlobReply, BlobRequest, MAX_BLOB_BYTES, MAX_BLOB_CHUNK, MAX_BLOB_REQUEST_BYTES},
};
use tokio::sync::{Semaphore, broadcast};

use crate::{
    catalogue::{self, Installed},
    driver::Event,
    engine::JobError,
    frames, platform,
    storage::{BlobStore, BlobWriter, DocStore, StorageError},
    streams::{Control, Incoming, Stream},
    swarm::libp2p_id,
};

pub(crate) const PROTOCOL: StreamProtocol = StreamProtocol::new("/neuromesh/blob/1");
/// Chunks asked for before the first has come.
const WINDOW: usize = 8;
/// A peer that sends no byte for this long is given up.
const STALL: Duration = Duration::from_secs(20);
/// Streams served at once.
const MAX_SERVED: usize = 64;

/// Serves the files of `blobs` to whoever asks.
pub(crate) async fn serve(mut incoming: Incoming, blobs: Arc<dyn BlobStore>) {
    let slots = Arc::new(Semaphore::new(MAX_SERVED));
    while let Some((peer, stream)) = incoming.next().await {
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            tracing::debug!(%peer, "too many blob streams; one refused");
            continue;
        };
        let blobs = blobs.clone();
        platform::spawn(async move {
            if let Err(error) = serve_stream(stream, &*blobs).await {
                tracing::debug!(%peer, %error, "blob stream ended");
            }
            drop(slot);
        });
    }
}

async fn serve_stream(mut stream: Stream, blobs: &dyn BlobStore) -> std::io::Result<()> {
    loop {
        let read = frames::read(&mut stream, MAX_BLOB_REQUEST_BYTES);
        let Some(frame) = platform::timeout(STALL * 3, read).await.unwrap_or(Ok(None))? else { return Ok(()) };
        let request = BlobRequest::decode(&frame).map_err(std::io::Error::other)?;
        let len = (request.len as usize).min(MAX_BLOB_CHUNK);
        let reply = match blobs.has(&request.digest).await {
            Ok(Some(total)) if request.offset <= total => {
                let len = len.min(usize::try_from(total - request.offset).unwrap_or(usize::MAX));
                match blobs.read(&request.digest, request.offset, len).await {
                    Ok(bytes) => BlobReply::Data { total, bytes },
                    Err(_) => BlobReply::Missing,
                }
            }
            _ => BlobReply::Missing,
        };
        let frame = reply.encode().map_err(std::io::Error::other)?;
        let write = frames::write(&mut stream, &frame);
        platform::timeout(STALL, write).await.unwrap_or_else(|| Err(std::io::ErrorKind::TimedOut.into()))?;
    }
}

/// Fetches models; one fetch at a time per model, however many requests wait for it.
pub(crate) struct Fetcher {
    pub control: Control,
    pub blobs: Arc<dyn BlobStore>,
    pub docs: Arc<dyn DocStore>,
    pub events: broadcast::Sender<Event>,
    /// Bytes that the engine gives to a model.
    memory: Option<u64>,
    running: Mutex<BTreeMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
}

/// Why one source did not give a file.
enum SourceError {
    /// Another peer may do better.
    Peer(String),
    /// No peer can help.
    Own(StorageError),
}

impl Fetcher {
    pub(crate) fn new(
        control: Control,
        blobs: Arc<dyn BlobStore>,
        docs: Arc<dyn DocStore>,
        events: broadcast::Sender<Event>,
        memory: Option<u64>,
    ) -> Self {
        Self { control, blobs, docs, events, memory, running: Mutex::default() }
    }

    /// The model named by `digest`, its files in the store: at once when they are there, else from `sources` in turn.
    pub(crate) async fn ensure(&self, digest: Digest, sources: &[PeerId]) -> Result<(Installed, bool), JobError> {
        let lock = self.running.lock().unwrap_or_else(PoisonError::into_inner).entry(digest).or_default().clone();
        let held = lock.lock().await;
        let result = self.ensure_locked(digest, sources).await;
        drop(held);
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::strong_count(&lock) <= 2 {
            running.remove(&digest);
        }
        result
    }

    async fn ensure_locked(&self, digest: Digest, sources: &[PeerId]) -> Result<(Installed, bool), JobError> {
        let bytes = match self.local(&digest).await? {
            Some(bytes) => bytes,
            None => self.try_each(sources, |peer| self.fetch_manifest(peer, digest)).await?,
        };
        let manifest = Manifest::from_json(&bytes).map_err(|error| JobError::InvalidModel(error.to_string()))?;
        let total = manifest.size();
        let mut loaded = 0;
        let mut fetched = false;
        for file in &manifest.files {
            let there = self.blobs.has(&file.digest).await.map_err(|error| own(&error))?;
            if there != Some(file.size) {
                if let Some(limit) = self.memory
                    && needed(&manifest) > limit
                {
                    return Err(JobError::TooLarge { needed: needed(&manifest), limit });
                }
                fetched = true;
                let progress = Progress { fetcher: self, model: &manifest.name, digest, before: loaded, total };
                self.try_each(sources, |peer| self.fetch_file(peer, file.digest, file.size, &progress)).await?;
            }
            loaded += file.size;
        }
        let known = self.docs.load(vec!["models".into(), manifest.name.clone()]).await.map_err(|error| own(&error))?;
        let fresh = fetched || known.is_none();
        if fresh {
            catalogue::install(&*self.docs, &*self.blobs, &bytes)
                .await
                .map_err(|error| JobError::Failed(error.to_string()))?;
        }
        Ok((Installed { digest, manifest }, fresh))
    }

    async fn local(&self, digest: &Digest) -> Result<Option<Vec<u8>>, JobError> {
        match self.blobs.has(digest).await.map_err(|error| own(&error))? {
            Some(size) if size <= MAX_MANIFEST_BYTES as u64 => {
                let bytes = self.blobs.read(digest, 0, size as usize).await.map_err(|error| own(&error))?;
                Ok((Digest::of(&bytes) == *digest).then_some(bytes))
            }
            _ => Ok(None),
        }
    }

    async fn try_each<T, F>(&self, sources: &[PeerId], fetch: impl Fn(PeerId) -> F) -> Result<T, JobError>
    where
        F: Future<Output = Result<T, SourceError>>,
    {
        let mut last = "no connected peer holds it".to_owned();
        for peer in sources {
            match fetch(*peer).await {
                Ok(value) => return Ok(value),
                Err(SourceError::Own(error)) => return Err(own(&error)),
                Err(SourceError::Peer(error)) => {
                    tracing::info!(%peer, %error, "model file not had from this peer");
                    last = error;
                }
            }
        }
        Err(JobError::Missing(last))
    }

    async fn fetch_manifest(&self, peer: PeerId, digest: Digest) -> Result<Vec<u8>, SourceError> {
        let mut stream = self.open(peer).await?;
        let request = BlobRequest { digest, offset: 0, len: MAX_MANIFEST_BYTES as u32 };
        send(&mut stream, request).await?;
        let (_, bytes) = receive(&mut stream).await?;
        if Digest::of(&bytes) == digest {
            Ok(bytes)
        } else {
            Err(SourceError::Peer(format!("manifest {digest} from that peer does not match its digest")))
        }
    }

    async fn fetch_file(
        &self,
        peer: PeerId,
        digest: Digest,
        size: u64,
        progress: &Progress<'_>,
    ) -> Result<(), SourceError> {
        let mut stream = self.open(peer).await?;
        let mut writer = self.blobs.write(&digest, size).await.map_err(SourceError::Own)?;
        copy(&mut stream, &mut *writer, digest, size, progress).await?;
        writer.finish().await.map_err(|error| match error {
            StorageError::DigestMismatch { .. } => SourceError::Peer(error.to_string()),
            error => SourceError::Own(error),
        })
    }

    async fn open(&self, peer: PeerId) -> Result<Stream, SourceError> {
        let id = libp2p_id(&peer).ok_or_else(|| SourceError::Peer("not a peer".into()))?;
        let mut control = self.control.clone();
        platform::timeout(STALL, control.open_stream(id, PROTOCOL))
            .await
            .ok_or_else(|| SourceError::Peer("no answer".into()))?
            .map_err(|error| SourceError::Peer(error.to_string()))
    }
}

/// Bytes of memory without which a model cannot run, whatever its manifest says: a graph is nearly all weights.
fn needed(manifest: &Manifest) -> u64 {
    manifest.memory.max(manifest.file("graph").map_or(0, |graph| graph.size))
}

/// Reports how much of a model has come.
struct Progress<'a> {
    fetcher: &'a Fetcher,
    model: &'a str,
    digest: Digest,
    before: u64,
    total: u64,
}

impl Progress<'_> {
    fn report(&self, of_file: u64) {
        let _ = self.fetcher.events.send(Event::Progress {
            model: self.model.to_owned(),
            digest: self.digest,
            loaded: self.before + of_file,
            total: self.total,
        });
    }
}

/// Asks for the file chunk by chunk with [`WINDOW`] requests under way, and writes what comes.
async fn copy(
    stream: &mut Stream,
    writer: &mut dyn BlobWriter,
    digest: Digest,
    size: u64,
    progress: &Progress<'_>,
) -> Result<(), SourceError> {
    let chunk = MAX_BLOB_CHUNK as u64;
    let (mut asked, mut got) = (0, 0);
    progress.report(0);
    while got < size {
        while asked < size && asked < got + chunk * WINDOW as u64 {
            let len = chunk.min(size - asked);
            send(stream, BlobRequest { digest, offset: asked, len: len as u32 }).await?;
            asked += len;
        }
        let (total, bytes) = receive(stream).await?;
        if total != size || bytes.len() as u64 != chunk.min(size - got) {
            return Err(SourceError::Peer(format!("file {digest} has {total} bytes there, {size} were expected")));
        }
        got += bytes.len() as u64;
        writer.append(bytes).await.map_err(SourceError::Own)?;
        progress.report(got);
    }
    Ok(())
}

async fn send(stream: &mut Stream, request: BlobRequest) -> Result<(), SourceError> {
    let frame = request.encode();
    let write = frames::write(stream, &frame);
    let written = platform::timeout(STALL, write).await.unwrap_or_else(|| Err(std::io::ErrorKind::TimedOut.into()));
    written.map_err(|error| SourceError::Peer(error.to_string()))
}

async fn receive(stream: &mut Stream) -> Result<(u64, Vec<u8>), SourceError> {
    let read = frames::read(stream, MAX_BLOB_BYTES);
    let frame = platform::timeout(STALL, read).await.unwrap_or_else(|| Err(std::io::ErrorKind::TimedOut.into()));
    let frame = frame.map_err(|error| SourceError::Peer(error.to_string()))?;
    let frame = frame.ok_or_else(|| SourceError::Peer("the stream ended early".into()))?;
    match BlobReply::decode(&frame).map_err(|error| SourceError::Peer(error.to_string()))? {
        BlobReply::Data { total, bytes } => Ok((total, bytes)),
        BlobReply::Missing => Err(SourceError::Peer("that peer no longer has the file".into())),
    }
}

fn own(error: &StorageError) -> JobError {
    match error {
        StorageError::Full { .. } => JobError::StorageFull(error.to_string()),
        _ => JobError::Missing(error.to_string()),
    }
}
