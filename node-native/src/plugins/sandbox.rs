//! One call of a plugin, from its start to its end.

use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use neuromesh::{
    Payload, SparseBytes,
    engine::{Cancel, JobError, NamedTensors, PluginCall, PluginHost, from_engine, to_engine},
};
use wasmtime::{Config, Engine, Store, StoreContextMut, UpdateDeadline};

use super::{
    PluginError, PluginLimits,
    bindings::neuromesh::plugin::{
        engine::{self, Dtype, Tensor},
        files, source,
    },
    code::{Code, Compiled},
    limits::Meter,
};

/// How often a running plugin is looked at: the precision of its time limit and of cancelling.
const TICK: Duration = Duration::from_millis(10);
/// Stack of a plugin's thread; Wasmtime bounds the plugin's own part of it to 512 KiB.
const STACK: usize = 2 << 20;

/// Runs plugins; see the [module](super).
pub struct PluginSandbox {
    engine: Engine,
    code: Code,
    limits: PluginLimits,
}

impl PluginSandbox {
    /// A sandbox whose calls are bounded by `limits`.
    ///
    /// # Errors
    /// When Wasmtime does not work on this machine.
    pub fn new(limits: PluginLimits) -> Result<Self, PluginError> {
        let host = |error: wasmtime::Error| PluginError::Host(format!("{error:#}"));
        let mut config = Config::new();
        config.epoch_interruption(true);
        // The same plugin gives the same bits on every machine.
        config.cranelift_nan_canonicalization(true);
        config.relaxed_simd_deterministic(true);
        let engine = Engine::new(&config).map_err(host)?;
        let ticking = engine.weak();
        thread::Builder::new()
            .name("plugin-clock".into())
            .spawn(move || {
                while let Some(engine) = ticking.upgrade() {
                    engine.increment_epoch();
                    drop(engine);
                    thread::sleep(TICK);
                }
            })
            .map_err(|error| PluginError::Host(error.to_string()))?;
        let code = Code::new(engine.clone(), limits.compiled, limits.component)?;
        Ok(Self { engine, code, limits })
    }

    /// Runs `call`; [`PluginHost::run`] with the error in full.
    ///
    /// # Errors
    /// [`PluginError`].
    pub fn call(&self, call: PluginCall<'_>) -> Result<String, PluginError> {
        let compiled = self.code.get(call.component, call.bytes)?;
        let (ask, asked) = mpsc::sync_channel(1);
        let state = State {
            input: call.input.clone(),
            files: call.files.clone(),
            ask,
            cancel: call.cancel.clone(),
            meter: Meter::new(&self.limits),
            deadline: Instant::now() + self.limits.time,
        };
        let (engine, limits) = (self.engine.clone(), self.limits.clone());
        // A store's data must be 'static, the call's model is borrowed: so the plugin gets a thread, and asks this one.
        let plugin = thread::Builder::new()
            .name("plugin".into())
            .stack_size(STACK)
            .spawn(move || run(&engine, &compiled, state, &limits))
            .map_err(|error| PluginError::Host(error.to_string()))?;
        while let Ok(Ask { inputs, reply }) = asked.recv() {
            // The plugin waits for this answer; it cannot be gone.
            let _ = reply.send((call.infer)(inputs));
        }
        plugin.join().unwrap_or_else(|_| Err(PluginError::Host("its thread ended unexpectedly".into())))
    }
}

impl PluginHost for PluginSandbox {
    fn run(&self, call: PluginCall<'_>) -> Result<String, JobError> {
        let component = call.component;
        self.call(call).map_err(|error| {
            tracing::warn!(%component, %error, "plugin failed");
            error.into()
        })
    }
}

/// A run of the model that the plugin asks for.
struct Ask {
    inputs: NamedTensors,
    reply: mpsc::SyncSender<Result<NamedTensors, String>>,
}

/// What a running plugin can reach.
pub(super) struct State {
    input: SparseBytes,
    files: BTreeMap<String, Arc<Vec<u8>>>,
    ask: mpsc::SyncSender<Ask>,
    cancel: Cancel,
    meter: Meter,
    deadline: Instant,
}

/// Why a plugin was interrupted.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum Stop {
    #[error("cancelled")]
    Cancelled,
    #[error("out of time")]
    TimedOut,
}

fn run(engine: &Engine, compiled: &Compiled, state: State, limits: &PluginLimits) -> Result<String, PluginError> {
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.meter);
    // What a call may make the host allocate while its arguments are lifted: no more than the plugin's own memory.
    store.set_hostcall_fuel(limits.memory);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|context: StoreContextMut<'_, State>| {
        let state = context.data();
        if state.cancel.is_cancelled() {
            Err(wasmtime::Error::new(Stop::Cancelled))
        } else if Instant::now() >= state.deadline {
            Err(wasmtime::Error::new(Stop::TimedOut))
        } else {
            Ok(UpdateDeadline::Continue(1))
        }
    });
    let result = compiled.instantiate(&mut store).and_then(|plugin| plugin.call_run(&mut store));
    match result {
        Ok(Ok(json)) => checked(json, limits.output),
        Ok(Err(text)) => Err(PluginError::Refused(shortened(text, limits.output))),
        Err(error) => Err(cause(&error, store.data(), limits)),
    }
}

