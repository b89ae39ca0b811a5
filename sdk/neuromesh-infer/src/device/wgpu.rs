//! # GPUs through wgpu: WebGPU in a browser; Vulkan, Metal or DirectX 12 elsewhere
//!
//! [`open`] asks for the fastest adapter and gives a [`Gpu`], whose [`device`](Gpu::device) a
//! [`DeviceModel<Wgpu>`](super::DeviceModel) is loaded onto. Kernels are compiled from WGSL when they are used first, so the
//! first run of a model takes longer than the next.
//!
//! `make test-gpu` runs ONNX's node tests and every model of the reference data on the machine's adapter; Mesa's lavapipe, which
//! plays a GPU on the CPU, will do. `make test-gpu-web` goes through a browser's WebGPU, in Chromium.
//!
//! Nothing is tuned by trying and nothing is fused across operators: both cost seconds at the first run, and the former needs
//! a clock that a page does not always give.

use burn_backend::{Backend, tensor::Device};
pub use burn_wgpu::Wgpu;
use burn_wgpu::{RuntimeOptions, WgpuSetup, try_init_device, wgpu};

use super::OpenError;

/// Kernels that are handed to the device at a time.
const MAX_TASKS: usize = 32;

/// A GPU that was opened, or what stands for one. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Gpu {
    device: Device<Wgpu>,
    name: String,
    software: bool,
}

/// Opens the adapter that the system names first where speed counts.
///
/// Each call opens a device of its own, and what a device needs stays until the process ends (in a browser: the module), so
/// open one and keep it. A device that was lost (a reset, a driver's update) does not come back: its runs end with
/// [`Fault::Backend`](crate::Fault::Backend), and whoever wants to go on there opens another.
///
/// # Errors
/// [`OpenError`].
pub async fn open() -> Result<Gpu, OpenError> {
    // Without OpenGL: its compute shaders bind too few buffers.
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::PRIMARY,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let wanted = wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..wgpu::RequestAdapterOptions::default()
    };
    let adapter = instance.request_adapter(&wanted).await.map_err(|error| OpenError::NoAdapter(error.to_string()))?;
    let info = adapter.get_info();
    let unwanted = wgpu::Features::all_experimental_mask() | wgpu::Features::MAPPABLE_PRIMARY_BUFFERS;
    let descriptor = wgpu::DeviceDescriptor {
        required_features: adapter.features().difference(unwanted),
        required_limits: adapter.limits(),
        memory_hints: wgpu::MemoryHints::MemoryUsage,
        ..wgpu::DeviceDescriptor::default()
    };
    let (device, queue) =
        adapter.request_device(&descriptor).await.map_err(|error| OpenError::Refused(error.to_string()))?;
    let backend = info.backend;
    let setup = WgpuSetup { instance, adapter, device, queue, backend };
    let opened = RuntimeOptions::with_tasks_max(Some(MAX_TASKS)).and_then(|options| try_init_device(setup, options));
    let device = opened.map_err(|error| OpenError::Refused(error.to_string()))?;
    let software = info.device_type == wgpu::DeviceType::Cpu;
    Ok(Gpu { device: device.into(), name: format!("{} ({backend})", info.name), software })
}

impl Gpu {
    /// What models are loaded onto.
    pub fn device(&self) -> &Device<Wgpu> {
        &self.device
    }

    /// What the driver calls it, and through which interface it is reached.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a CPU plays the GPU: good for tests, slower than the engine's own kernels.
    pub fn is_software(&self) -> bool {
        self.software
    }

    /// Bytes that are allocated on the device, free ones in pools included.
    pub fn memory(&self) -> u64 {
        Wgpu::memory_pool_usage(&self.device).map_or(0, |usage| usage.bytes_reserved)
    }

    /// Gives memory back that no tensor uses any more.
    pub fn trim(&self) {
        Wgpu::memory_cleanup(&self.device);
    }
}
