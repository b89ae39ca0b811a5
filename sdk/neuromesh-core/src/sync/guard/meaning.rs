//! Whether changes from a peer fit the document that they are for.
//!
//! Automerge checks the form of a change, and takes for granted that Automerge made it: that it speaks only of actors,
//! objects and elements that its past holds. It panics otherwise. So that is looked up here first, in an index of all
//! operations of the document.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{
    ActorId, Automerge, Change, ChangeHash, ObjType,
    legacy::{ElementId, Key, ObjectId, Op, OpId, OpType},
};

use super::Refused;

/// Changes that came before what they depend on, and wait within Automerge.
const MAX_ORPHANS: usize = 4096;

/// What is known of one document, beyond what Automerge tells.
#[derive(Debug, Default)]
pub(in crate::sync) struct Known {
    heads: Vec<ChangeHash>,
    index: Index,
    bytes: usize,
    orphans: Vec<Change>,
}

/// Actors by number, to keep the index small.
#[derive(Debug, Default)]
struct Index {
    actors: BTreeMap<ActorId, u32>,
    ops: BTreeMap<Id, Made>,
    last: BTreeMap<u32, Last>,
}

/// An operation: its counter and its actor's number.
type Id = (u64, u32);

/// The newest change of an actor.
#[derive(Clone, Copy, Debug)]
struct Last {
    seq: u64,
    counter: u64,
}

/// What an operation made, and where.
#[derive(Clone, Copy, Debug)]
struct Made {
    obj: Option<Id>,
    place: Place,
    insert: bool,
    kind: Option<ObjType>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Of a map: the hash of the key.
    Member([u8; 8]),
    Head,
    Element(Id),
}

impl Known {
    /// Whether `doc` can take these chunks, each of which has passed the check of its form.
    pub(in crate::sync) fn check(&mut self, doc: &Automerge, chunks: &[Vec<u8>]) -> Result<(), Refused> {
        self.catch_up(doc);
        let mut waiting = Vec::new();
        for chunk in chunks {
            let change = Change::try_from(chunk.as_slice()).map_err(|error| Refused(format!("bad change: {error}")))?;
            waiting.push(change);
        }
        let has = |hash: &ChangeHash| doc.get_change_meta_by_hash(hash).is_some();
        self.orphans.retain(|orphan| !has(&orphan.hash()));
        waiting.extend(self.orphans.iter().cloned());
        let mut seen = BTreeSet::new();
        waiting.retain(|change| !has(&change.hash()) && seen.insert(change.hash()));

        // In the order in which Automerge will apply them.
        let mut fresh = Overlay { base: &self.index, added: Index::default() };
        let mut applied = BTreeSet::new();
        loop {
            let is_ready = |change: &Change| change.deps().iter().all(|dep| applied.contains(dep) || has(dep));
            let (ready, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_ready);
            waiting = rest;
            if ready.is_empty() {
                break;
            }
            for change in ready {
                fresh.take(&change)?;
                applied.insert(change.hash());
            }
        }
        if waiting.len() > MAX_ORPHANS {
            return Err("too many changes without their past".into());
        }
        self.orphans = waiting;
        Ok(())
    }

    /// Bytes of all changes of the document.
    pub(in crate::sync) fn bytes(&mut self, doc: &Automerge) -> usize {
        self.catch_up(doc);
        self.bytes
    }

    /// Brings the index up to what the document holds.
    fn catch_up(&mut self, doc: &Automerge) {
        let heads = doc.get_heads();
        if heads == self.heads {
            return;
        }
        for change in doc.get_changes(&self.heads) {
            self.bytes += change.raw_bytes().len();
            self.index.add(&change);
        }
        self.heads = heads;
    }
}

impl Index {
    fn number(&mut self, actor: &ActorId) -> u32 {
        let next = self.actors.len() as u32;
        *self.actors.entry(actor.clone()).or_insert(next)
    }

    /// Adds a change that the document holds.
    fn add(&mut self, change: &Change) {
        let actor = self.number(change.actor_id());
        let start = change.start_op().get();
        for (op, counter) in change.decode().operations.iter().zip(start..) {
            let id = (counter, actor);
            let find = |op: &OpId| self.actors.get(op.actor()).map(|actor| (op.counter(), *actor));
            // A change names no actor that its past does not have.
            if let Some(made) = made(id, op, find) {
                self.ops.insert(id, made);
            }
        }
        self.last.insert(actor, Last { seq: change.seq(), counter: change.max_op() });
    }
}

