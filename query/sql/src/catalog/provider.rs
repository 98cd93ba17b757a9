//! The schemas `pg_catalog` and `information_schema` as DataFusion sees them. Rows are made when a query scans them.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    catalog::{SchemaProvider, Session, TableProvider},
    datasource::{TableType, memory::MemorySourceConfig},
    error::Result,
    logical_expr::Expr,
    physical_plan::ExecutionPlan,
};

use super::{
    information, relations,
    scope::Scope,
    server,
    shape::{PG_CATALOG, Rows, SHAPES, Shape, shape},
};

/// One of the two schemas.
#[derive(Debug)]
pub(super) struct CatalogSchema {
    /// Its number.
    pub(super) namespace: u32,
    /// What its rows are made of.
    pub(super) scope: Arc<Scope>,
}

#[async_trait]
impl SchemaProvider for CatalogSchema {
    fn table_names(&self) -> Vec<String> {
        SHAPES.iter().filter(|s| s.namespace == self.namespace).map(|s| s.name.to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let table = |shape| Arc::new(CatalogTable { shape, scope: Arc::clone(&self.scope) }) as Arc<dyn TableProvider>;
        Ok(shape(self.namespace, name).map(table))
    }

    fn table_exist(&self, name: &str) -> bool {
        shape(self.namespace, name).is_some()
    }
}

/// A relation of one of them.
#[derive(Debug)]
struct CatalogTable {
    shape: &'static Shape,
    scope: Arc<Scope>,
}

#[async_trait]
impl TableProvider for CatalogTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.shape.schema)
    }

    fn table_type(&self) -> TableType {
        if self.shape.view { TableType::View } else { TableType::Base }
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut rows = Rows::new(self.shape);
        if self.shape.namespace == PG_CATALOG {
            fill_pg_catalog(self.shape.name, &self.scope, state, &mut rows)?;
        } else {
            fill_information_schema(self.shape.name, &self.scope, &mut rows)?;
        }
        let batch = rows.batch()?;
        Ok(MemorySourceConfig::try_new_exec(&[vec![batch]], self.schema(), projection.cloned())?)
    }
}

/// Relations that are not named here are always empty.
fn fill_pg_catalog(name: &str, scope: &Scope, state: &dyn Session, rows: &mut Rows) -> Result<()> {
    match name {
        "pg_am" => server::pg_am(scope, rows),
        "pg_attrdef" => relations::pg_attrdef(scope, rows),
        "pg_attribute" => relations::pg_attribute(scope, rows),
        "pg_authid" | "pg_roles" => server::pg_authid(scope, rows),
        "pg_class" => relations::pg_class(scope, rows),
        "pg_collation" => server::pg_collation(scope, rows),
        "pg_constraint" => relations::pg_constraint(scope, rows),
        "pg_database" => server::pg_database(scope, rows),
        "pg_depend" => relations::pg_depend(scope, rows),
        "pg_description" => relations::pg_description(scope, rows),
        "pg_extension" => server::pg_extension(scope, rows),
        "pg_index" => relations::pg_index(scope, rows),
        "pg_indexes" => relations::pg_indexes(scope, rows),
        "pg_language" => server::pg_language(scope, rows),
        "pg_matviews" => relations::pg_matviews(scope, rows),
        "pg_namespace" => relations::pg_namespace(scope, rows),
        "pg_proc" => server::pg_proc(state, rows),
        "pg_rewrite" => relations::pg_rewrite(scope, rows),
        "pg_sequence" => relations::pg_sequence(scope, rows),
        "pg_sequences" => relations::pg_sequences(scope, rows),
        "pg_settings" => server::pg_settings(scope, rows),
        "pg_stat_activity" => server::pg_stat_activity(scope, rows),
        "pg_stat_all_tables" | "pg_stat_user_tables" => relations::pg_stat_tables(scope, rows),
        "pg_stat_database" => server::pg_stat_database(scope, rows),
        "pg_tables" => relations::pg_tables(scope, rows),
        "pg_tablespace" => server::pg_tablespace(scope, rows),
        "pg_timezone_names" => server::pg_timezone_names(scope, rows),
        "pg_type" => relations::pg_type(scope, rows),
        "pg_user" | "pg_shadow" => server::pg_user(scope, rows),
        "pg_views" => relations::pg_views(scope, rows),
        _ => Ok(()),
    }
}

fn fill_information_schema(name: &str, scope: &Scope, rows: &mut Rows) -> Result<()> {
    match name {
        "character_sets" => information::character_sets(scope, rows),
        "collations" => information::collations(scope, rows),
        "columns" => information::columns(scope, rows),
        "constraint_column_usage" => information::constraint_column_usage(scope, rows),
        "enabled_roles" => information::enabled_roles(scope, rows),
        "information_schema_catalog_name" => information::catalog_name(scope, rows),
        "key_column_usage" => information::key_column_usage(scope, rows),
        "role_table_grants" | "table_privileges" => information::table_privileges(scope, rows),
        "schemata" => information::schemata(scope, rows),
        "sequences" => information::sequences(scope, rows),
        "table_constraints" => information::table_constraints(scope, rows),
        "tables" => information::tables(scope, rows),
        "views" => information::views(scope, rows),
        _ => Ok(()),
    }
}

/// Whether a relation of `pg_catalog` never has a row.
pub(super) fn is_always_empty(name: &str) -> bool {
    const EMPTY: [&str; 24] = [
        "pg_auth_members",
        "pg_cast",
        "pg_conversion",
        "pg_default_acl",
        "pg_db_role_setting",
        "pg_enum",
        "pg_event_trigger",
        "pg_foreign_data_wrapper",
        "pg_foreign_server",
        "pg_foreign_table",
        "pg_inherits",
        "pg_opclass",
        "pg_operator",
        "pg_opfamily",
        "pg_partitioned_table",
        "pg_policy",
        "pg_publication",
        "pg_publication_namespace",
        "pg_publication_rel",
        "pg_range",
        "pg_statistic_ext",
        "pg_subscription",
        "pg_trigger",
        "pg_user_mapping",
    ];
    EMPTY.contains(&name)
}
