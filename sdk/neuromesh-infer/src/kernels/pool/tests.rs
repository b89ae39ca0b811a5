use super::*;
use crate::kernels::cpu::Numerics;
use crate::kernels::elementwise::tests::{bits, random, same_everywhere};

fn axis(input: usize, kernel: usize, stride: usize, dilation: usize, pads: (usize, usize), ceil: bool) -> Axis {
    let axis = Axis { input, output: 0, kernel, stride, dilation, pads };
    Axis { output: axis.output_size(ceil), ..axis }
}

fn windows() -> Vec<Window> {
    let plane = |height, width| Window { depth: Axis::NONE, height, width };
    vec![
        plane(Axis::NONE, axis(50, 3, 1, 1, (0, 0), false)),
        plane(Axis::NONE, axis(9, 9, 1, 1, (0, 0), false)),
        plane(axis(30, 3, 2, 1, (1, 1), false), axis(41, 3, 2, 1, (1, 1), false)),
        plane(axis(6, 3, 1, 1, (1, 1), false), axis(39, 3, 1, 1, (1, 1), false)),
        plane(axis(9, 3, 2, 1, (0, 1), true), axis(75, 2, 2, 1, (1, 0), true)),
        plane(axis(5, 5, 1, 1, (2, 2), false), axis(11, 5, 1, 1, (2, 2), false)),
        plane(axis(13, 2, 3, 1, (0, 0), true), axis(14, 4, 3, 1, (2, 1), true)),
        plane(axis(17, 3, 1, 2, (2, 2), false), axis(80, 3, 1, 3, (3, 0), true)),
        plane(axis(5, 3, 2, 2, (2, 1), true), axis(6, 2, 2, 1, (0, 1), true)),
        Window {
            depth: axis(6, 2, 2, 1, (1, 0), false),
            height: axis(7, 3, 1, 1, (1, 1), false),
            width: axis(9, 3, 2, 1, (0, 1), true),
        },
    ]
}

/// The places in the input that an output's window covers, in order, and how many of its places lie in the padded input.
fn covered(window: &Window, output: usize) -> (Vec<usize>, usize) {
    let Window { depth, height, width } = window;
    let at = [output / width.output / height.output, output / width.output % height.output, output % width.output];
    let (mut places, mut padded) = (Vec::new(), 0);
    for kd in 0..depth.kernel {
        for kh in 0..height.kernel {
            for kw in 0..width.kernel {
                let mut place = Some(0);
                let mut within = true;
                for ((axis, at), tap) in [depth, height, width].into_iter().zip(at).zip([kd, kh, kw]) {
                    let position = (at * axis.stride + tap * axis.dilation) as isize - axis.pads.0 as isize;
                    within &= position < (axis.input + axis.pads.1) as isize;
                    let inside = (0..axis.input as isize).contains(&position);
                    place = place.filter(|_| inside).map(|place| place * axis.input + position as usize);
                }
                places.extend(place);
                padded += usize::from(within);
            }
        }
    }
    (places, padded)
}

fn check(seed: u64, pool: impl Fn(&Cpu, &[f32], &mut [f32], &Window), naive: impl Fn(&[f32], usize) -> f32) {
    for window in windows() {
        let planes = 5;
        let x = random(planes * window.inputs(), seed, 4.0);
        let found = same_everywhere(|cpu| {
            let mut y = vec![0.0; planes * window.outputs()];
            pool(cpu, &x, &mut y, &window);
            y
        });
        let expected = x.chunks(window.inputs()).flat_map(|x| {
            let naive = &naive;
            (0..window.outputs()).map(move |output| {
                let (places, padded) = covered(&window, output);
                naive(&places.iter().map(|&place| x[place]).collect::<Vec<_>>(), padded)
            })
        });
        assert_eq!(found, bits(expected), "{window:?}");
    }
}

#[test]
fn maximum() {
    check(51, max_pool, |x, _| x.iter().fold(f32::NEG_INFINITY, |a, &b| math::max(a, b)));
}

