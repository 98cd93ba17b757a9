//! Relations that are more than a name: views stand for their queries, and fields of documents are found by their paths.

use std::{collections::BTreeSet, ops::ControlFlow};

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Ident, Query, SelectItem, SetExpr, Statement, TableAlias, TableFactor, Value,
    VisitorMut,
};

use super::members;
use crate::{
    error::{Result, SqlError},
    functions::{self, IN_UTC},
    parse::{self, ident, quoted, walk_mut},
    rollup,
    scope::Scope,
};

/// Views that may stand in each other.
const MOST_NESTED_VIEWS: usize = 32;

/// Puts the queries of views in place of their names, then finds the fields of documents.
///
/// # Errors
/// When a view's query cannot be read any more, or views nest too deeply.
pub(crate) fn relations(statement: &mut Statement, scope: &Scope) -> Result<()> {
    let mut names = Names { scope, with: BTreeSet::new(), tables: Vec::new(), depth: 0, error: None };
    let _ = walk_mut(statement, &mut names);
    if let Some(error) = names.error {
        return Err(error);
    }
    let _ = walk_mut(statement, &mut ExistsInResult);
    let mut paths = Paths { scope, tables: names.tables };
    if paths.tables.iter().any(|table| table.dynamic) {
        members::find(statement, scope);
        let _ = walk_mut(statement, &mut paths);
    }
    members::leave_out(statement, scope)
}

/// A table that the statement reads.
struct Read {
    /// What the statement calls it.
    called: String,
    name: String,
    dynamic: bool,
}

struct Names<'a> {
    scope: &'a Scope,
    /// The names that WITH gives.
    with: BTreeSet<String>,
    tables: Vec<Read>,
    depth: usize,
    error: Option<SqlError>,
}

impl VisitorMut for Names<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(with) = &query.with {
            self.with.extend(with.cte_tables.iter().map(|cte| ident(&cte.alias.name)));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, alias, args: None, .. } = factor else { return ControlFlow::Continue(()) };
        let Ok(relation) = parse::relation_name(name) else { return ControlFlow::Continue(()) };
        if name.0.len() == 1 && self.with.contains(&relation) {
            return ControlFlow::Continue(());
        }
        if let Some(table) = self.scope.table(&relation) {
            let called = alias.as_ref().map_or_else(|| relation.clone(), |alias| ident(&alias.name));
            self.tables.push(Read { called, name: relation, dynamic: table.definition.dynamic });
            return ControlFlow::Continue(());
        }
        if let Some(source) = self.scope.rollup_source(&relation) {
            let called = alias.as_ref().map_or_else(|| relation.clone(), |alias| ident(&alias.name));
            let dynamic = source.definition.dynamic;
            self.tables.push(Read { called, name: source.definition.name.clone(), dynamic });
            return ControlFlow::Continue(());
        }
        let Some(view) = self.scope.stored_view(&relation) else { return ControlFlow::Continue(()) };
        let query = match &view.rollup {
            None => Ok(view.query),
            Some(rollup) => rollup::read(&self.scope.view(), |table| self.scope.layout(table), &relation, rollup)
                .map(|query| format!("SELECT * FROM ({query}) AS {}", quoted(IN_UTC))),
        };
        let alias = alias.take().unwrap_or_else(|| TableAlias {
            explicit: true,
            name: quoted(&relation),
            columns: Vec::new(),
            at: None,
        });
        match query.and_then(|query| self.inlined(&relation, &query)) {
            Ok(subquery) => {
                *factor = TableFactor::Derived { lateral: false, subquery, alias: Some(alias), sample: None };
                ControlFlow::Continue(())
            }
            Err(error) => {
                self.error = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

impl Names<'_> {
    /// The query of a view, whose own relations mean what they mean in it.
    fn inlined(&mut self, name: &str, query: &str) -> Result<Box<Query>> {
        if self.depth >= MOST_NESTED_VIEWS {
            return Err(SqlError::new(
                b"54001",
                format!("view \"{name}\" has more than {MOST_NESTED_VIEWS} views inside"),
            ));
        }
        let Some(mut statement @ Statement::Query(_)) = parse::parse(query)? else {
            return Err(SqlError::new(b"XX001", format!("the query of view \"{name}\" cannot be read")));
        };
        functions::rewrite_statement(&mut statement)?;
        let mut inner =
            Names { scope: self.scope, with: BTreeSet::new(), tables: Vec::new(), depth: self.depth + 1, error: None };
        let _ = walk_mut(&mut statement, &mut inner);
        if let Some(error) = inner.error {
            return Err(error);
        }
        let mut paths = Paths { scope: self.scope, tables: inner.tables };
        if paths.tables.iter().any(|table| table.dynamic) {
            members::find(&mut statement, self.scope);
            let _ = walk_mut(&mut statement, &mut paths);
        }
        let Statement::Query(query) = statement else {
            return Err(SqlError::new(b"XX001", format!("the query of view \"{name}\" cannot be read")));
        };
        Ok(query)
    }
}

/// Finds fields of documents: `a.b` and `t.a.b` are the column `a.b` of a dynamic table, in the case they are written in.
struct Paths<'a> {
    scope: &'a Scope,
    tables: Vec<Read>,
}

