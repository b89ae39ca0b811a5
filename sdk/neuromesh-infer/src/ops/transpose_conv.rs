//! Transposed convolution: each element of the input spreads the kernel over the output.

use smallvec::SmallVec;

use super::{
    Operator,
    call::{self, Call, Outputs},
    op,
    products::{self, Matrix},
    window::{self, Axis, Window},
};
use crate::{
    DataType, Fault,
    attribute::{Attributes, wrong},
    shape::{self, Shape},
};

pub(super) const TABLE: &[Operator] = &[op("ConvTranspose", 1, 2..=3, conv_transpose)];

/// Products that are held at once before they are added up, at least those of one channel.
const HELD: usize = 1 << 20;

fn conv_transpose(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let (x_shape, w_shape) = (call.shape(0)?, call.shape(1)?);
    if x_shape.len() != w_shape.len() || x_shape.len() < 3 {
        return Err(Fault::Shape(format!("{x_shape:?} cannot be convolved with {w_shape:?}")));
    }
    let groups = window::groups(call.attributes(), "group")?;
    let (images, inputs, outputs) = (x_shape[0], x_shape[1], w_shape[1]);
    if w_shape[0] != inputs || !inputs.is_multiple_of(groups) {
        return Err(Fault::Shape(format!("{x_shape:?} does not fit the weights {w_shape:?} in {groups} groups")));
    }
    let channels = outputs.checked_mul(groups).ok_or_else(|| Fault::Shape(format!("{groups} groups")))?;
    if call.has(2) && call.shape(2)?[..] != [channels] {
        return Err(Fault::Shape(format!("the bias {:?} does not fit {channels} channels", call.shape(2)?)));
    }
    let kernel = window::kernel_shape(call.attributes(), x_shape.len() - 2, Some(&w_shape[2..]))?;
    let window = placed(call.attributes(), &x_shape[2..], &kernel)?;
    let mut target = Shape::from_slice(&[images, channels]);
    target.extend(window.0.iter().map(|axis| axis.size));
    let elements = shape::checked(&target)?;
    let (taps, positions) = (window.taps(), x_shape[2..].iter().product::<usize>());
    call.memory.check_work(&[images, inputs.max(1), outputs.max(1), taps, positions])?;
    let spread = taps.checked_mul(positions).ok_or_else(|| Fault::Shape(format!("{x_shape:?} is too large")))?;
    let mut result = call.make(DataType::F32, target)?;
    if elements == 0 {
        return call::one(result);
    }
    let (x, w, bias) = (call.floats(0)?, call.floats(1)?, call.optional_floats(2)?);
    let (taken, plane) = (inputs / groups, elements / (images * channels));
    let at_once = (HELD / spread).clamp(1, outputs);
    let mut products = call.make(DataType::F32, [at_once, taps, positions].as_slice())?;
    for (block, out) in result.raw_mut::<f32>().chunks_exact_mut(outputs * plane).enumerate() {
        let group = block % groups;
        let x = Matrix::rows(&x[block * taken * positions..], positions);
        let weights = &w[group * taken * outputs * taps..];
        for (part, out) in out.chunks_mut(at_once * plane).enumerate() {
            let first = part * at_once;
            let count = out.len() / plane;
            let weights = &weights[(first * taps).min(weights.len())..];
            let weights = Matrix { data: weights, row: 1, column: outputs * taps };
            let products = &mut products.raw_mut::<f32>()[..count * spread];
            products::matmul(call.cpu, call.memory, [count * taps, positions, taken], weights, x, products)?;
            for (channel, (out, products)) in out.chunks_exact_mut(plane).zip(products.chunks_exact(spread)).enumerate()
            {
                out.fill(0.0);
                add_up(&window, products, out);
                if let Some(bias) = bias {
                    let bias = bias[group * outputs + first + channel];
                    out.iter_mut().for_each(|sum| *sum += bias);
                }
            }
        }
    }
    call::one(result)
}

