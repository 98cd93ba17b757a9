//! What one statement sees: the database at a moment, as DataFusion's schemas and as the catalog's objects.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use chronolith_storage::{
    engine::Engine,
    table::{ColumnKey, TableDefinition, TableSnapshot, TablesView},
};
use datafusion::{
    catalog::{CatalogProvider, SchemaProvider, TableProvider},
    error::Result as PlanResult,
};

use crate::{
    error::Result,
    metrics::{MetricTable, metric_names, metric_schema},
    objects::{IndexInfo, Objects, Relation, RelationKind},
    rollup,
    scan::{Layout, Member, TableScanProvider},
    stored::{self, StoredIndex, StoredView},
};

/// The one schema of all tables.
pub(crate) const PUBLIC: &str = "public";

/// What the statement that runs sees. Shared by the session's context, whose schemas look here.
pub(crate) struct Scope {
    engine: Engine,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    /// What the statement sees; between statements, what there is.
    view: Option<TablesView>,
    /// The table that is seen with its row ids.
    row_ids: Option<String>,
    /// The highest row id that a rollup's query reads of its source.
    until: Option<u64>,
    /// By table, the values of its documents that this statement reads, by the names that it gives them.
    members: BTreeMap<String, BTreeMap<String, Member>>,
    layouts: BTreeMap<String, CachedLayout>,
}

/// A layout and what it was made of.
struct CachedLayout {
    definition: Arc<TableDefinition>,
    fields: Arc<[ColumnKey]>,
    layout: Arc<Layout>,
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}

impl Scope {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine, now: Mutex::default() }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a statement that sees this, or ends one.
    pub(crate) fn see(&self, view: Option<TablesView>) {
        let mut now = self.now();
        now.view = view;
        now.row_ids = None;
        now.until = None;
        now.members.clear();
    }

    /// The tables that are seen.
    pub(crate) fn view(&self) -> TablesView {
        let seen = self.now().view.clone();
        seen.unwrap_or_else(|| self.engine.tables())
    }

    /// The table of this name.
    pub(crate) fn table(&self, name: &str) -> Option<TableSnapshot> {
        self.view().table(name).cloned()
    }

    /// Shows a table with its row ids, or none.
    pub(crate) fn show_row_ids(&self, table: Option<&str>) {
        self.now().row_ids = table.map(str::to_owned);
    }

    /// Lets the queries of rollups read their sources up to a row id, until the statement's end.
    pub(crate) fn read_until(&self, id: Option<u64>) {
        self.now().until = id;
    }

    /// The table that a rollup's query reads under this name, which is of the kind that only such queries have.
    pub(crate) fn rollup_source(&self, name: &str) -> Option<TableSnapshot> {
        let rollup = name.strip_prefix(rollup::AFTER).or_else(|| name.strip_prefix(rollup::UNTIL))?;
        let view = self.view();
        view.table(&rollup::find(&view, rollup)?.source).cloned()
    }

    /// Shows a value of a dynamic table's documents as a column of this name, until the statement ends.
    pub(crate) fn show_member(&self, table: &str, name: &str, member: Member) {
        self.now().members.entry(table.to_owned()).or_default().insert(name.to_owned(), member);
    }

    /// The values of a table's documents that are shown beside its columns.
    pub(crate) fn members(&self, table: &str) -> BTreeMap<String, Member> {
        self.now().members.get(table).cloned().unwrap_or_default()
    }

    /// The view of this name.
    pub(crate) fn stored_view(&self, name: &str) -> Option<StoredView> {
        stored::view(&self.view(), name)
    }

    /// The columns of a table as queries see them.
    pub(crate) fn layout(&self, table: &TableSnapshot) -> Arc<Layout> {
        let name = &table.definition.name;
        let mut now = self.now();
        if let Some(cached) = now.layouts.get(name)
            && Arc::ptr_eq(&cached.definition, &table.definition)
            && Arc::ptr_eq(&cached.fields, &table.fields)
        {
            return Arc::clone(&cached.layout);
        }
        let layout = Arc::new(Layout::new(table, &BTreeMap::new(), false));
        let cached = CachedLayout {
            definition: Arc::clone(&table.definition),
            fields: Arc::clone(&table.fields),
            layout: Arc::clone(&layout),
        };
        now.layouts.insert(name.clone(), cached);
        layout
    }

    fn provider(&self, name: &str) -> Option<Arc<dyn TableProvider>> {
        let now = self.now();
        let with_row_ids = now.row_ids.as_deref() == Some(name);
        let until = now.until.unwrap_or(u64::MAX);
        let members = now.members.get(name).cloned().unwrap_or_default();
        drop(now);
        if let Some(source) = self.rollup_source(name) {
            let from = match name.strip_prefix(rollup::AFTER) {
                Some(rollup) => rollup::State::read(&self.view(), source.definition.id, rollup).ok()?.watermark() + 1,
                None => 0,
            };
            let layout = match members.is_empty() {
                true => self.layout(&source),
                false => Arc::new(Layout::new(&source, &members, false)),
            };
            return Some(Arc::new(TableScanProvider::new(source, layout).with_ids(from..=until)));
        }
        let table = self.table(name)?;
        let layout = if with_row_ids || !members.is_empty() {
            Arc::new(Layout::new(&table, &members, with_row_ids))
        } else {
            self.layout(&table)
        };
        Some(Arc::new(TableScanProvider::new(table, layout)))
    }
}

