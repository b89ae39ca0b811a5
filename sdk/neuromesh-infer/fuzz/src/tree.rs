//! Mutations of a protobuf message field by field, so that most mutants still decode.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A message, or what is left of one: fields in order.
#[derive(Clone, Default)]
struct Tree(Vec<(u64, Field)>);

#[derive(Clone)]
enum Field {
    Number(u64),
    Fixed(Vec<u8>),
    Bytes(Vec<u8>),
    Message(Tree),
}

/// Fields that hold messages, by the kind of the message around them: `onnx.proto`.
#[derive(Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Info,
    Type,
    TensorType,
    Shape,
    Function,
    Flat,
}

fn inner(kind: Kind, field: u64) -> Option<Kind> {
    Some(match (kind, field) {
        (Kind::Model, 7) | (Kind::Attribute, 6) => Kind::Graph,
        (Kind::Model, 25) => Kind::Function,
        (Kind::Graph, 1) | (Kind::Function, 7) => Kind::Node,
        (Kind::Graph, 5) | (Kind::Attribute, 5) => Kind::Tensor,
        (Kind::Graph, 11 | 12) => Kind::Info,
        (Kind::Node, 5) | (Kind::Function, 11) => Kind::Attribute,
        (Kind::Info, 2) => Kind::Type,
        (Kind::Type, 1) => Kind::TensorType,
        (Kind::TensorType, 2) => Kind::Shape,
        (Kind::Model, 8) | (Kind::Function, 9) | (Kind::Shape, 1) | (Kind::Tensor, 13) => Kind::Flat,
        _ => return None,
    })
}

/// One to four changes of fields; `None` where the bytes are no message any more.
pub fn mutate(bytes: &[u8], seed: u32, most: usize) -> Option<Vec<u8>> {
    let mut tree = parse(bytes, Kind::Model, 12)?;
    let mut random = ChaCha8Rng::seed_from_u64(seed.into());
    for _ in 0..random.random_range(1..=4) {
        let mut lists = Vec::new();
        tree.lists(&mut lists);
        let count = lists.len();
        let donor = lists[random.random_range(0..count)].clone();
        let at = random.random_range(0..count);
        change(tree.list(&mut { at })?, &donor, &mut random);
    }
    let mut out = Vec::with_capacity(bytes.len() + 64);
    tree.write(&mut out);
    (out.len() <= most).then_some(out)
}

fn change(list: &mut Tree, donor: &Tree, random: &mut ChaCha8Rng) {
    let fields = &mut list.0;
    if fields.is_empty() || random.random_ratio(1, 8) {
        if let Some(field) = donor.0.get(random.random_range(0..donor.0.len().max(1))) {
            fields.insert(random.random_range(0..=fields.len()), field.clone());
        }
        return;
    }
    let at = random.random_range(0..fields.len());
    let other = random.random_range(0..fields.len());
    match random.random_range(0..8) {
        0 => drop(fields.remove(at)),
        1 => fields.insert(other, fields[at].clone()),
        2 => fields.swap(at, other),
        3 => fields[at].1 = fields[other].1.clone(),
        _ => alter(&mut fields[at].1, random),
    }
}

fn alter(field: &mut Field, random: &mut ChaCha8Rng) {
    const NUMBERS: [u64; 14] =
        [0, 1, 2, 3, 4, 7, 16, 255, 1 << 16, (1 << 31) - 1, 1 << 31, 1 << 40, u64::MAX, u64::MAX - 1];
    match field {
        Field::Number(number) if random.random() => *number = NUMBERS[random.random_range(0..NUMBERS.len())],
        Field::Number(number) => *number = number.wrapping_add(random.random_range(0..5)).wrapping_sub(2),
        Field::Fixed(bytes) | Field::Bytes(bytes) => {
            if bytes.is_empty() || random.random_ratio(1, 6) {
                bytes.resize(random.random_range(0..24), random.random());
                return;
            }
            let at = random.random_range(0..bytes.len());
            match random.random_range(0..3) {
                0 => bytes[at] = random.random(),
                1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.random_range(0..5)],
                _ => bytes[at] = bytes[at].wrapping_add(1),
            }
        }
        Field::Message(tree) => tree.0.clear(),
    }
    // Fixed numbers keep their width.
    if let Field::Fixed(bytes) = field {
        bytes.resize(if bytes.len() > 4 { 8 } else { 4 }, 0);
    }
}

impl Tree {
    fn lists<'a>(&'a self, all: &mut Vec<&'a Tree>) {
        all.push(self);
        for (_, field) in &self.0 {
            if let Field::Message(tree) = field {
                tree.lists(all);
            }
        }
    }

    fn list(&mut self, at: &mut usize) -> Option<&mut Tree> {
        if *at == 0 {
            return Some(self);
        }
        *at -= 1;
        self.0.iter_mut().find_map(|(_, field)| match field {
            Field::Message(tree) => tree.list(at),
            _ => None,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        for (number, field) in &self.0 {
            let key = |wire: u64| number << 3 | wire;
            match field {
                Field::Number(value) => {
                    write_varint(key(0), out);
                    write_varint(*value, out);
                }
                Field::Fixed(bytes) => {
                    write_varint(key(if bytes.len() == 8 { 1 } else { 5 }), out);
                    out.extend_from_slice(bytes);
                }
                Field::Bytes(bytes) => {
                    write_varint(key(2), out);
                    write_varint(bytes.len() as u64, out);
                    out.extend_from_slice(bytes);
                }
                Field::Message(tree) => {
                    let mut body = Vec::new();
                    tree.write(&mut body);
                    write_varint(key(2), out);
                    write_varint(body.len() as u64, out);
                    out.extend_from_slice(&body);
                }
            }
        }
    }
}

fn parse(mut bytes: &[u8], kind: Kind, depth: usize) -> Option<Tree> {
    let mut tree = Tree::default();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let field = match key & 7 {
            0 => Field::Number(varint(&mut bytes)?),
            1 => Field::Fixed(bytes.split_off(..8)?.to_vec()),
            5 => Field::Fixed(bytes.split_off(..4)?.to_vec()),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let body = bytes.split_off(..length)?;
                let inside = inner(kind, key >> 3).filter(|_| depth > 0);
                let tree = inside.and_then(|inside| parse(body, inside, depth - 1));
                tree.map_or_else(|| Field::Bytes(body.to_vec()), Field::Message)
            }
            _ => return None,
        };
        tree.0.push((key >> 3, field));
    }
    Some(tree)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
