//! Arithmetic and order for loops that are written once for all element types.

use std::cmp::Ordering;

use bytemuck::Pod;
use half::f16;

/// An element that is computed with. Integers wrap; halves are rounded after each operation.
pub(crate) trait Number: Pod + PartialEq {
    const ONE: Self;

    fn plus(self, other: Self) -> Self;

    fn times(self, other: Self) -> Self;

    /// A total order: what is not a number is above everything, and zeros of both signs are equal.
    fn order(self, other: Self) -> Ordering;

    /// What is not a number wins, in this and in `smaller`.
    fn larger(self, other: Self) -> Self {
        if other.order(self) == Ordering::Greater { other } else { self }
    }

    fn smaller(self, other: Self) -> Self {
        match other.order(self) {
            Ordering::Less if !self.is_nan() => other,
            _ if other.is_nan() => other,
            _ => self,
        }
    }

    fn is_nan(self) -> bool {
        false
    }
}

macro_rules! integers {
    ($($t:ty),*) => {
        $(impl Number for $t {
            const ONE: Self = 1;

            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }

            fn times(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }

            fn order(self, other: Self) -> Ordering {
                self.cmp(&other)
            }
        })*
    };
}

integers!(i64, i32, i8, u8);

impl Number for f32 {
    const ONE: Self = 1.0;

    fn plus(self, other: Self) -> Self {
        self + other
    }

    fn times(self, other: Self) -> Self {
        self * other
    }

    fn order(self, other: Self) -> Ordering {
        self.partial_cmp(&other).unwrap_or_else(|| self.is_nan().cmp(&other.is_nan()))
    }

    fn is_nan(self) -> bool {
        self.is_nan()
    }
}

impl Number for f16 {
    const ONE: Self = f16::ONE;

    fn plus(self, other: Self) -> Self {
        f16::from_f32(self.to_f32() + other.to_f32())
    }

    fn times(self, other: Self) -> Self {
        f16::from_f32(self.to_f32() * other.to_f32())
    }

    fn order(self, other: Self) -> Ordering {
        self.to_f32().order(other.to_f32())
    }

    fn is_nan(self) -> bool {
        self.is_nan()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_total_and_what_is_no_number_is_not_lost() {
        let mut row = [f32::NAN, 1.0, f32::NEG_INFINITY, -0.0, f32::NAN, 0.0, f32::INFINITY];
        row.sort_by(|a, b| a.order(*b));
        assert_eq!(row[..5], [f32::NEG_INFINITY, 0.0, 0.0, 1.0, f32::INFINITY]);
        assert!(row[5].is_nan() && row[6].is_nan());
        for (a, b) in [(f32::NAN, 1.0), (1.0, f32::NAN)] {
            assert!(a.larger(b).is_nan() && a.smaller(b).is_nan());
        }
        assert_eq!((2.0f32.larger(3.0), 2.0f32.smaller(3.0), 3u8.larger(2), 3i8.smaller(-2)), (3.0, 2.0, 3, -2));
        assert_eq!(i8::MAX.plus(1), i8::MIN);
    }
}
