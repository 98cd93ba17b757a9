//! Functions in FROM: what gives a set as `unnest` of a list in a subquery, what gives one value as a row of it, and what
//! reads a column of an earlier relation as a column of that one.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Function, FunctionArg, FunctionArgExpr, Ident, JoinConstraint, JoinOperator, ObjectNamePart,
    Select, TableAlias, TableFactor, Value, ValueWithSpan, VisitorMut,
};

use super::{names::ident_name, query, scopes, select};
use crate::parse::walk_mut;
use crate::{
    catalog::functions,
    error::{Result, SqlError},
};

/// A function in FROM.
struct Call {
    /// Its name in lower case.
    name: String,
    /// Its arguments.
    args: Vec<Expr>,
    /// The name of its rows.
    alias: String,
    /// The names of its columns: as many as given, at least one.
    columns: Vec<String>,
    /// Whether rows are numbered.
    ordinality: bool,
}

impl Call {
    /// The function that a factor of FROM is.
    fn of(factor: &TableFactor) -> Option<Self> {
        let unnamed = |args: &[FunctionArg]| {
            let exprs = args.iter().map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
                _ => None,
            });
            exprs.collect::<Option<Vec<_>>>()
        };
        let (name, args, alias, ordinality) = match factor {
            TableFactor::Table { name, args: Some(args), alias, with_ordinality, .. } => {
                (name.0.last()?, unnamed(&args.args)?, alias, *with_ordinality)
            }
            TableFactor::Function { name, args, alias, with_ordinality, .. } => {
                (name.0.last()?, unnamed(args)?, alias, *with_ordinality)
            }
            TableFactor::UNNEST { array_exprs, alias, with_ordinality, with_offset: false, .. } => {
                return Some(Self::new("unnest".to_owned(), array_exprs.clone(), alias.as_ref(), *with_ordinality));
            }
            _ => return None,
        };
        let ObjectNamePart::Identifier(name) = name else { return None };
        Some(Self::new(ident_name(name), args, alias.as_ref(), ordinality))
    }

    fn new(name: String, args: Vec<Expr>, alias: Option<&TableAlias>, ordinality: bool) -> Self {
        let rows = alias.map_or_else(|| name.clone(), |a| ident_name(&a.name));
        let mut columns: Vec<String> =
            alias.map(|a| a.columns.iter().map(|c| ident_name(&c.name)).collect()).unwrap_or_default();
        if columns.is_empty() {
            columns.push(rows.clone());
        }
        Self { name, args, alias: rows, columns, ordinality }
    }

    /// Whether it is one that is rewritten here.
    fn is_ours(&self) -> bool {
        let fixed = |e: &Expr| match e {
            Expr::UnaryOp { expr, .. } => matches!(**expr, Expr::Value(_)),
            other => matches!(other, Expr::Value(_)),
        };
        match self.name.as_str() {
            "unnest" => true,
            "generate_series" => self.args.len() == 2 && !self.args.iter().all(fixed),
            name => functions::gives_set(name) || functions::gives_value(name),
        }
    }

    /// Its columns as items of a SELECT.
    fn items(&self, prefix: &str) -> Vec<(String, String)> {
        let quoted = |name: &str| format!("\"{}\"", format!("{prefix}{name}").replace('"', "\"\""));
        let args: Vec<String> = self.args.iter().map(ToString::to_string).collect();
        let joined = args.join(", ");
        let mut items: Vec<(String, String)> = match self.name.as_str() {
            "unnest" => args.iter().map(|arg| (format!("unnest({arg})"), arg.clone())).collect(),
            "generate_series" => {
                let list = format!("generate_series(CAST({} AS BIGINT), CAST({} AS BIGINT))", args[0], args[1]);
                vec![(format!("unnest({list})"), list)]
            }
            name if functions::gives_set(name) => {
                vec![(format!("unnest({name}({joined}))"), format!("{name}({joined})"))]
            }
            name => vec![(format!("{name}({joined})"), String::new())],
        };
        if self.ordinality
            && let Some((_, list)) = items.first().cloned()
        {
            let number = if list.is_empty() {
                "CAST(1 AS BIGINT)".to_owned()
            } else {
                format!("unnest(generate_series(CAST(1 AS BIGINT), CAST(cardinality({list}) AS BIGINT)))")
            };
            items.push((number, String::new()));
        }
        let fallback = ["ordinality", "column3", "column4"];
        items
            .into_iter()
            .enumerate()
            .map(|(at, (item, _))| {
                let name = self.columns.get(at).map_or_else(|| fallback[(at.max(1) - 1).min(2)], String::as_str);
                (name.to_owned(), format!("{item} AS {}", quoted(name)))
            })
            .collect()
    }

    fn texts(&self, prefix: &str) -> String {
        self.items(prefix).into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(", ")
    }
}

/// The pass.
pub(super) struct Functions;

impl VisitorMut for Functions {
    type Break = SqlError;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        flow(absorb(select))
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<SqlError> {
        flow(replace(factor))
    }

    /// Functions that give a set stand in SELECT too; `unnest` is all that DataFusion knows there.
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        let set = |e: &Expr| match e {
            Expr::Function(function) => functions::gives_set(&function.name.to_string().to_lowercase()),
            _ => false,
        };
        flow(match expr {
            Expr::Function(Function { name, args, .. }) if name.to_string().eq_ignore_ascii_case("unnest") => {
                // What the rewrite of FROM made already.
                if let datafusion::sql::sqlparser::ast::FunctionArguments::List(list) = args
                    && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(inner))] = list.args.as_mut_slice()
                    && let Some(call) = unwrapped(inner)
                {
                    *inner = call;
                }
                Ok(())
            }
            found if set(found) => super::expr(&format!("unnest({found})")).map(|wrapped| *found = wrapped),
            Expr::CompoundFieldAccess { root, access_chain } => field(root, access_chain).map(|made| {
                if let Some(made) = made {
                    *expr = made;
                }
            }),
            _ => Ok(()),
        })
    }
}