impl VisitorMut for Paths<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let found = match expr {
            Expr::Identifier(name) => self.field(&self.tables, std::slice::from_ref(name)).map(|field| vec![field]),
            Expr::CompoundIdentifier(names) => self.compound(names),
            _ => None,
        };
        if let Some(mut names) = found {
            *expr = if names.len() == 1 { Expr::Identifier(names.remove(0)) } else { Expr::CompoundIdentifier(names) };
        }
        ControlFlow::Continue(())
    }
}

impl Paths<'_> {
    fn compound(&self, names: &[Ident]) -> Option<Vec<Ident>> {
        let (first, rest) = names.split_first()?;
        let called = ident(first);
        let of_table: Vec<&Read> = self.tables.iter().filter(|table| table.called == called).collect();
        if of_table.is_empty() {
            return self.field(&self.tables, names).map(|field| vec![field]);
        }
        let field = of_table.iter().find_map(|table| self.field_of(table, rest))?;
        Some(vec![first.clone(), field])
    }

    fn field(&self, tables: &[Read], path: &[Ident]) -> Option<Ident> {
        // A column of another table may be what is meant.
        let declared = |table: &Read, name: &str| {
            let snapshot = self.scope.table(&table.name);
            snapshot.is_some_and(|s| !table.dynamic && s.definition.column_named(name).is_some())
        };
        if let [name] = path
            && tables.iter().any(|table| declared(table, &ident(name)))
        {
            return None;
        }
        tables.iter().find_map(|table| self.field_of(table, path))
    }

    /// The field of a dynamic table that a path means: in the case it is written in, or else in lower case.
    fn field_of(&self, table: &Read, path: &[Ident]) -> Option<Ident> {
        if !table.dynamic {
            return None;
        }
        let snapshot = self.scope.table(&table.name)?;
        let layout = self.scope.layout(&snapshot);
        let written: Vec<&str> = path.iter().map(|part| part.value.as_str()).collect();
        let written = written.join(".");
        let folded: Vec<String> = path.iter().map(ident).collect();
        let folded = folded.join(".");
        let names = [written, folded];
        if let Some(name) = names.iter().find(|name| layout.schema.index_of(name).is_ok()) {
            return Some(quoted(name));
        }
        // An object has no column; it is shown as one.
        let (name, member) = names.iter().find_map(|name| Some((name, members::object(&snapshot, name)?)))?;
        self.scope.show_member(&table.name, name, member);
        Some(quoted(name))
    }
}

/// EXISTS in a result is a count that is more than nothing: DataFusion has EXISTS in conditions only.
struct ExistsInResult;

impl VisitorMut for ExistsInResult {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let SetExpr::Select(select) = &mut *query.body {
            for item in &mut select.projection {
                if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                    let _ = walk_mut(expr, &mut CountInstead);
                }
            }
        }
        ControlFlow::Continue(())
    }
}

struct CountInstead;

impl VisitorMut for CountInstead {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Exists { subquery, negated } = expr else { return ControlFlow::Continue(()) };
        let SetExpr::Select(select) = &mut *subquery.body else { return ControlFlow::Continue(()) };
        let groups = !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
        if groups || select.having.is_some() || select.distinct.is_some() || subquery.limit_clause.is_some() {
            return ControlFlow::Continue(());
        }
        let Ok(count) = parse::parse_expr("count(*)") else { return ControlFlow::Continue(()) };
        select.projection = vec![SelectItem::ExprWithAlias { expr: count, alias: quoted("count") }];
        subquery.order_by = None;
        let counted = Expr::Subquery(subquery.clone());
        let op = if *negated { BinaryOperator::Eq } else { BinaryOperator::Gt };
        let zero = Expr::Value(Value::Number("0".to_owned(), false).into());
        *expr = Expr::Nested(Box::new(Expr::BinaryOp { left: Box::new(counted), op, right: Box::new(zero) }));
        ControlFlow::Continue(())
    }
}
