//! Random operations against a plain model: several open transactions with savepoints, conflicts, changes of tables,
//! flushes, merges, restarts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chronolith_storage::{
    StorageError,
    engine::{Engine, OnConflict, Savepoint, Transaction},
    rng::Rng,
    table::{ColumnDefinition, ColumnId, ColumnType, TableDefinition},
    vfs::{MemFs, Vfs},
};
use roaring::RoaringTreemap;

use crate::world::{by_number, definition, options, rows};

const NAMES: [&str; 2] = ["keyed", "plain"];
/// Keys are below this, so that transactions meet.
const KEYS: u64 = 120;
const OPEN_MAX: usize = 3;

/// A committed row: its text and a number of its own.
type Row = (String, u64);

#[derive(Debug, Clone, Default)]
struct Table {
    rows: BTreeMap<i64, Row>,
    /// Rises with every committed change of the definition.
    incarnation: u64,
}

/// What a transaction wrote to one table.
#[derive(Debug, Clone, Default)]
struct Overlay {
    /// Whether something is staged.
    is_written: bool,
    /// Whether the definition changes.
    is_altered: bool,
    is_cleared: bool,
    deleted: BTreeSet<u64>,
    inserted: BTreeMap<i64, Row>,
}

/// An open transaction and its model.
struct Open {
    transaction: Transaction,
    overlays: [Overlay; 2],
    /// The tables' incarnations when they were first to be written to.
    bases: [Option<u64>; 2],
    entry: Option<Option<u64>>,
    entry_base: Option<Option<u64>>,
    savepoints: Vec<(Savepoint, [Overlay; 2], Option<Option<u64>>)>,
}

struct World {
    vfs: Arc<dyn Vfs>,
    engine: Option<Engine>,
    tables: [Table; 2],
    entry: Option<u64>,
    open: Vec<Open>,
    rng: Rng,
    next: u64,
    conflicts: u64,
    commits: u64,
}

impl Overlay {
    /// What the transaction sees under each key.
    fn view(&self, table: &Table) -> BTreeMap<i64, String> {
        let committed = table.rows.iter().filter(|(_, row)| !self.is_cleared && !self.deleted.contains(&row.1));
        let mut view: BTreeMap<i64, String> = committed.map(|(key, row)| (*key, row.0.clone())).collect();
        view.extend(self.inserted.iter().map(|(key, row)| (*key, row.0.clone())));
        view
    }

    /// Deletes what is seen under a key.
    fn delete(&mut self, table: &Table, key: i64) {
        if self.inserted.remove(&key).is_none()
            && let Some(row) = table.rows.get(&key)
        {
            self.deleted.insert(row.1);
        }
    }

    /// Whether the commit is a conflict.
    fn conflicts(&self, table: &Table, base: Option<u64>) -> bool {
        if !self.is_written {
            return false;
        }
        let there: BTreeSet<u64> = table.rows.values().map(|row| row.1).collect();
        let taken = |key: &i64| table.rows.get(key).is_some_and(|row| !self.deleted.contains(&row.1));
        base != Some(table.incarnation)
            || (!self.is_cleared && (!self.deleted.is_subset(&there) || self.inserted.keys().any(taken)))
    }

    fn apply(&self, table: &mut Table) {
        if self.is_cleared {
            table.rows.clear();
        }
        table.rows.retain(|_, row| !self.deleted.contains(&row.1));
        table.rows.extend(self.inserted.iter().map(|(key, row)| (*key, row.clone())));
        table.incarnation += u64::from(self.is_altered || self.is_cleared);
    }
}

