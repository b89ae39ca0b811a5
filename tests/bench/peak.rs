//! What one thread of this machine can do at most, natively: prints one line of JSON, `bench-peak`.
//!
//! - `exact_gmacs`: 10⁹ multiply-adds a second with a product and a sum that are rounded apart, in registers;
//! - `fast_gmacs`: the same with fused multiply-adds;
//! - `read_gbs`: 10⁹ bytes a second that are read from memory, one after the other.

use std::{hint::black_box, time::Instant};

/// Enough chains to hide the latency of both instructions, few enough for the registers.
const CHAINS: usize = 12;
const ROUNDS: usize = 200_000;
const SAMPLES: usize = 25;
/// Well beyond every cache.
const BYTES: usize = 256 << 20;

fn main() {
    let (exact, fast) = machine::multiply_adds();
    println!("{{\"exact_gmacs\":{exact},\"fast_gmacs\":{fast},\"read_gbs\":{}}}", read());
}

/// The best of some samples of `work` things each, in 10⁹ a second.
fn best(work: usize, mut sample: impl FnMut()) -> f64 {
    let seconds = (0..SAMPLES).map(|_| {
        let started = Instant::now();
        sample();
        started.elapsed().as_secs_f64()
    });
    work as f64 / seconds.fold(f64::INFINITY, f64::min) / 1e9
}

fn read() -> f64 {
    let data = vec![1u64; BYTES / 8];
    best(BYTES, || {
        let mut sums = [0u64; 32];
        for chunk in black_box(&data).as_chunks::<32>().0 {
            for (sum, value) in sums.iter_mut().zip(chunk) {
                *sum = sum.wrapping_add(*value);
            }
        }
        black_box(sums);
    })
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)] // Instructions that the compiler would not choose by itself.
mod machine {
    use std::arch::x86_64::*;

    use super::{CHAINS, ROUNDS, best, black_box};

    macro_rules! loops {
        ($name:ident, $features:literal, $vector:ty, $set:ident, $step:expr) => {
            #[target_feature(enable = $features)]
            fn $name(factor: f32) {
                let (factor, term) = ($set(factor), $set(1e-3));
                let mut chains: [$vector; CHAINS] = [$set(1.0); CHAINS];
                for _ in 0..ROUNDS {
                    for chain in &mut chains {
                        *chain = $step(*chain, factor, term);
                    }
                }
                black_box(chains);
            }
        };
    }

    loops!(exact512, "avx512f", __m512, _mm512_set1_ps, |a, f, t| _mm512_add_ps(_mm512_mul_ps(a, f), t));
    loops!(fast512, "avx512f", __m512, _mm512_set1_ps, |a, f, t| _mm512_fmadd_ps(a, f, t));
    loops!(exact256, "avx2,fma", __m256, _mm256_set1_ps, |a, f, t| _mm256_add_ps(_mm256_mul_ps(a, f), t));
    loops!(fast256, "avx2,fma", __m256, _mm256_set1_ps, |a, f, t| _mm256_fmadd_ps(a, f, t));
    loops!(exact128, "sse2", __m128, _mm_set1_ps, |a, f, t| _mm_add_ps(_mm_mul_ps(a, f), t));

    /// With a product and a sum, and fused.
    pub fn multiply_adds() -> (f64, f64) {
        let work = |lanes| CHAINS * ROUNDS * lanes;
        let factor = || black_box(0.999);
        // SAFETY (all below): the features that each loop is compiled for were found.
        if is_x86_feature_detected!("avx512f") {
            let exact = best(work(16), || unsafe { exact512(factor()) });
            (exact, best(work(16), || unsafe { fast512(factor()) }))
        } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            let exact = best(work(8), || unsafe { exact256(factor()) });
            (exact, best(work(8), || unsafe { fast256(factor()) }))
        } else {
            let exact = best(work(4), || unsafe { exact128(factor()) });
            (exact, exact)
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod machine {
    use super::{CHAINS, ROUNDS, best, black_box};

    const LANES: usize = 4;

    /// With a product and a sum, and fused; the compiler makes four lanes one vector.
    pub fn multiply_adds() -> (f64, f64) {
        let run = |step: fn(f32, f32) -> f32| {
            best(CHAINS * ROUNDS * LANES, || {
                let (factor, mut chains) = (black_box(0.999f32), [[1f32; LANES]; CHAINS]);
                for _ in 0..ROUNDS {
                    chains.iter_mut().flatten().for_each(|lane| *lane = step(*lane, factor));
                }
                black_box(chains);
            })
        };
        (run(|lane, factor| lane * factor + 1e-3), run(|lane, factor| lane.mul_add(factor, 1e-3)))
    }
}
