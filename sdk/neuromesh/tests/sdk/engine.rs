//! The engine in this process: cancelled between two operators, exact or fast as asked, and learning its own speed.

use std::{collections::BTreeMap, sync::Arc};

use neuromesh::{
    Digest, Manifest, Numerics, Payload, Pipeline, Tier,
    core::{ShapeClass, model::ModelFile, receipt::Exactness},
    engine::{Cancel, Conduct, Engine, Job, JobDone, JobError, LocalEngine, LocalEngineConfig, Prepared},
    infer::{Run, RunOptions, kernels::threads::Threads},
    platform,
    storage::{BlobStore, DocStore, MemoryBlobStore, MemoryDocStore},
};
use serde_json::json;

use crate::{
    models::{DOUBLE, SLOW},
    peers::{Stores, add_model, join, request, square, until, vector},
};

fn slow() -> Prepared {
    let files = BTreeMap::from([("graph".to_owned(), (Digest::of(SLOW), SLOW.to_vec()))]);
    Prepared::new(&Pipeline::Tensors, files, 1 << 30).unwrap()
}

/// Calls back before each operator, and counts what it is told.
struct Watched<F> {
    options: RunOptions,
    between: F,
    ends: usize,
}

impl<F: FnMut(&mut Run) + Send> Conduct for Watched<F> {
    fn begin(&mut self) -> RunOptions {
        self.options.clone()
    }

    fn between(&mut self, run: &mut Run) {
        (self.between)(run);
    }

    fn end(&mut self) {
        self.ends += 1;
    }
}

fn watched<F: FnMut(&mut Run) + Send>(threads: Threads, between: F) -> Watched<F> {
    Watched { options: RunOptions { threads: Some(threads), ..RunOptions::default() }, between, ends: 0 }
}

/// A cancellation that comes between two operators, or while one runs, ends the run before the next one.
#[test]
fn a_cancelled_run_begins_no_further_operator() {
    let prepared = slow();
    for threads in [Threads::single(), Threads::new(2)] {
        for last in [0, 1, 7] {
            let cancel = Cancel::new();
            let (mut asked, mut done) = (0, 0);
            let mut conduct = watched(threads.clone(), |run| {
                asked += 1;
                done = run.progress().0;
                if done == last {
                    cancel.cancel();
                }
            });
            let result = prepared.run(square(8), None, &cancel, &mut conduct);
            assert_eq!(result, Err(JobError::Cancelled));
            assert_eq!(conduct.ends, 1);
            assert_eq!((asked, done), (last + 1, last), "operators that were to begin, and those that are done");
        }
    }
}

#[test]
fn helpers_may_leave_between_two_operators() {
    let prepared = slow();
    let run = |threads: Threads, leave: bool| {
        let mut conduct = watched(threads, |run| {
            if leave && run.progress().0 == 3 {
                run.set_threads(Threads::single());
            }
        });
        prepared.run(square(64), None, &Cancel::new(), &mut conduct).unwrap()
    };
    let alone = run(Threads::single(), false);
    assert_eq!(alone.1, Exactness::Exact);
    assert_eq!(run(Threads::new(3), true), alone);
    assert_eq!(run(Threads::new(3), false), alone);
}

/// What an engine is made of, with one model in its store.
struct Bench {
    blobs: Arc<dyn BlobStore>,
    docs: Arc<dyn DocStore>,
    manifest: Manifest,
}

impl Bench {
    async fn new(onnx: &[u8]) -> Self {
        let (digest, size) = (Digest::of(onnx), onnx.len() as u64);
        let blobs: Arc<dyn BlobStore> = Arc::new(MemoryBlobStore::default());
        let mut writer = blobs.write(&digest, size).await.unwrap();
        writer.append(onnx.to_vec()).await.unwrap();
        writer.finish().await.unwrap();
        let manifest = Manifest {
            format: 1,
            name: "m".into(),
            pipeline: Pipeline::Tensors,
            files: vec![ModelFile { role: "graph".into(), digest, size }],
            memory: 1 << 20,
            license: String::new(),
        };
        Self { blobs, docs: Arc::new(MemoryDocStore::default()), manifest }
    }

    async fn engine(&self, threads: usize, machine: &str) -> LocalEngine {
        let config = LocalEngineConfig { threads, ..LocalEngineConfig::default() };
        LocalEngine::new(self.blobs.clone(), None, &config).remembering(self.docs.clone(), machine).await
    }

    fn job(&self, numerics: Numerics, input: Payload) -> Job {
        Job { model: self.manifest.digest(), manifest: self.manifest.clone(), numerics, input, parts: None }
    }