fn flow(result: Result<()>) -> ControlFlow<SqlError> {
    result.map_or_else(ControlFlow::Break, ControlFlow::Continue)
}

/// The argument of an `unnest` that stands in another.
fn unwrapped(expr: &Expr) -> Option<Expr> {
    let Expr::Function(function) = expr else { return None };
    if !function.name.to_string().eq_ignore_ascii_case("unnest") {
        return None;
    }
    let datafusion::sql::sqlparser::ast::FunctionArguments::List(list) = &function.args else { return None };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(inner))] => Some(inner.clone()),
        _ => None,
    }
}

/// `(x).n` as the field of a struct.
fn field(root: &Expr, chain: &[AccessExpr]) -> Result<Option<Expr>> {
    let [AccessExpr::Dot(Expr::Identifier(name))] = chain else { return Ok(None) };
    if !matches!(root, Expr::Nested(_)) {
        return Ok(None);
    }
    super::expr(&format!("get_field({}, '{}')", super::bare(root), ident_name(name).replace('\'', "''"))).map(Some)
}

fn replace(factor: &mut TableFactor) -> Result<()> {
    let Some(call) = Call::of(factor).filter(Call::is_ours) else { return Ok(()) };
    let alias = Ident::with_quote('"', call.alias.replace('"', "\"\""));
    if let Some(derived) = derived(&format!("(SELECT {}) AS {alias}", call.texts("")))? {
        *factor = derived;
    }
    Ok(())
}

/// The factor of FROM that a text is.
fn derived(text: &str) -> Result<Option<TableFactor>> {
    let query = query(&format!("SELECT * FROM {text}"))?;
    Ok(select(&query).and_then(|s| s.from.first()).map(|t| t.relation.clone()))
}

/// Makes functions of an earlier relation's columns columns of that relation.
fn absorb(select: &mut Select) -> Result<()> {
    let found = scopes::factors(&select.from).into_iter().find_map(|factor| {
        let call = Call::of(factor).filter(|call| call.is_ours() || call.name == "generate_series")?;
        let columns: Vec<Expr> = call.args.iter().flat_map(scopes::columns).collect();
        let owner = match columns.first()? {
            Expr::CompoundIdentifier(parts) => ident_name(parts.get(parts.len().checked_sub(2)?)?),
            _ => return None,
        };
        Some((call, owner))
    });
    let Some((call, owner)) = found else { return Ok(()) };
    let prefix = format!("{}.", call.alias);
    let items = call.items(&prefix);
    if !take_out(select, &call.alias) {
        return Ok(());
    }
    let text = items.iter().map(|(_, text)| text.clone()).collect::<Vec<_>>().join(", ");
    for table in &mut select.from {
        for factor in std::iter::once(&mut table.relation).chain(table.joins.iter_mut().map(|j| &mut j.relation)) {
            if scopes::alias(factor).is_some_and(|a| a == owner)
                && let Some(wider) = derived(&format!("(SELECT {owner}.*, {text} FROM {factor}) AS {owner}"))?
            {
                *factor = wider;
            }
        }
    }
    let names: Vec<String> = items.into_iter().map(|(name, _)| name).collect();
    let _ = walk_mut(select, &mut Rename { call: &call.alias, names: &names, owner: &owner, prefix: &prefix });
    // There may be another.
    absorb(select)
}

/// Takes a function out of FROM: one after a comma, or joined without a condition.
fn take_out(select: &mut Select, alias: &str) -> bool {
    let is_it = |factor: &TableFactor| Call::of(factor).is_some_and(|c| c.alias == alias);
    let before = select.from.len();
    select.from.retain(|table| !(table.joins.is_empty() && is_it(&table.relation)));
    if select.from.len() < before {
        return !select.from.is_empty();
    }
    for table in &mut select.from {
        let joins = table.joins.len();
        table.joins.retain(|join| {
            let plain = match &join.join_operator {
                JoinOperator::CrossJoin(_) => true,
                JoinOperator::Join(on) | JoinOperator::Inner(on) => match on {
                    JoinConstraint::None => true,
                    JoinConstraint::On(Expr::Value(ValueWithSpan { value, .. })) => *value == Value::Boolean(true),
                    _ => false,
                },
                _ => false,
            };
            !(plain && is_it(&join.relation))
        });
        if table.joins.len() < joins {
            return true;
        }
    }
    false
}

/// Names a function's columns by the relation that took them.
struct Rename<'a> {
    call: &'a str,
    names: &'a [String],
    owner: &'a str,
    prefix: &'a str,
}

impl VisitorMut for Rename<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let name = match expr {
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [table, column] if ident_name(table) == self.call => ident_name(column),
                _ => return ControlFlow::Continue(()),
            },
            Expr::Identifier(ident) if self.names.contains(&ident_name(ident)) => ident_name(ident),
            _ => return ControlFlow::Continue(()),
        };
        let column = Ident::with_quote('"', format!("{}{name}", self.prefix));
        *expr = Expr::CompoundIdentifier(vec![Ident::with_quote('"', self.owner), column]);
        ControlFlow::Continue(())
    }
}