impl Open {
    /// Whether the commit would be a conflict now: then nothing more is asked of the transaction, since its own rows and
    /// those of others would both be there.
    fn is_doomed(&self, tables: &[Table; 2]) -> bool {
        let changed = |(base, table): (&Option<u64>, &Table)| base.is_some_and(|base| base != table.incarnation);
        self.bases.iter().zip(tables).any(changed)
            || (0..2).any(|which| self.overlays[which].conflicts(&tables[which], self.bases[which]))
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let vfs: Arc<dyn Vfs> = Arc::new(MemFs::default());
        let engine = Engine::open(options(Arc::clone(&vfs))).unwrap();
        let mut t = engine.begin();
        t.create_table(definition(NAMES[0], true)).unwrap();
        t.create_table(definition(NAMES[1], false)).unwrap();
        t.commit().unwrap();
        Self {
            vfs,
            engine: Some(engine),
            tables: Default::default(),
            entry: None,
            open: Vec::new(),
            rng: Rng::new(seed),
            next: 0,
            conflicts: 0,
            commits: 0,
        }
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.rng.next_u64() % bound
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn step(&mut self) {
        match self.below(400) {
            0 => self.engine().flush().unwrap(),
            1 => self.engine().merge().unwrap(),
            2 if self.below(3) == 0 => self.engine().compact().unwrap(),
            3 if self.below(3) == 0 => self.restart(),
            4..=9 => self.check(),
            _ => self.write(),
        }
    }

    fn restart(&mut self) {
        self.open.clear();
        self.engine = None;
        self.engine = Some(Engine::open(options(Arc::clone(&self.vfs))).unwrap());
        self.check();
    }

    fn check(&self) {
        let view = self.engine().tables();
        for (name, table) in NAMES.iter().zip(&self.tables) {
            let shown = by_number(view.table(name).unwrap(), "committed");
            let shown: BTreeMap<i64, &str> = shown.iter().map(|(key, row)| (*key, row.0.as_str())).collect();
            let want: BTreeMap<i64, &str> = table.rows.iter().map(|(key, row)| (*key, row.0.as_str())).collect();
            assert_eq!(shown, want, "table {name}");
        }
        assert_eq!(entry_of(view.entry("space", "name")), self.entry);
        for open in self.open.iter().filter(|open| !open.is_doomed(&self.tables)) {
            let view = open.transaction.tables();
            for ((name, table), overlay) in NAMES.iter().zip(&self.tables).zip(&open.overlays) {
                let shown = by_number(view.table(name).unwrap(), "in a transaction");
                let shown: BTreeMap<i64, String> = shown.into_iter().map(|(key, row)| (key, row.0)).collect();
                assert_eq!(shown, overlay.view(table), "table {name} in a transaction");
            }
            assert_eq!(entry_of(view.entry("space", "name")), open.entry.unwrap_or(self.entry));
        }
    }

    /// One step of one transaction.
    fn write(&mut self) {
        if self.open.is_empty() || (self.open.len() < OPEN_MAX && self.below(4) == 0) {
            self.open.push(Open {
                transaction: self.engine().begin(),
                overlays: Default::default(),
                bases: [None, None],
                entry: None,
                entry_base: None,
                savepoints: Vec::new(),
            });
        }
        let at = self.below(self.open.len() as u64) as usize;
        let mut open = self.open.swap_remove(at);
        let which = self.below(2) as usize;
        let what = if open.is_doomed(&self.tables) { 99 } else { self.below(100) };
        match what {
            0..=39 => self.insert(&mut open, which),
            40..=59 => self.delete(&mut open, which),
            60 => self.truncate(&mut open, which),
            61 => self.alter(&mut open, which),
            62..=65 => self.put_entry(&mut open),
            66..=72 => open.savepoints.push((open.transaction.savepoint(), open.overlays.clone(), open.entry)),
            73..=77 => self.roll_back_to(&mut open),
            78..=81 => return, // dropped: rolled back
            _ => return self.commit(open),
        }
        self.open.push(open);
    }

    fn touch(&self, open: &mut Open, which: usize) -> chronolith_storage::table::TableId {
        open.bases[which].get_or_insert(self.tables[which].incarnation);
        open.transaction.tables().table(NAMES[which]).unwrap().definition.id
    }

    fn insert(&mut self, open: &mut Open, which: usize) {
        let id = self.touch(open, which);
        let count = 1 + self.below(5);
        let chosen: Vec<(i64, Row)> = (0..count)
            .map(|_| {
                let number = self.number();
                let key = if which == 0 { self.below(KEYS) } else { number };
                (key as i64, (format!("text {number} of {key}"), number))
            })
            .collect();
        let mode = [OnConflict::Refuse, OnConflict::Skip, OnConflict::Replace][self.below(3) as usize];
        let given: Vec<(i64, String)> = chosen.iter().map(|(key, row)| (*key, row.0.clone())).collect();
        let result = open.transaction.insert(id, rows(&given), mode);
        let (table, overlay) = (&self.tables[which], &mut open.overlays[which]);
        let before = overlay.view(table);
        let mut seen = BTreeSet::new();
        let clashes = chosen.iter().any(|(key, _)| before.contains_key(key) || !seen.insert(*key));
        if mode == OnConflict::Refuse && clashes {
            assert!(matches!(result, Err(StorageError::UniqueViolation { .. })), "{result:?}");
            return;
        }
        let mut places: BTreeMap<i64, u32> = BTreeMap::new();
        for ((key, row), place) in chosen.into_iter().zip(0..) {
            if mode == OnConflict::Skip && (before.contains_key(&key) || places.contains_key(&key)) {
                continue;
            }
            overlay.delete(table, key);
            overlay.inserted.insert(key, row);
            places.insert(key, place);
        }
        overlay.is_written |= !places.is_empty();
        let mut places: Vec<u32> = places.into_values().collect();
        places.sort_unstable();
        assert_eq!(result.unwrap(), places);
    }

    fn delete(&mut self, open: &mut Open, which: usize) {
        let id = self.touch(open, which);
        let view = open.transaction.tables();
        let shown = by_number(view.table(NAMES[which]).unwrap(), "before a deletion");
        let keys: Vec<i64> = if which == 0 {
            (0..1 + self.below(3)).map(|_| self.below(KEYS) as i64).collect()
        } else {
            shown.keys().copied().filter(|_| self.rng.next_u64().is_multiple_of(5)).collect()
        };
        if which == 0 {
            let asked: Vec<(i64, String)> = keys.iter().map(|key| (*key, String::new())).collect();
            let found = open.transaction.find_by_key(id, &rows(&asked)).unwrap();
            let want: Vec<Option<u64>> = keys.iter().map(|key| shown.get(key).map(|row| row.1)).collect();
            assert_eq!(found, want);
        }
        let ids = RoaringTreemap::from_iter(keys.iter().filter_map(|key| shown.get(key)).map(|row| row.1));
        open.transaction.delete(id, &ids).unwrap();
        let (table, overlay) = (&self.tables[which], &mut open.overlays[which]);
        overlay.is_written |= !ids.is_empty();
        keys.into_iter().collect::<BTreeSet<_>>().into_iter().for_each(|key| overlay.delete(table, key));
    }

    fn truncate(&self, open: &mut Open, which: usize) {
        let id = self.touch(open, which);
        open.transaction.truncate(id).unwrap();
        open.overlays[which] = Overlay { is_written: true, is_cleared: true, ..Overlay::default() };
    }

    fn alter(&mut self, open: &mut Open, which: usize) {
        self.touch(open, which);
        let view = open.transaction.tables();
        let mut definition = TableDefinition::clone(&view.table(NAMES[which]).unwrap().definition);
        if definition.columns.len() < 10 {
            let id = definition.next_column;
            definition.next_column = ColumnId(id.0 + 1);
            definition.columns.push(ColumnDefinition {
                id,
                name: format!("more {}", id.0),
                column_type: ColumnType::Int4,
                not_null: false,
                default: None,
                serial: false,
            });
        } else {
            definition.columns.truncate(3);
        }
        open.transaction.alter_table(definition).unwrap();
        open.overlays[which].is_written = true;
        open.overlays[which].is_altered = true;
    }

    fn put_entry(&mut self, open: &mut Open) {
        let body = if self.below(4) == 0 { None } else { Some(self.number()) };
        open.transaction.put_entry("space", "name", body.map(|n| n.to_le_bytes().to_vec()));
        open.entry_base.get_or_insert(self.entry);
        open.entry = Some(body);
    }

    fn roll_back_to(&mut self, open: &mut Open) {
        if open.savepoints.is_empty() {
            return;
        }
        let at = self.below(open.savepoints.len() as u64) as usize;
        open.savepoints.truncate(at + 1);
        let (savepoint, overlays, entry) = open.savepoints[at].clone();
        open.transaction.rollback_to(savepoint);
        (open.overlays, open.entry) = (overlays, entry);
    }

    fn commit(&mut self, open: Open) {
        let entry_conflicts = open.entry.is_some() && open.entry_base != Some(self.entry);
        let conflicts = entry_conflicts
            || (0..2).any(|which| open.overlays[which].conflicts(&self.tables[which], open.bases[which]));
        match open.transaction.commit() {
            Ok(()) => {
                assert!(!conflicts, "a conflict went through");
                for (overlay, table) in open.overlays.iter().zip(&mut self.tables) {
                    overlay.apply(table);
                }
                self.entry = open.entry.unwrap_or(self.entry);
                self.commits += 1;
            }
            Err(StorageError::Conflict { reason }) => {
                assert!(conflicts, "no conflict, but: {reason}");
                self.conflicts += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
}

fn entry_of(body: Option<&Arc<[u8]>>) -> Option<u64> {
    body.map(|body| u64::from_le_bytes(body[..].try_into().unwrap()))
}

#[test]
fn any_run_of_operations_answers_as_the_model() {
    let (seeds, steps) = (20, 5_000);
    let (mut commits, mut conflicts) = (0, 0);
    for seed in 0..seeds {
        let mut world = World::new(seed);
        for _ in 0..steps {
            world.step();
        }
        world.open.clear();
        world.restart();
        world.engine().compact().unwrap();
        world.check();
        commits += world.commits;
        conflicts += world.conflicts;
    }
    assert!(commits > 5_000 && conflicts > 500, "{commits} commits, {conflicts} conflicts");
    println!("{} operations, {commits} commits, {conflicts} conflicts", seeds * steps);
}