    async fn run(&self, engine: &LocalEngine, numerics: Numerics) -> JobDone {
        engine.run(self.job(numerics, square(64)), Cancel::new()).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_learns_its_speed_and_remembers_it_on_the_same_machine() {
    let bench = Bench::new(SLOW).await;
    let (model, class) = (bench.manifest.digest(), ShapeClass::of(&square(64)));
    let engine = bench.engine(2, "this one").await;
    assert_eq!(engine.threads(), 2);
    assert_eq!(engine.expectations(&model), []);
    let first = bench.run(&engine, Numerics::Exact).await;
    assert_eq!((first.expected, first.exactness), (None, Exactness::Exact), "the first run makes the buffers");
    let mut done = first.clone();
    // Two backends with three trials each.
    for _ in 0..6 {
        done = bench.run(&engine, Numerics::Exact).await;
        assert_eq!(done.output, first.output, "whatever the number of threads");
    }
    assert!(done.expected.is_some());
    assert_eq!(engine.expectations(&model), [(class, done.expected.unwrap())]);

    // Kept by a task of its own, soon after the choice was made.
    let key = vec!["engine".to_owned(), "choices".to_owned()];
    let kept = async {
        while bench.docs.load(key.clone()).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    };
    assert!(platform::timeout(std::time::Duration::from_secs(60), kept).await.is_some(), "nothing was kept");
    assert_eq!(bench.engine(2, "this one").await.expectations(&model).len(), 1);
    assert_eq!(bench.engine(2, "another one").await.expectations(&model), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fast_request_is_declared_truthfully() {
    let bench = Bench::new(SLOW).await;
    let engine = bench.engine(1, "m").await;
    let exact = bench.run(&engine, Numerics::Exact).await;
    // Both kinds of kernels are tried for a fast request, and an exact answer is called exact.
    for _ in 0..8 {
        let done = bench.run(&engine, Numerics::Fast).await;
        if done.exactness == Exactness::Exact {
            assert_eq!(done.output, exact.output);
        }
        let again = bench.run(&engine, Numerics::Exact).await;
        assert_eq!((again.exactness, again.output), (Exactness::Exact, exact.output.clone()));
    }
}

/// As many runs at once as there are threads, and one more; each of them alone would take all of the threads.
#[tokio::test(flavor = "multi_thread")]
async fn runs_at_once_share_the_threads_and_keep_their_bits() {
    let bench = Arc::new(Bench::new(SLOW).await);
    let engine = bench.engine(3, "m").await;
    let expected = bench.run(&engine, Numerics::Exact).await.output;
    let runs = (0..8).map(|_| {
        let (bench, engine) = (bench.clone(), engine.clone());
        tokio::spawn(async move { bench.run(&engine, Numerics::Exact).await })
    });
    for run in futures::future::join_all(runs).await {
        assert_eq!(run.unwrap().output, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_gives_up_in_the_queue_or_in_the_run_is_told_so() {
    let bench = Bench::new(SLOW).await;
    let engine = bench.engine(1, "m").await;
    let (running, waiting) = (Cancel::new(), Cancel::new());
    // Alone this would take minutes.
    let long = tokio::spawn(engine.run(bench.job(Numerics::Exact, square(1400)), running.clone()));
    until_loaded(&engine).await;
    let queued = tokio::spawn(engine.run(bench.job(Numerics::Exact, square(8)), waiting.clone()));
    waiting.cancel();
    assert_eq!(queued.await.unwrap().unwrap_err(), JobError::Cancelled);
    assert!(!long.is_finished());
    running.cancel();
    assert_eq!(long.await.unwrap().unwrap_err(), JobError::Cancelled);
    bench.run(&engine, Numerics::Exact).await;
}

async fn until_loaded(engine: &LocalEngine) {
    let loaded = async {
        while engine.loaded().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    assert!(platform::timeout(std::time::Duration::from_secs(60), loaded).await.is_some(), "the run did not begin");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peers_receipt_says_what_its_numbers_are() {
    let (edge_stores, own_stores) = (Stores::default(), Stores::default());
    let edge = join(Tier::Edge, 20, &[], &edge_stores).await;
    add_model(&edge, &edge_stores, "double", DOUBLE).await;
    let device = join(Tier::Device, 21, &[&edge], &own_stores).await;
    crate::peers::until_holds(&device, "double", edge.id()).await;
    until(&device, "it is connected", || async { device.peers().await.unwrap().iter().any(|peer| peer.connected) })
        .await;
    for (numerics, allowed) in
        [("exact", &[Exactness::Exact][..]), ("fast", &[Exactness::Exact, Exactness::Approximate])]
    {
        let options = json!({"tier": "edge", "numerics": numerics});
        let answer = device.run(request("double", vector(&[1.5]), options)).await.unwrap();
        answer.receipt.verify().unwrap();
        assert!(allowed.contains(&answer.receipt.exactness), "{numerics}: {:?}", answer.receipt);
    }
    device.close().await;
    edge.close().await;
}
