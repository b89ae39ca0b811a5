//! Real components, good and bad, in the sandbox.

use std::{
    collections::BTreeMap,
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

use neuromesh::{
    Digest, SparseBytes,
    core::payload::Part,
    engine::{Cancel, JobError, NamedTensors, PluginCall, PluginHost},
    infer,
};

use super::{PluginError, PluginLimits, PluginSandbox, pack};

/// A component without imports around one core function `run`, which returns a pointer to a `result<string, string>`:
/// a discriminant, then a pointer and a length.
fn component(memory: &str, rest: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            (core module $m
                (memory (export "memory") {memory})
                (data (i32.const 16) "\00\00\00\00\20\00\00\00\0d\00\00\00")
                (data (i32.const 32) "{{\22good\22:true}}")
                {rest})
            (core instance $i (instantiate $m))
            (func (export "run") (result (result string (error string)))
                (canon lift (core func $i "run") (memory $i "memory"))))"#
    );
    wat::parse_str(text).expect("the test's component is valid")
}

fn good() -> Vec<u8> {
    component("1", r#"(func (export "run") (result i32) i32.const 16)"#)
}

fn looping() -> Vec<u8> {
    component("1", r#"(func (export "run") (result i32) (loop br 0) unreachable)"#)
}

fn memory_bomb() -> Vec<u8> {
    component(
        "1",
        r#"(func (export "run") (result i32)
            (loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable)"#,
    )
}

fn trapping() -> Vec<u8> {
    component("1", r#"(func (export "run") (result i32) unreachable)"#)
}

/// Answers with `pages` pages of zeros.
fn output_bomb(pages: u32) -> Vec<u8> {
    let bytes = pages * 65536;
    component(
        &(pages + 1).to_string(),
        &format!(
            r#"(func (export "run") (result i32)
                (i32.store (i32.const 20) (i32.const 64)) (i32.store (i32.const 24) (i32.const {bytes})) i32.const 16)"#
        ),
    )
}

/// A plugin made as real ones are: a core module with its world in a custom section, packed.
fn packed(module: &str) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/wit")).expect("the world parses").0;
    let world = resolve.select_world(&[package], Some("pipeline")).expect("the world is there");
    let mut module = wat::parse_str(module).expect("the test's module is valid");
    wit_component::embed_component_metadata(&mut module, &resolve, world, wit_component::StringEncoding::UTF8)
        .expect("metadata fits");
    pack(&module).expect("packs")
}

fn sandbox() -> PluginSandbox {
    let limits = PluginLimits { time: Duration::from_millis(300), ..PluginLimits::default() };
    PluginSandbox::new(limits).expect("Wasmtime works here")
}

fn call_with(
    sandbox: &PluginSandbox,
    bytes: &[u8],
    input: &SparseBytes,
    cancel: &Cancel,
    infer: &mut (dyn FnMut(NamedTensors) -> Result<NamedTensors, String> + Send),
) -> Result<String, PluginError> {
    let files = BTreeMap::from([("notes".to_owned(), Arc::new(b"0123456789".to_vec()))]);
    let component = Digest::of(bytes);
    sandbox.call(PluginCall { component, bytes, input, files: &files, infer, cancel })
}

fn call(sandbox: &PluginSandbox, bytes: &[u8]) -> Result<String, PluginError> {
    let input = SparseBytes::whole(b"input".to_vec());
    call_with(sandbox, bytes, &input, &Cancel::new(), &mut |_| Err("no model here".into()))
}

#[test]
fn a_good_plugin_answers() {
    let sandbox = sandbox();
    for _ in 0..3 {
        assert_eq!(call(&sandbox, &good()).as_deref(), Ok(r#"{"good":true}"#));
    }
}

#[test]
fn a_loop_is_stopped() {
    let began = Instant::now();
    assert_eq!(call(&sandbox(), &looping()), Err(PluginError::TimedOut { limit_ms: 300 }));
    assert!(began.elapsed() < Duration::from_secs(20), "stopped after {:?}", began.elapsed());
}

#[test]
fn memory_is_bounded() {
    let limit = PluginLimits::default().memory;
    assert_eq!(call(&sandbox(), &memory_bomb()), Err(PluginError::OutOfMemory { limit }));
    let large_at_once = component("2000", r#"(func (export "run") (result i32) i32.const 16)"#);
    assert_eq!(call(&sandbox(), &large_at_once), Err(PluginError::OutOfMemory { limit }));
}

#[test]
fn tables_are_bounded() {
    let bomb = component(
        "1",
        r#"(table 1 funcref)
           (func (export "run") (result i32)
            (loop (br_if 0 (i32.ne (table.grow (ref.null func) (i32.const 1000)) (i32.const -1)))) unreachable)"#,
    );
    assert!(matches!(call(&sandbox(), &bomb), Err(PluginError::Trapped(_))));
}

#[test]
fn traps_are_told() {
    let sandbox = sandbox();
    let body = |code: &str| component("1", &format!(r#"(func $f (export "run") (result i32) {code})"#));
    for (plugin, words) in [
        (trapping(), "unreachable"),
        (body("(i32.div_u (i32.const 1) (i32.const 0))"), "divide by zero"),
        (body("(i32.load (i32.const 100000000))"), "out of bounds"),
        (body("call $f"), "stack"),
        (body("i32.const 999999999"), ""),
    ] {
        match call(&sandbox, &plugin) {
            Err(PluginError::Trapped(text)) => assert!(text.contains(words), "{text:?} has no {words:?}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn answers_are_bounded_and_json() {
    let sandbox = sandbox();
    let limit = PluginLimits::default().output;
    assert_eq!(call(&sandbox, &output_bomb(32)), Err(PluginError::OutputTooLarge { size: 2 << 20, limit }));
    assert!(matches!(call(&sandbox, &output_bomb(1)), Err(PluginError::NotJson(_))));
}

#[test]
fn what_is_no_plugin_is_refused() {
    let sandbox = sandbox();
    let parse = |text: &str| wat::parse_str(text).expect("valid");
    for bytes in [
        b"garbage".to_vec(),
        Vec::new(),
        good()[..100].to_vec(),
        parse("(module)"),
        parse("(component)"),
        parse(r#"(component (import "wasi:clocks/wall-clock@0.2.0" (instance (export "now" (func)))))"#),
        parse(
            r#"(component (core module $m (func (export "run"))) (core instance $i (instantiate $m))
            (func (export "run") (canon lift (core func $i "run"))))"#,
        ),
        vec![0; PluginLimits::default().component + 1],
    ] {
        let result = call(&sandbox, &bytes);
        assert!(matches!(result, Err(PluginError::Invalid(_))), "{result:?}");
    }
    assert!(pack(b"\0asm\x01\0\0\0").is_err());
    assert!(pack(b"garbage").is_err());
}

#[test]
fn cancelling_stops_a_running_plugin() {
    let limits = PluginLimits { time: Duration::from_secs(600), ..PluginLimits::default() };
    let sandbox = PluginSandbox::new(limits).expect("Wasmtime works here");
    let cancel = Cancel::new();
    let started = Barrier::new(2);
    thread::scope(|scope| {
        let running = scope.spawn(|| {
            started.wait();
            let input = SparseBytes::whole(Vec::new());
            call_with(&sandbox, &looping(), &input, &cancel, &mut |_| Err(String::new()))
        });
        started.wait();
        cancel.cancel();
        assert_eq!(running.join().expect("no panic"), Err(PluginError::Cancelled));
    });
}

#[test]
fn bad_plugins_do_not_disturb_a_good_one() {
    let sandbox = sandbox();
    thread::scope(|scope| {
        let bad = [looping(), memory_bomb(), trapping(), output_bomb(32)];
        let bad = bad.map(|plugin| {
            let sandbox = &sandbox;
            scope.spawn(move || (0..3).map(|_| call(sandbox, &plugin)).collect::<Vec<_>>())
        });
        let mut answers = 0;
        while !bad.iter().all(|running| running.is_finished()) {
            assert!(call(&sandbox, &good()).is_ok());
            answers += 1;
        }
        assert!(answers > 10, "only {answers} answers meanwhile");
        for running in bad {
            for result in running.join().expect("no panic") {
                result.expect_err("contained");
            }
        }
    });
}

#[test]
fn the_engine_sees_a_plugins_faults_as_job_errors() {
    let sandbox = sandbox();
    let files = BTreeMap::new();
    let input = SparseBytes::whole(Vec::new());
    let run = |bytes: &[u8], cancel: &Cancel| {
        let infer: &mut (dyn FnMut(NamedTensors) -> Result<NamedTensors, String> + Send) = &mut |_| Err(String::new());
        let call = PluginCall { component: Digest::of(bytes), bytes, input: &input, files: &files, infer, cancel };
        PluginHost::run(&sandbox, call)
    };
    assert!(matches!(run(&trapping(), &Cancel::new()), Err(JobError::Plugin(text)) if text.contains("unreachable")));
    let cancelled = Cancel::new();
    cancelled.cancel();
    assert_eq!(run(&looping(), &cancelled), Err(JobError::Cancelled));
}

/// What every packed module below shares: its memory, and an allocator that only goes forward.
const ALLOCATOR: &str = r#"
    (memory (export "memory") 4)
    (global $free (mut i32) (i32.const 65536))
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (local $at i32)
        (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
        (global.set $free (i32.add (local.get $at) (local.get 3)))
        (local.get $at))"#;

/// Answers with the bytes at `offset` of its input, which are to be JSON.
fn reading(offset: u64, len: u32) -> Vec<u8> {
    packed(&format!(
        r#"(module
            (import "neuromesh:plugin/source@0.1.0" "read" (func $read (param i64 i32 i32)))
            {ALLOCATOR}
            (func (export "run") (result i32)
                (call $read (i64.const {offset}) (i32.const {len}) (i32.const 16)) i32.const 16))"#
    ))
}

#[test]
fn a_plugin_reads_only_what_is_at_hand() {
    let sandbox = sandbox();
    let input = SparseBytes {
        len: 100,
        parts: [(0, &b"[1,"[..]), (3, b"22]"), (98, b"[]")]
            .map(|(offset, data)| Part { offset, data: data.to_vec() })
            .to_vec(),
    };
    let run =
        |offset, len| call_with(&sandbox, &reading(offset, len), &input, &Cancel::new(), &mut |_| Err(String::new()));
    assert_eq!(run(0, 6).as_deref(), Ok("[1,22]"));
    assert_eq!(run(3, 2).as_deref(), Ok("22"));
    assert_eq!(run(98, 2).as_deref(), Ok("[]"));
    for (offset, len) in [(0, 7), (50, 1), (97, 2), (98, 3), (200, 1), (u64::MAX, 2)] {
        assert!(matches!(run(offset, len), Err(PluginError::Refused(text)) if text.contains("not at hand")));
    }
}

/// Asks the engine for a run on `count` tensors that all name the same `data` bytes.
fn asking(count: u32, data: u32) -> Vec<u8> {
    packed(&format!(
        r#"(module
            (import "neuromesh:plugin/engine@0.1.0" "run" (func $engine (param i32 i32 i32)))
            {ALLOCATOR}
            (data (i32.const 0) "x")
            (func (export "run") (result i32)
                (local $i i32) (local $at i32)
                (loop
                    (local.set $at (i32.add (i32.const 131072) (i32.mul (local.get $i) (i32.const 28))))
                    (i32.store (i32.add (local.get $at) (i32.const 4)) (i32.const 1))
                    (i32.store8 (i32.add (local.get $at) (i32.const 8)) (i32.const 5))
                    (i32.store (i32.add (local.get $at) (i32.const 12)) (i32.const 8))
                    (i32.store (i32.add (local.get $at) (i32.const 16)) (i32.const 1))
                    (i32.store (i32.add (local.get $at) (i32.const 24)) (i32.const {data}))
                    (local.set $i (i32.add (local.get $i) (i32.const 1)))
                    (br_if 0 (i32.lt_u (local.get $i) (i32.const {count}))))
                (i32.store (i32.const 8) (i32.const {data}))
                (call $engine (i32.const 131072) (i32.const {count}) (i32.const 65000))
                (i32.store (i32.const 16) (i32.const 0))
                (i32.store (i32.const 20) (i32.const 65536)) (i32.store (i32.const 24) (i32.const 2))
                (i32.store16 (i32.const 65536) (i32.const 0x5d5b))
                i32.const 16))"#
    ))
}

#[test]
fn a_plugin_runs_the_model_and_cannot_make_the_host_allocate() {
    let sandbox = sandbox();
    let input = SparseBytes::whole(Vec::new());
    let mut seen = Vec::new();
    let mut infer = |inputs: NamedTensors| {
        seen.extend(inputs.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())));
        Ok(vec![("y".to_owned(), infer::Tensor::new(vec![1], infer::Data::F32(vec![0.5])).expect("fits"))])
    };
    let result = call_with(&sandbox, &asking(2, 64), &input, &Cancel::new(), &mut infer);
    assert_eq!(result.as_deref(), Ok("[]"));
    assert_eq!(seen, [("x".to_owned(), vec![64]), ("x".to_owned(), vec![64])]);

    // 3,000 times the same 128 KiB: 4 pages of the plugin's memory, 375 MiB of the host's.
    let bomb = call_with(&sandbox, &asking(3000, 131_072), &input, &Cancel::new(), &mut |_| Ok(Vec::new()));
    assert!(matches!(bomb, Err(PluginError::Trapped(_))), "{bomb:?}");
}

#[test]
fn time_in_the_model_does_not_count() {
    let sandbox = sandbox();
    let input = SparseBytes::whole(Vec::new());
    let mut slow = |_| {
        thread::sleep(Duration::from_millis(400));
        Ok(Vec::new())
    };
    assert_eq!(call_with(&sandbox, &asking(1, 4), &input, &Cancel::new(), &mut slow).as_deref(), Ok("[]"));
}
