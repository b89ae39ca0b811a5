//! Walks an operand that is repeated along some dimensions.

/// The most dimensions of a broadcast.
pub const MAX_RANK: usize = 16;

/// An operand's place in a shape, with neighbouring dimensions merged where its strides allow: rows of `inner` elements that
/// are `step` apart, and the dimensions that the rows run through.
pub(super) struct Rows {
    pub(super) inner: usize,
    pub(super) step: usize,
    rank: usize,
    sizes: [usize; MAX_RANK],
    strides: [usize; MAX_RANK],
}

impl Rows {
    /// # Panics
    /// When there are more than [`MAX_RANK`] dimensions, not one stride for each, or when they reach beyond `len`.
    pub(super) fn new(shape: &[usize], strides: &[usize], len: usize) -> Rows {
        assert!(
            shape.len() <= MAX_RANK && shape.len() == strides.len(),
            "a broadcast needs one stride for each dimension"
        );
        let last = shape.iter().zip(strides).fold(0, |last, (&size, &stride)| last + size.saturating_sub(1) * stride);
        assert!(shape.contains(&0) || last < len, "a broadcast reads beyond its operand");
        let mut rows = Rows { inner: 1, step: 0, rank: 0, sizes: [0; MAX_RANK], strides: [0; MAX_RANK] };
        let mut outermost: Option<(usize, usize)> = None;
        for (&size, &stride) in shape.iter().zip(strides).rev().filter(|(size, _)| **size != 1) {
            outermost = Some(match outermost {
                None => (size, stride),
                Some((inner, step)) if stride == step * inner => (inner * size, step),
                Some(done) => {
                    rows.push(done);
                    (size, stride)
                }
            });
        }
        if let Some(done) = outermost {
            rows.push(done);
        }
        // The first one pushed is the innermost.
        if rows.rank > 0 {
            (rows.inner, rows.step) = (rows.sizes[0], rows.strides[0]);
        }
        rows
    }

    fn push(&mut self, (size, stride): (usize, usize)) {
        self.sizes[self.rank] = size;
        self.strides[self.rank] = stride;
        self.rank += 1;
    }

    /// Stands at the beginning of a row.
    #[inline(always)]
    pub(super) fn cursor(&self, row: usize) -> Cursor<'_> {
        let mut cursor = Cursor { rows: self, index: [0; MAX_RANK], offset: 0 };
        let mut rest = row;
        for dimension in 1..self.rank {
            cursor.index[dimension] = rest % self.sizes[dimension];
            rest /= self.sizes[dimension];
            cursor.offset += cursor.index[dimension] * self.strides[dimension];
        }
        cursor
    }
}

pub(super) struct Cursor<'a> {
    rows: &'a Rows,
    index: [usize; MAX_RANK],
    /// Where the row begins in the operand.
    pub(super) offset: usize,
}

impl Cursor<'_> {
    /// To the next row; from the last one to the first.
    #[inline(always)]
    pub(super) fn advance(&mut self) {
        for dimension in 1..self.rows.rank {
            self.offset += self.rows.strides[dimension];
            self.index[dimension] += 1;
            if self.index[dimension] < self.rows.sizes[dimension] {
                return;
            }
            self.offset -= self.rows.strides[dimension] * self.rows.sizes[dimension];
            self.index[dimension] = 0;
        }
    }
}
