//! On which machine this process runs: times that were measured on another one say nothing here.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
};

use neuromesh::infer::kernels::cpu::Isa;

/// As much of Linux's list of processors as is looked at; the first one's name stands at its beginning.
const MAX_LIST: u64 = 16 << 10;
/// The longest name of a processor, in characters.
const MAX_NAME: usize = 100;

/// Processor, instruction set and number of threads; and, in a debug build, that it is one.
pub fn name(threads: usize) -> String {
    let build = if cfg!(debug_assertions) { ", debug build" } else { "" };
    let processor = processor().unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    format!("{processor}, {:?}, {threads} threads{build}", Isa::best())
}

fn processor() -> Option<String> {
    let list = BufReader::new(File::open("/proc/cpuinfo").ok()?.take(MAX_LIST));
    let mut lines = list.lines().map_while(Result::ok);
    let name = lines.find_map(|line| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim().to_owned()))?;
    Some(name.chars().take(MAX_NAME).collect())
}
