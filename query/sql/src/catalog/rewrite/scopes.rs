//! What names in a statement stand for: relations of the catalog by their aliases, and which columns are an outer query's.

use std::{
    collections::{HashMap, HashSet},
    ops::ControlFlow,
};

use datafusion::sql::sqlparser::ast::{
    Expr, ObjectNamePart, Query, Select, SelectItem, Statement, TableFactor, TableWithJoins, Visitor,
};

use super::names::ident_name;
use crate::catalog::{
    entries::namespace,
    shape::{Shape, shape},
};
use crate::parse::walk;

/// The names of all WITH clauses of a statement.
pub(super) fn ctes(statement: &Statement) -> HashSet<String> {
    struct Ctes(HashSet<String>);
    impl Visitor for Ctes {
        type Break = ();
        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            let tables = query.with.iter().flat_map(|w| &w.cte_tables);
            self.0.extend(tables.map(|cte| ident_name(&cte.alias.name)));
            ControlFlow::Continue(())
        }
    }
    let mut ctes = Ctes(HashSet::new());
    let _ = walk(statement, &mut ctes);
    ctes.0
}

/// The relations of a statement by alias.
pub(super) struct Relations {
    /// The catalog's relation behind an alias; `None` when the alias stands for different things.
    aliases: HashMap<String, Option<&'static Shape>>,
    /// Whether relations are there that are not the catalog's.
    foreign: bool,
}

impl Relations {
    /// Those of a statement.
    pub(super) fn of(statement: &Statement) -> Self {
        let mut relations = Self { aliases: HashMap::new(), foreign: false };
        let mut visitor = Collect { ctes: ctes(statement), relations: &mut relations };
        let _ = walk(statement, &mut visitor);
        relations
    }

    /// Whether the statement reads the catalog.
    pub(super) fn is_catalog(&self) -> bool {
        self.aliases.values().any(Option::is_some)
    }

    /// The relation of the catalog behind an alias.
    pub(super) fn relation(&self, alias: &str) -> Option<&'static Shape> {
        *self.aliases.get(alias)?
    }

    /// The relation of the catalog and the column that an expression names, if it names one.
    pub(super) fn column(&self, expr: &Expr) -> Option<(&'static str, String)> {
        match super::bare(expr) {
            Expr::CompoundIdentifier(parts) => {
                let [.., table, column] = parts.as_slice() else { return None };
                let shape = (*self.aliases.get(&ident_name(table))?)?;
                Some((shape.name, ident_name(column)))
            }
            Expr::Identifier(column) if !self.foreign => {
                let column = ident_name(column);
                let has = |s: &&&'static Shape| s.columns.iter().any(|c| c.name == column);
                let found: Vec<&'static str> = self.aliases.values().flatten().filter(has).map(|s| s.name).collect();
                let name = *found.first()?;
                found.iter().all(|n| *n == name).then_some((name, column))
            }
            _ => None,
        }
    }
}

struct Collect<'a> {
    ctes: HashSet<String>,
    relations: &'a mut Relations,
}

impl Visitor for Collect<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let alias = alias(factor);
        let found = catalog_relation(factor);
        if found.is_none() && matches!(factor, TableFactor::Table { args: None, .. }) {
            self.relations.foreign |= !self.ctes.contains(&alias.clone().unwrap_or_default());
        }
        if let Some(alias) = alias {
            let same = |known: &Option<&'static Shape>| known.map(|s| s.oid) == found.map(|s| s.oid);
            self.relations
                .aliases
                .entry(alias)
                .and_modify(|known| {
                    if !same(known) {
                        *known = None;
                    }
                })
                .or_insert(found);
        }
        ControlFlow::Continue(())
    }
}

/// The relation of the catalog that a factor of FROM is.
pub(super) fn catalog_relation(factor: &TableFactor) -> Option<&'static Shape> {
    let TableFactor::Table { name, args: None, .. } = factor else { return None };
    let [.., ObjectNamePart::Identifier(schema), ObjectNamePart::Identifier(table)] = name.0.as_slice() else {
        return None;
    };
    shape(namespace(&ident_name(schema))?, &ident_name(table))
}