impl Objects for Scope {
    fn relations(&self) -> Result<Arc<[Relation]>> {
        let view = self.view();
        let mut relations: Vec<Relation> = view
            .tables()
            .filter(|table| rollup::of_store(&view, &table.definition.name).is_none())
            .map(|table| Relation {
                name: table.definition.name.clone(),
                kind: RelationKind::Table,
                schema: Arc::clone(&self.layout(table).schema),
                definition: Some(Arc::clone(&table.definition)),
                query: None,
            })
            .collect();
        relations.extend(stored::views(&view).map(|(name, stored)| Relation {
            name,
            kind: if stored.rollup.is_some() { RelationKind::MaterializedView } else { RelationKind::View },
            schema: Arc::new(stored.schema()),
            definition: None,
            query: Some(stored.query),
        }));
        for name in metric_names(&self.engine)? {
            if relations.iter().any(|relation| relation.name == name) {
                continue;
            }
            if let Some(schema) = metric_schema(&self.engine, &name)? {
                relations.push(Relation { name, kind: RelationKind::Metric, schema, definition: None, query: None });
            }
        }
        relations.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(relations.into())
    }

    fn indexes(&self) -> Arc<[IndexInfo]> {
        let view = self.view();
        let keys = view.tables().filter(|t| !t.definition.primary_key.is_empty()).map(|table| {
            let definition = &table.definition;
            let columns = definition.primary_key.iter().filter_map(|id| definition.column(*id).map(|c| c.name.clone()));
            IndexInfo {
                name: format!("{}_pkey", definition.name),
                table: definition.name.clone(),
                columns: columns.collect(),
                unique: true,
                primary: true,
                method: "btree".to_owned(),
            }
        });
        let mut indexes: Vec<IndexInfo> =
            keys.chain(stored::indexes(&view).map(|(name, i)| index_info(name, i))).collect();
        indexes.sort_by(|a, b| a.name.cmp(&b.name));
        indexes.into()
    }

    fn comment(&self, relation: &str, column: Option<&str>) -> Option<String> {
        stored::comment(&self.view(), relation, column)
    }

    fn row_count(&self, table: &str) -> Option<u64> {
        self.view().table(table).map(TableSnapshot::len)
    }
}

fn index_info(name: String, index: StoredIndex) -> IndexInfo {
    IndexInfo {
        name,
        table: index.table,
        columns: index.columns,
        unique: index.unique,
        primary: false,
        method: index.method,
    }
}

/// The schema `public`, and behind it `pg_catalog`, whose names need no schema.
#[derive(Debug)]
pub(crate) struct PublicSchema {
    pub(crate) scope: Arc<Scope>,
    pub(crate) behind: Option<Arc<dyn SchemaProvider>>,
}

#[async_trait]
impl SchemaProvider for PublicSchema {
    fn table_names(&self) -> Vec<String> {
        self.scope.view().tables().map(|table| table.definition.name.clone()).collect()
    }

    async fn table(&self, name: &str) -> PlanResult<Option<Arc<dyn TableProvider>>> {
        if let Some(own) = self.scope.provider(name) {
            return Ok(Some(own));
        }
        if let Some(behind) = &self.behind
            && let Some(system) = behind.table(name).await?
        {
            return Ok(Some(system));
        }
        let metric = MetricTable::find(&self.scope.engine, name)?;
        Ok(metric.map(|metric| Arc::new(metric) as Arc<dyn TableProvider>))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.scope.provider(name).is_some()
            || self.behind.as_ref().is_some_and(|behind| behind.table_exist(name))
            || metric_schema(&self.scope.engine, name).is_ok_and(|schema| schema.is_some())
    }
}

/// The database: its schemas.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) schemas: BTreeMap<String, Arc<dyn SchemaProvider>>,
}

impl CatalogProvider for Database {
    fn schema_names(&self) -> Vec<String> {
        self.schemas.keys().cloned().collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        self.schemas.get(name).cloned()
    }
}
