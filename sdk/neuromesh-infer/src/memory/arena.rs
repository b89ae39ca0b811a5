//! A plan of buffers from the lifetimes that an earlier run with inputs of the same shapes had.
//!
//! Greedy by size: the largest tensor first, each into the first object that is free during its life (Pisarchyk and Lee,
//! "Efficient Memory Management for Deep Neural Net Inference", 2020, section 4.3, shared objects). Tensors take turns in an
//! object, so that a run with a plan allocates nothing and holds little more than what is live at its worst moment.

/// When a buffer of a run was taken and given back, in takes and gives so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lifetime {
    pub bytes: usize,
    pub born: u32,
    pub died: u32,
}

/// Which object each buffer of a run lives in, in the order in which they are taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arena {
    /// The bytes that were asked for, and the object.
    pub(super) places: Vec<(usize, usize)>,
    /// The size of each object.
    pub(super) objects: Vec<usize>,
}

/// Buffers of a run that are planned: planning takes the square of their number in time.
pub(super) const MAX_PLANNED: usize = 4096;

impl Arena {
    pub(super) fn new(lifetimes: &[Lifetime]) -> Self {
        let mut order: Vec<usize> = (0..lifetimes.len()).collect();
        order.sort_by_key(|&index| std::cmp::Reverse(lifetimes[index].bytes));
        let mut places = vec![(0, 0); lifetimes.len()];
        let (mut objects, mut tenants): (Vec<usize>, Vec<Vec<Lifetime>>) = (Vec::new(), Vec::new());
        for index in order {
            let own = lifetimes[index];
            let apart = |other: &Lifetime| other.died <= own.born || own.died <= other.born;
            // Sizes descend: the best object is the last, the smallest, that is free.
            let object = match tenants.iter().rposition(|tenants| tenants.iter().all(apart)) {
                Some(object) => object,
                None => {
                    objects.push(own.bytes);
                    tenants.push(Vec::new());
                    objects.len() - 1
                }
            };
            tenants[object].push(own);
            places[index] = (own.bytes, object);
        }
        Self { places, objects }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(bytes: usize, born: u32, died: u32) -> Lifetime {
        Lifetime { bytes, born, died }
    }

    #[test]
    fn tensors_that_take_turns_share_and_others_do_not() {
        // A chain: each is born before the one before it dies.
        let chain: Vec<_> = (0..10).map(|step| life(100, 2 * step, 2 * step + 3)).collect();
        let arena = Arena::new(&chain);
        assert_eq!(arena.objects, [100, 100]);
        // Whoever lives through everything has a place of its own.
        let mut lives = chain;
        lives.push(life(7, 0, 100));
        let arena = Arena::new(&lives);
        assert_eq!(arena.objects, [100, 100, 7]);
        for (a, first) in lives.iter().enumerate() {
            for (b, second) in lives.iter().enumerate().skip(a + 1) {
                let overlap = first.born < second.died && second.born < first.died;
                assert!(!overlap || arena.places[a].1 != arena.places[b].1, "{a} and {b} meet");
            }
        }
        assert_eq!(Arena::new(&[]).objects, [0usize; 0]);
    }
}
