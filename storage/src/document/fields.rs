//! The fields that documents had so far: a tree, and the columns of each field.

use std::{collections::hash_map::RandomState, hash::BuildHasher as _};

use hashbrown::HashTable;

use super::{
    MAX_FIELD_BYTES, MAX_FIELDS,
    columns::SLOTS,
    error::{Refusal, shown},
    path,
};

/// A field by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FieldId(pub(super) u32);

/// The document itself.
pub(super) const ROOT: FieldId = FieldId(0);
/// No number of a field or a column.
pub(super) const NONE: u32 = u32::MAX;

/// A field.
#[derive(Debug)]
pub(super) struct Field {
    parent: u32,
    key: Box<str>,
    /// The length of the path.
    path_len: usize,
    /// The field that came after this one in its object last time, and the first one of this object: guesses, that are
    /// right where documents are alike. Both are siblings or children by construction.
    next: u32,
    first: u32,
    /// The document that had the field last.
    pub(super) document: u64,
    /// Which of the document's fields, in the order they were met, it and its object's fields are.
    pub(super) touched: (usize, usize),
    /// The numbers of its columns.
    pub(super) columns: [u32; SLOTS],
    /// Which of the time's fields it is, the first counts most.
    pub(super) time_rank: Option<usize>,
    /// Whether its value is kept as JSON text, whatever it is.
    pub(super) as_json: bool,
}

/// The tree.
#[derive(Debug)]
pub(super) struct Fields {
    all: Vec<Field>,
    /// The fields by parent and key. Keys come from outside, so the hash has a secret.
    by_key: HashTable<u32>,
    secret: RandomState,
}

impl Fields {
    pub(super) fn new() -> Self {
        let root = Field::new(NONE, "", 0);
        Self { all: vec![root], by_key: HashTable::new(), secret: RandomState::new() }
    }

    pub(super) fn get(&self, id: FieldId) -> &Field {
        &self.all[id.0 as usize]
    }

    pub(super) fn get_mut(&mut self, id: FieldId) -> &mut Field {
        &mut self.all[id.0 as usize]
    }

    /// The field of this key in an object, in which `previous` was met last, if any was.
    pub(super) fn child(&mut self, parent: FieldId, previous: Option<FieldId>, key: &str) -> Result<FieldId, Refusal> {
        let guess = previous.map_or(self.get(parent).first, |p| self.get(p).next);
        if let Some(field) = self.all.get(guess as usize)
            && *field.key == *key
        {
            return Ok(FieldId(guess));
        }
        let found = self.find_or_add(parent, key)?;
        match previous {
            Some(previous) => self.get_mut(previous).next = found.0,
            None => self.get_mut(parent).first = found.0,
        }
        Ok(found)
    }

    fn find_or_add(&mut self, parent: FieldId, key: &str) -> Result<FieldId, Refusal> {
        let hash = self.secret.hash_one((parent.0, key));
        let all = &self.all;
        let is_it = |id: &u32| {
            let field = &all[*id as usize];
            field.parent == parent.0 && *field.key == *key
        };
        if let Some(&id) = self.by_key.find(hash, is_it) {
            return Ok(FieldId(id));
        }
        let parent_len = self.get(parent).path_len;
        // A key as it is in a path is at least as long as it is.
        if parent_len + key.len() > MAX_FIELD_BYTES {
            return Err(Refusal::FieldTooLong { field: shown(&self.path_of(parent, key)) });
        }
        let mut own = String::new();
        path::push_key(&mut own, key);
        let path_len = parent_len + usize::from(parent != ROOT) + own.len();
        if path_len > MAX_FIELD_BYTES {
            return Err(Refusal::FieldTooLong { field: shown(&self.path_of(parent, key)) });
        }
        // The root is no field.
        if self.all.len() > MAX_FIELDS {
            return Err(Refusal::TooManyFields { field: shown(&self.path_of(parent, key)) });
        }
        // There are at most MAX_FIELDS.
        let id = self.all.len() as u32;
        self.all.push(Field::new(parent.0, key, path_len));
        let (all, secret) = (&self.all, &self.secret);
        self.by_key.insert_unique(hash, id, |&id| {
            let field = &all[id as usize];
            secret.hash_one((field.parent, &*field.key))
        });
        Ok(FieldId(id))
    }

    /// The field's path.
    pub(super) fn path(&self, id: FieldId) -> String {
        let field = self.get(id);
        if field.parent == NONE { String::new() } else { self.path_of(FieldId(field.parent), &field.key) }
    }

    fn path_of(&self, parent: FieldId, key: &str) -> String {
        let mut keys = vec![key];
        let mut at = self.get(parent);
        while at.parent != NONE {
            keys.push(&at.key);
            at = self.get(FieldId(at.parent));
        }
        keys.reverse();
        path::encode(&keys)
    }
}

impl Field {
    fn new(parent: u32, key: &str, path_len: usize) -> Self {
        Self {
            parent,
            key: key.into(),
            path_len,
            next: NONE,
            first: NONE,
            document: 0,
            touched: (0, 0),
            columns: [NONE; SLOTS],
            time_rank: None,
            as_json: false,
        }
    }
}