/// The name by which columns name a factor of FROM.
pub(super) fn alias(factor: &TableFactor) -> Option<String> {
    let (alias, name) = match factor {
        TableFactor::Table { alias, name, .. } | TableFactor::Function { alias, name, .. } => (alias, Some(name)),
        TableFactor::Derived { alias, .. }
        | TableFactor::UNNEST { alias, .. }
        | TableFactor::TableFunction { alias, .. }
        | TableFactor::NestedJoin { alias, .. } => (alias, None),
        _ => return None,
    };
    if let Some(alias) = alias {
        return Some(ident_name(&alias.name));
    }
    match name?.0.last()? {
        ObjectNamePart::Identifier(ident) => Some(ident_name(ident)),
        ObjectNamePart::Function(_) => None,
    }
}

/// The factors of a FROM clause, those in parentheses too.
pub(super) fn factors(from: &[TableWithJoins]) -> Vec<&TableFactor> {
    let mut found = Vec::new();
    for table in from {
        for factor in std::iter::once(&table.relation).chain(table.joins.iter().map(|j| &j.relation)) {
            match factor {
                TableFactor::NestedJoin { table_with_joins, .. } => {
                    found.extend(factors(std::slice::from_ref(table_with_joins)));
                }
                other => found.push(other),
            }
        }
    }
    found
}

/// Whether a column belongs to this SELECT's own FROM.
pub(super) fn is_inner(select: &Select, column: &Expr) -> bool {
    let factors = factors(&select.from);
    match super::bare(column) {
        Expr::CompoundIdentifier(parts) => {
            let Some(table) = parts.len().checked_sub(2).and_then(|at| parts.get(at)) else { return true };
            let table = ident_name(table);
            factors.iter().any(|f| alias(f).is_some_and(|a| a == table))
        }
        Expr::Identifier(name) => {
            let name = ident_name(name);
            factors.iter().any(|f| has_column(f, &name))
        }
        _ => true,
    }
}

/// Whether a factor has a column of this name; yes when that cannot be told.
fn has_column(factor: &TableFactor, name: &str) -> bool {
    if let Some(shape) = catalog_relation(factor) {
        return shape.columns.iter().any(|c| c.name == name);
    }
    match factor {
        TableFactor::Derived { subquery, alias, .. } => {
            if let Some(alias) = alias.as_ref().filter(|a| !a.columns.is_empty()) {
                return alias.columns.iter().any(|c| ident_name(&c.name) == name);
            }
            super::select(subquery).is_none_or(|select| {
                select.projection.iter().any(|item| match item {
                    SelectItem::ExprWithAlias { alias, .. } => ident_name(alias) == name,
                    SelectItem::UnnamedExpr(Expr::Identifier(ident)) => ident_name(ident) == name,
                    SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => {
                        parts.last().is_some_and(|p| ident_name(p) == name)
                    }
                    SelectItem::UnnamedExpr(_) => false,
                    _ => true,
                })
            })
        }
        TableFactor::Table { alias, args: Some(_), .. }
        | TableFactor::UNNEST { alias, .. }
        | TableFactor::Function { alias, .. } => alias
            .as_ref()
            .is_some_and(|a| ident_name(&a.name) == name || a.columns.iter().any(|c| ident_name(&c.name) == name)),
        _ => true,
    }
}

/// The columns that an expression names, those inside its subqueries too.
pub(super) fn columns(expr: &Expr) -> Vec<Expr> {
    struct Columns(Vec<Expr>);
    impl Visitor for Columns {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            if matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
                self.0.push(expr.clone());
            }
            ControlFlow::Continue(())
        }
    }
    let mut columns = Columns(Vec::new());
    let _ = walk(expr, &mut columns);
    columns.0
}
