//! `unnest(outer.column)` in the FROM of a subquery, which DataFusion cannot make a join. The outer relation is the
//! catalog's and has a key, so the subquery unnests the column of that relation itself, for each key, and keeps the
//! elements of the outer row's key.

use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, Select, SelectItem, TableAliasColumnDef, TableFactor};

use super::{conjunction, conjuncts, expr, names::ident_name, query, scopes, select_mut};
use crate::{catalog::shape::Shape, error::Result};

/// The name of the key beside the elements.
const KEY: &str = "unnested_of";

/// Rewrites the functions of a subquery's FROM.
pub(super) fn rewrite(found: &mut Query, relations: &scopes::Relations) -> Result<()> {
    let Some(select) = select_mut(found) else { return Ok(()) };
    let own: Vec<String> = scopes::factors(&select.from).into_iter().filter_map(scopes::alias).collect();
    let mut keys = Vec::new();
    for table in &mut select.from {
        for factor in std::iter::once(&mut table.relation).chain(table.joins.iter_mut().map(|j| &mut j.relation)) {
            if let Some(condition) = keyed(factor, &own, relations)? {
                keys.push(condition);
            }
        }
    }
    if keys.is_empty() {
        return Ok(());
    }
    let mut parts = keys;
    if let Some(selection) = select.selection.take() {
        conjuncts(selection, &mut parts);
    }
    select.selection = conjunction(parts);
    Ok(())
}

/// Gives a factor the relation that it unnests a column of; returns the condition on its key. `None` when it is another.
fn keyed(factor: &mut TableFactor, own: &[String], relations: &scopes::Relations) -> Result<Option<Expr>> {
    let TableFactor::Derived { lateral, subquery, alias: Some(alias), .. } = factor else { return Ok(None) };
    let Some(select) = select_mut(subquery) else { return Ok(None) };
    let Some(outer) = owner(select).filter(|outer| !own.contains(&ident_name(outer))) else { return Ok(None) };
    let Some((shape, key)) = relations.relation(&ident_name(&outer)).and_then(|shape| Some((shape, key(shape)?)))
    else {
        return Ok(None);
    };
    let source = query(&format!("SELECT {outer}.{key} AS {KEY} FROM pg_catalog.{} AS {outer}", shape.name))?;
    let Some(source) = super::select(&source) else { return Ok(None) };
    select.from.clone_from(&source.from);
    // The key comes first: an alias may name fewer columns than there are.
    select.projection.splice(0..0, source.projection.iter().cloned());
    if !alias.columns.is_empty() {
        alias.columns.insert(0, TableAliasColumnDef { name: Ident::new(KEY), data_type: None });
    }
    *lateral = false;
    expr(&format!("{}.{KEY} = {outer}.{key}", alias.name)).map(Some)
}

/// The one relation whose columns a SELECT without FROM unnests.
fn owner(select: &Select) -> Option<Ident> {
    if !select.from.is_empty() || select.selection.is_some() {
        return None;
    }
    let mut owner: Option<Ident> = None;
    for item in &select.projection {
        let (SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }) = item else {
            return None;
        };
        for column in scopes::columns(value) {
            let Expr::CompoundIdentifier(parts) = column else { return None };
            let [table, _] = parts.as_slice() else { return None };
            if owner.as_ref().is_some_and(|known| ident_name(known) != ident_name(table)) {
                return None;
            }
            owner = Some(table.clone());
        }
    }
    owner
}

/// The column that tells the rows of a relation apart.
fn key(shape: &Shape) -> Option<&'static str> {
    ["oid", "indexrelid"].into_iter().find(|key| shape.columns.iter().any(|column| column.name == *key))
}