fn checked(json: String, limit: usize) -> Result<String, PluginError> {
    if json.len() > limit {
        return Err(PluginError::OutputTooLarge { size: json.len(), limit });
    }
    match serde_json::from_str::<serde::de::IgnoredAny>(&json) {
        Ok(_) => Ok(json),
        Err(error) => Err(PluginError::NotJson(error.to_string())),
    }
}

/// A plugin's own words are bounded too.
fn shortened(text: String, limit: usize) -> String {
    const WORDS: usize = 1000;
    if text.len() <= WORDS.min(limit) { text } else { text.chars().take(WORDS.min(limit)).collect() }
}

fn cause(error: &wasmtime::Error, state: &State, limits: &PluginLimits) -> PluginError {
    match error.downcast_ref::<Stop>() {
        Some(Stop::Cancelled) => return PluginError::Cancelled,
        Some(Stop::TimedOut) => {
            let limit_ms = u64::try_from(limits.time.as_millis()).unwrap_or(u64::MAX);
            return PluginError::TimedOut { limit_ms };
        }
        None => {}
    }
    if state.cancel.is_cancelled() {
        PluginError::Cancelled
    } else if state.meter.refused {
        PluginError::OutOfMemory { limit: limits.memory }
    } else {
        // The innermost cause is the trap; what is above it is a backtrace.
        PluginError::Trapped(shortened(error.root_cause().to_string(), limits.output))
    }
}

impl engine::Host for State {
    fn run(&mut self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, String> {
        let inputs: Vec<_> = inputs.into_iter().map(core_tensor).collect();
        let payload = Payload::Tensors(inputs);
        payload.validate().map_err(|error| error.to_string())?;
        let Payload::Tensors(inputs) = payload else { unreachable!("it was made of tensors") };
        let inputs = to_engine(inputs).map_err(|error| error.to_string())?;
        let began = Instant::now();
        let (reply, answer) = mpsc::sync_channel(1);
        let gone = || "the node no longer listens".to_owned();
        self.ask.send(Ask { inputs, reply }).map_err(|_| gone())?;
        let outputs = answer.recv().map_err(|_| gone())?;
        self.deadline += began.elapsed();
        let outputs = from_engine(outputs?).map_err(|error| error.to_string())?;
        Ok(outputs.into_iter().map(plugin_tensor).collect())
    }
}

impl source::Host for State {
    fn len(&mut self) -> u64 {
        self.input.len
    }

    fn read(&mut self, offset: u64, len: u32) -> Result<Vec<u8>, String> {
        read(&self.input, offset, len)
    }
}

impl files::Host for State {
    fn read(&mut self, role: String) -> Result<Vec<u8>, String> {
        let file = self.files.get(&role).ok_or_else(|| format!("the model has no file with role {role:?}"))?;
        Ok(file.to_vec())
    }
}

/// The `len` bytes from `offset`, across parts that touch.
fn read(input: &SparseBytes, offset: u64, len: u32) -> Result<Vec<u8>, String> {
    let absent = || format!("bytes {offset}..+{len} of {} are not at hand", input.len);
    let end = offset.checked_add(u64::from(len)).filter(|end| *end <= input.len).ok_or_else(absent)?;
    let mut bytes = Vec::new();
    let mut next = offset;
    for part in &input.parts {
        let part_end = part.offset + part.data.len() as u64;
        if next < end && part.offset <= next && next < part_end {
            let upto = end.min(part_end);
            let range = (next - part.offset) as usize..(upto - part.offset) as usize;
            bytes.extend_from_slice(&part.data[range]);
            next = upto;
        }
    }
    if next == end { Ok(bytes) } else { Err(absent()) }
}

fn core_tensor(tensor: Tensor) -> neuromesh::Tensor {
    use neuromesh::core::DType;
    let dtype = match tensor.dtype {
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I8 => DType::I8,
        Dtype::U8 => DType::U8,
        Dtype::Bool => DType::Bool,
    };
    neuromesh::Tensor { name: tensor.name, dtype, shape: tensor.shape, data: tensor.data }
}

fn plugin_tensor(tensor: neuromesh::Tensor) -> Tensor {
    use neuromesh::core::DType;
    let dtype = match tensor.dtype {
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::I64 => Dtype::I64,
        DType::I32 => Dtype::I32,
        DType::I8 => Dtype::I8,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::Bool,
    };
    Tensor { name: tensor.name, dtype, shape: tensor.shape, data: tensor.data }
}
