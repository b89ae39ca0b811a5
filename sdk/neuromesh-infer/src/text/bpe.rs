//! Byte-pair encoding: the pair of neighbours with the lowest rank is merged until no pair has one (Sennrich et al. 2016).

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use super::{TokenizerError, file::Merge, file::ModelFile, vocabulary::Vocabulary};

/// Multiplies and folds: keys are pairs of ids, and a table of at most [`MAX_MERGES`] entries is filled once.
type Pairs = HashMap<(u32, u32), (u32, u32)>;
/// The most merges of a file.
const MAX_MERGES: usize = 1 << 21;

#[derive(Debug)]
pub struct Bpe {
    /// Rank and result of a pair.
    merges: Pairs,
    unknown: Option<u32>,
    prefix: String,
    suffix: String,
    fuse_unknown: bool,
    /// The tokens `<0x00>` to `<0xFF>`, where the file wants unknown characters written as bytes and has them.
    bytes: Option<Vec<Option<u32>>>,
    ignore_merges: bool,
}

#[derive(Clone, Copy)]
struct Symbol {
    id: u32,
    previous: usize,
    next: usize,
    gone: bool,
}

const END: usize = usize::MAX;

impl Bpe {
    pub fn new(vocabulary: &Vocabulary, file: &ModelFile) -> Result<Self, TokenizerError> {
        if file.dropout.is_some_and(|dropout| dropout != 0.0) {
            return Err(TokenizerError::Unsupported("BPE with dropout".into()));
        }
        let unknown = match &file.unk_token {
            None => None,
            Some(token) => Some(vocabulary.get(token).ok_or_else(|| {
                TokenizerError::Invalid(format!("the unknown token {token:?} is not in the vocabulary"))
            })?),
        };
        let prefix = file.continuing_subword_prefix.clone().unwrap_or_default();
        let list = file.merges.as_deref().unwrap_or_default();
        if list.len() > MAX_MERGES {
            return Err(TokenizerError::Invalid(format!("{} merges; at most {MAX_MERGES} are taken", list.len())));
        }
        let mut merges = Pairs::with_capacity(list.len());
        let mut joined = String::new();
        for (rank, merge) in list.iter().enumerate() {
            let (left, right) = match merge {
                Merge::Pair(left, right) => (left.as_str(), right.as_str()),
                Merge::Line(line) => line
                    .split_once(' ')
                    .ok_or_else(|| TokenizerError::Invalid(format!("merge {rank}: two tokens are needed")))?,
            };
            joined.clear();
            joined.push_str(left);
            joined.push_str(right.strip_prefix(prefix.as_str()).unwrap_or(right));
            let id = |token: &str| {
                let missing = || TokenizerError::Invalid(format!("merge {rank}: {token:?} is not in the vocabulary"));
                vocabulary.get(token).ok_or_else(missing)
            };
            merges.insert((id(left)?, id(right)?), (rank as u32, id(&joined)?));
        }
        let bytes = (0..=255u8).map(|byte| vocabulary.get(&format!("<0x{byte:02X}>"))).collect();
        Ok(Self {
            merges,
            unknown,
            prefix,
            suffix: file.end_of_word_suffix.clone().unwrap_or_default(),
            fuse_unknown: file.fuse_unk,
            bytes: file.byte_fallback.then_some(bytes),
            ignore_merges: file.ignore_merges,
        })
    }

    pub fn encode(&self, vocabulary: &Vocabulary, word: &str, ids: &mut Vec<u32>) {
        if self.ignore_merges
            && let Some(id) = vocabulary.get(word)
        {
            return ids.push(id);
        }
        let mut start = Vec::with_capacity(word.len());
        self.characters(vocabulary, word, &mut start);
        self.merge(&start, ids);
    }

    fn characters(&self, vocabulary: &Vocabulary, word: &str, out: &mut Vec<u32>) {
        let mut written = String::new();
        let mut pending = None;
        for (at, c) in word.char_indices() {
            written.clear();
            if at > 0 {
                written.push_str(&self.prefix);
            }
            written.push(c);
            if at + c.len_utf8() == word.len() {
                written.push_str(&self.suffix);
            }
            if let Some(id) = vocabulary.get(&written) {
                out.extend(pending.take());
                out.push(id);
                continue;
            }
            let bytes = |table: &Vec<Option<u32>>| written.bytes().map(|byte| table[usize::from(byte)]).collect();
            if let Some(bytes) = self.bytes.as_ref().and_then(bytes) {
                // An unknown character before them is still said after them, as the reference does.
                let bytes: Vec<u32> = bytes;
                out.extend(bytes);
                continue;
            }
            if self.unknown.is_some() {
                if !self.fuse_unknown {
                    out.extend(pending.take());
                }
                pending = self.unknown;
            }
        }
        out.extend(pending);
    }

    fn merge(&self, start: &[u32], ids: &mut Vec<u32>) {
        let count = start.len();
        let link = |index: usize| if index < count { index } else { END };
        let mut symbols: Vec<Symbol> = (start.iter().enumerate())
            .map(|(at, &id)| Symbol { id, previous: at.wrapping_sub(1), next: link(at + 1), gone: false })
            .collect();
        // Lowest rank first, then leftmost; what a merge made stale is recognized when it comes up.
        let mut queue = BinaryHeap::with_capacity(count);
        for (at, pair) in start.windows(2).enumerate() {
            if let Some(&(rank, id)) = self.merges.get(&(pair[0], pair[1])) {
                queue.push(Reverse((rank, at, id)));
            }
        }
        while let Some(Reverse((_, at, id))) = queue.pop() {
            let left = symbols[at];
            if left.gone || left.next == END {
                continue;
            }
            let right = symbols[left.next];
            if self.merges.get(&(left.id, right.id)).is_none_or(|(_, made)| *made != id) {
                continue;
            }
            symbols[left.next].gone = true;
            symbols[at].id = id;
            symbols[at].next = right.next;
            if right.next != END {
                symbols[right.next].previous = at;
                if let Some(&(rank, made)) = self.merges.get(&(id, symbols[right.next].id)) {
                    queue.push(Reverse((rank, at, made)));
                }
            }
            if left.previous != END
                && let Some(&(rank, made)) = self.merges.get(&(symbols[left.previous].id, id))
            {
                queue.push(Reverse((rank, left.previous, made)));
            }
        }
        ids.extend(symbols.iter().filter(|symbol| !symbol.gone).map(|symbol| symbol.id));
    }
}