#[test]
fn average() {
    let sum = |x: &[f32]| x.iter().fold(0.0, |sum, x| sum + x);
    check(52, |cpu, x, y, window| average_pool(cpu, x, y, window, false), |x, _| sum(x) / x.len() as f32);
    check(53, |cpu, x, y, window| average_pool(cpu, x, y, window, true), |x, padded| sum(x) / padded as f32);
}

#[test]
fn norms() {
    let fold = |x: &[f32], f: &dyn Fn(f32) -> f32| x.iter().fold(0.0, |sum, &x| sum + f(x));
    check(54, |cpu, x, y, window| lp_pool(cpu, x, y, window, 1.0), |x, _| fold(x, &f32::abs));
    check(55, |cpu, x, y, window| lp_pool(cpu, x, y, window, 2.0), |x, _| fold(x, &|x| x * x).sqrt());
    let third = |x: &[f32], _| math::pow(fold(x, &|x| math::pow(x.abs(), 3.0)), 1.0 / 3.0);
    check(56, |cpu, x, y, window| lp_pool(cpu, x, y, window, 3.0), third);
}

#[test]
fn indices_point_at_the_first_maximum() {
    for window in windows() {
        // Few different numbers, so that many are equal; NaN among them.
        let mut x: Vec<f32> = random(3 * window.inputs(), 57, 6.0).into_iter().map(f32::round).collect();
        let last = x.len() - 1;
        x[last] = f32::NAN;
        for &isa in crate::kernels::cpu::Isa::available() {
            let cpu = Cpu { isa, ..Cpu::new(Numerics::Exact) };
            let count = 3 * window.outputs();
            let (mut y, mut indices, mut by_column) = (vec![0.0; count], vec![0; count], vec![0; count]);
            max_pool_with_indices(&cpu, &x, &mut y, &mut by_column, &window, true);
            max_pool_with_indices(&cpu, &x, &mut y, &mut indices, &window, false);
            let mut plain = vec![0.0; count];
            max_pool(&cpu, &x, &mut plain, &window);
            assert_eq!(bits(y.iter().map(|x| x + 0.0)), bits(plain.iter().map(|x| x + 0.0)));
            for (output, &index) in indices.iter().enumerate() {
                let plane = output / window.outputs() * window.inputs();
                let places = covered(&window, output % window.outputs()).0;
                let expected = places.iter().copied().reduce(|best, place| {
                    let (a, b) = (x[plane + best], x[plane + place]);
                    if b > a || (b.is_nan() && !a.is_nan()) { place } else { best }
                });
                assert_eq!(Some(index as usize), expected.map(|place| plane + place), "{window:?}");
                let place = index as usize - plane;
                let (depth, height, width) = (window.depth.input, window.height.input, window.width.input);
                let (d, h, w) = (place / width / height, place / width % height, place % width);
                assert_eq!(by_column[output] as usize, plane + d + depth * (h + height * w));
            }
        }
    }
}

#[test]
fn a_whole_plane() {
    let x = random(6 * 49, 58, 3.0);
    let found = same_everywhere(|cpu| {
        let mut y = vec![0.0; 6];
        global_pool(cpu, Reduction::Mean, &x, &mut y, 49);
        y
    });
    for (found, plane) in found.into_iter().map(f32::from_bits).zip(x.chunks(49)) {
        assert!((found - plane.iter().sum::<f32>() / 49.0).abs() < 1e-6);
    }
}

#[test]
fn sizes() {
    assert_eq!(axis(7, 3, 2, 1, (0, 0), false).output, 3);
    assert_eq!(axis(8, 3, 2, 1, (0, 0), false).output, 3);
    assert_eq!(axis(8, 3, 2, 1, (0, 0), true).output, 4);
    // A last window that would begin in the padding behind is none.
    assert_eq!(axis(4, 2, 3, 1, (0, 1), true).output, 2);
    assert_eq!(axis(3, 1, 2, 1, (1, 1), true).output, 2);
    assert_eq!(axis(112, 3, 2, 1, (1, 1), false).output, 56);
}