/// How the kernel moves over the *output*, one position for each element of the input.
fn placed(attributes: &Attributes, input: &[usize], kernel: &[usize]) -> Result<Window, Fault> {
    let rank = input.len();
    let strides = window::numbers(attributes, "strides", 1, rank, 1)?;
    let dilations = window::numbers(attributes, "dilations", 1, rank, 1)?;
    let pads = window::numbers(attributes, "pads", 0, 2 * rank, 0)?;
    let more = window::numbers(attributes, "output_padding", 0, rank, 0)?;
    let auto = attributes.text("auto_pad")?.unwrap_or("NOTSET");
    let declared = match attributes.ints("output_shape")? {
        None | Some([]) => None,
        // Batch and channels may stand in front.
        Some(list) if list.len() == rank || list.len() == rank + 2 => Some(&list[list.len() - rank..]),
        Some(list) => return Err(wrong("output_shape", &format!("{list:?} is not {rank} sizes"))),
    };
    let mut axes = SmallVec::new();
    for index in 0..rank {
        let (stride, dilation) = (strides[index], dilations[index]);
        let reach = Axis::reach(kernel[index], dilation)?;
        let refuse = || Fault::Shape(format!("a kernel {kernel:?} cannot be spread from {input:?}"));
        let steps = input[index].checked_sub(1).and_then(|steps| steps.checked_mul(stride)).ok_or_else(refuse)?;
        let whole = steps.checked_add(reach + more[index]).filter(|&whole| whole <= isize::MAX as usize / 4);
        let whole = whole.filter(|_| kernel[index] > 0).ok_or_else(refuse)?;
        let wanted = match (declared, auto) {
            (Some(sizes), _) => Some(shape::size(sizes[index]).map_err(|reason| wrong("output_shape", reason))?),
            (None, "NOTSET" | "" | "VALID") => None,
            (None, "SAME_UPPER" | "SAME_LOWER") => Some(steps + stride),
            (None, other) => return Err(wrong("auto_pad", &format!("{other:?} is unknown"))),
        };
        let (size, before, after) = match wanted {
            Some(size) => {
                let total = whole.saturating_sub(size);
                let (small, large) = (total / 2, total.div_ceil(2));
                let (before, after) = if auto == "SAME_UPPER" { (small, large) } else { (large, small) };
                (size, before, after)
            }
            None => {
                let (before, after) = if auto == "VALID" { (0, 0) } else { (pads[index], pads[rank + index]) };
                (whole.checked_sub(before + after).ok_or_else(refuse)?, before, after)
            }
        };
        if size == 0 || size > isize::MAX as usize / 4 {
            return Err(refuse());
        }
        axes.push(Axis { size, kernel: kernel[index], stride, dilation, before, after, output: input[index] });
    }
    Ok(Window(axes))
}

/// Adds the products of each tap, tap by tap, where they belong.
fn add_up(window: &Window, products: &[f32], out: &mut [f32]) {
    let (last, outer) = window.0.split_last().expect("a window has a dimension");
    let kernel: Shape = window.0.iter().map(|axis| axis.kernel).collect();
    let positions: usize = window.0.iter().map(|axis| axis.output).product();
    let mut taps = products.chunks_exact(positions);
    Window::positions(&kernel, |tap| {
        let products = taps.next().expect("products for each tap");
        let columns = last.outputs(tap[outer.len()]);
        let rows: Shape = outer.iter().zip(tap).map(|(axis, &tap)| axis.outputs(tap).len()).collect();
        if columns.is_empty() {
            return;
        }
        Window::positions(&rows, |row| {
            let (mut from, mut to) = (0, 0);
            for ((axis, &row), &tap) in outer.iter().zip(row).zip(tap) {
                let position = axis.outputs(tap).start + row;
                from = from * axis.output + position;
                to = to * axis.size + axis.at(position, tap);
            }
            let from = &products[from * last.output..][columns.clone()];
            let to = &mut out[to * last.size + last.at(columns.start, tap[outer.len()])..];
            to.iter_mut().step_by(last.stride).zip(from).for_each(|(sum, &product)| *sum += product);
        });
    });
}