/// What an operation makes; nothing when it deletes or when `find` does not know what it speaks of.
fn made(id: Id, op: &Op, find: impl Fn(&OpId) -> Option<Id>) -> Option<Made> {
    if matches!(op.action, OpType::Delete) {
        return None;
    }
    let obj = match &op.obj {
        ObjectId::Root => None,
        ObjectId::Id(obj) => Some(find(obj)?),
    };
    let kind = if let OpType::Make(kind) = op.action { Some(kind) } else { None };
    let place = if op.insert { Place::Element(id) } else { place(&op.key, find)? };
    Some(Made { obj, place, insert: op.insert, kind })
}

fn place(key: &Key, find: impl Fn(&OpId) -> Option<Id>) -> Option<Place> {
    Some(match key {
        Key::Map(key) => {
            let mut hash = [0; 8];
            hash.copy_from_slice(&blake3::hash(key.as_bytes()).as_bytes()[..8]);
            Place::Member(hash)
        }
        Key::Seq(ElementId::Head) => Place::Head,
        Key::Seq(ElementId::Id(id)) => Place::Element(find(id)?),
    })
}

/// The index, and what the changes under examination would add.
struct Overlay<'a> {
    base: &'a Index,
    added: Index,
}

impl Overlay<'_> {
    fn actor(&self, actor: &ActorId) -> Option<u32> {
        self.base.actors.get(actor).or_else(|| self.added.actors.get(actor)).copied()
    }

    fn op(&self, id: &Id) -> Option<Made> {
        self.added.ops.get(id).or_else(|| self.base.ops.get(id)).copied()
    }

    /// Checks a change whose past is there, and adds it.
    fn take(&mut self, change: &Change) -> Result<(), Refused> {
        let start = change.start_op().get();
        let actor = match self.actor(change.actor_id()) {
            Some(actor) => actor,
            None if change.seq() == 1 => {
                let number = (self.base.actors.len() + self.added.actors.len()) as u32;
                self.added.actors.insert(change.actor_id().clone(), number);
                number
            }
            None => return Err("a later change of an unknown actor".into()),
        };
        if change.other_actor_ids().iter().any(|other| self.actor(other).is_none()) {
            return Err("a change names an unknown actor".into());
        }
        if let Some(last) = self.added.last.get(&actor).or_else(|| self.base.last.get(&actor)) {
            if change.seq() != last.seq + 1 || start <= last.counter {
                return Err("a change that does not follow its actor's last".into());
            }
        } else if change.seq() != 1 {
            return Err("a change that does not follow its actor's last".into());
        }
        // Automerge keeps operations, not bytes: what it would not write itself comes out under another hash.
        let decoded = change.decode();
        if Change::from(decoded.clone()).hash() != change.hash() {
            return Err("a change in another form than Automerge's".into());
        }
        let operations = decoded.operations;
        let end = start + operations.len() as u64;
        if end >= u64::from(u32::MAX) {
            return Err("counter too large".into());
        }
        for (op, counter) in operations.iter().zip(start..) {
            let id = (counter, actor);
            self.check(id, op)?;
            let find = |op: &OpId| self.actor(op.actor()).map(|actor| (op.counter(), actor));
            if let Some(made) = made(id, op, find) {
                self.added.ops.insert(id, made);
            }
        }
        self.added.last.insert(actor, Last { seq: change.seq(), counter: end.saturating_sub(1).max(start) });
        Ok(())
    }

    fn check(&self, id: Id, op: &Op) -> Result<(), Refused> {
        let find = |op: &OpId| self.actor(op.actor()).map(|actor| (op.counter(), actor));
        let before = |other: &OpId| find(other).filter(|other| other.0 < id.0);
        let (obj, kind) = match &op.obj {
            ObjectId::Root => (None, ObjType::Map),
            ObjectId::Id(obj) => {
                let obj = before(obj).ok_or("an operation in an object to come")?;
                let kind = self.op(&obj).and_then(|made| made.kind).ok_or("an operation in no object")?;
                (Some(obj), kind)
            }
        };
        let at = place(&op.key, before).ok_or("an operation at an element to come")?;
        match (kind.is_sequence(), at) {
            (false, Place::Member(_)) if !op.insert => {}
            (true, Place::Head) if op.insert => {}
            (true, Place::Element(element)) => {
                let made = self.op(&element).filter(|made| made.insert && made.obj == obj);
                made.ok_or("an operation at no element of its object")?;
            }
            _ => return Err("an operation at a place that its object has not".into()),
        }
        for pred in op.pred.iter() {
            let made = before(pred).and_then(|pred| self.op(&pred)).ok_or("an operation replaces none")?;
            if op.insert || made.obj != obj || made.place != at {
                return Err("an operation replaces one at another place".into());
            }
        }
        let needs_pred = matches!(op.action, OpType::Delete | OpType::Increment(_));
        if needs_pred && (op.insert || op.pred.is_empty()) {
            return Err("an operation deletes or adds to nothing".into());
        }
        Ok(())
    }
}
