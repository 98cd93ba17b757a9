//! Names of result columns, as PostgreSQL gives them: a function's result is called as the function.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, DataType, Expr, Query, Select, SelectItem, SetExpr, Statement, TrimWhereField, VisitorMut,
};

use crate::{
    error::{Result, SqlError},
    parse::{ident, quoted, walk_mut},
    types::{declared_type, type_name},
};

/// Begins a name that stands for another one, which DataFusion could not tell from a column of the same name.
const STANDS_FOR: char = '\u{2}';

/// The name of a column that has none of its own.
pub(crate) fn column_name(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(name) => ident(name),
        Expr::CompoundIdentifier(names) => names.last().map_or_else(|| "?column?".to_owned(), ident),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => column_name(inner),
        Expr::Function(call) => {
            call.name.0.last().and_then(|part| part.as_ident()).map_or_else(|| "?column?".to_owned(), ident)
        }
        Expr::Cast { expr, data_type, .. } if is_unnamed(expr) => type_called(data_type),
        Expr::Cast { expr, .. } => column_name(expr),
        Expr::Case { else_result, .. } => match else_result.as_deref() {
            Some(result) if !is_unnamed(result) => column_name(result),
            _ => "case".to_owned(),
        },
        Expr::Extract { .. } => "extract".to_owned(),
        Expr::Exists { negated: false, .. } => "exists".to_owned(),
        Expr::CompoundFieldAccess { root, .. } => column_name(root),
        Expr::Substring { .. } => "substring".to_owned(),
        Expr::Trim { trim_where, .. } => match trim_where {
            Some(TrimWhereField::Leading) => "ltrim".to_owned(),
            Some(TrimWhereField::Trailing) => "rtrim".to_owned(),
            _ => "btrim".to_owned(),
        },
        Expr::Position { .. } => "position".to_owned(),
        Expr::Ceil { .. } => "ceil".to_owned(),
        Expr::Floor { .. } => "floor".to_owned(),
        Expr::Overlay { .. } => "overlay".to_owned(),
        Expr::AtTimeZone { .. } => "timezone".to_owned(),
        Expr::Array(_) => "array".to_owned(),
        Expr::Interval(_) => "interval".to_owned(),
        Expr::TypedString(typed) => type_called(&typed.data_type),
        Expr::Subquery(query) => match &*query.body {
            SetExpr::Select(select) => match select.projection.first() {
                Some(SelectItem::UnnamedExpr(expr)) => column_name(expr),
                Some(SelectItem::ExprWithAlias { alias, .. }) => ident(alias),
                _ => "?column?".to_owned(),
            },
            _ => "?column?".to_owned(),
        },
        _ => "?column?".to_owned(),
    }
}

/// Whether an expression has no name but that of a type or of CASE, which one around it replaces.
fn is_unnamed(expr: &Expr) -> bool {
    match expr {
        Expr::Cast { expr, .. } | Expr::Nested(expr) | Expr::Collate { expr, .. } => is_unnamed(expr),
        Expr::Case { else_result, .. } => else_result.as_deref().is_none_or(is_unnamed),
        Expr::TypedString(_) | Expr::Interval(_) => true,
        other => column_name(other) == "?column?",
    }
}

/// What a type is called where a column is named after it: as in `pg_type`, without a length, an array as its elements.
fn type_called(data_type: &DataType) -> String {
    let of = match data_type {
        DataType::Array(ArrayElemTypeDef::SquareBracket(of, _) | ArrayElemTypeDef::AngleBracket(of)) => of,
        other => other,
    };
    match declared_type(of) {
        Ok(known) => type_name(&known),
        Err(_) => of.to_string().to_lowercase(),
    }
}

/// Gives the columns of a query, and of all queries in it, the names that PostgreSQL gives them.
pub(crate) fn name_columns(statement: &mut Statement) {
    let _ = walk_mut(statement, &mut Inner);
    let query = match statement {
        Statement::Query(query) => query,
        _ => return,
    };
    if let Some(select) = first_select(&mut query.body) {
        name_result(select);
    }
}

/// Gives the first columns of a query these names.
///
/// # Errors
/// `42601` when there are more names than columns, or the columns are not told one by one.
pub(crate) fn rename_columns(statement: &mut Statement, names: &[String]) -> Result<()> {
    let select = match statement {
        Statement::Query(query) => first_select(&mut query.body),
        _ => None,
    };
    let items = select.map(|select| &mut select.projection);
    let Some(items) = items.filter(|items| items.iter().all(|item| item_name(item).is_some())) else {
        return Err(
            SqlError::unsupported("names of columns for a query of *").with_hint("name the columns in the query")
        );
    };
    if names.len() > items.len() {
        return Err(SqlError::new(b"42601", "CREATE VIEW specifies more column names than columns"));
    }
    for (item, name) in items.iter_mut().zip(names) {
        rename(item, name);
    }
    Ok(())
}

/// What the names of a result stand for.
pub(crate) fn result_schema(schema: &SchemaRef) -> SchemaRef {
    if !schema.fields().iter().any(|field| field.name().starts_with(STANDS_FOR)) {
        return Arc::clone(schema);
    }
    let fields = schema.fields().iter().map(|field| match field.name().strip_prefix(STANDS_FOR) {
        Some(name) => {
            let name = name.split_once(STANDS_FOR).map_or(name, |(_, name)| name);
            Field::clone(field).with_name(name)
        }
        None => Field::clone(field),
    });
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}

fn first_select(body: &mut SetExpr) -> Option<&mut Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => first_select(&mut query.body),
        SetExpr::SetOperation { left, .. } => first_select(left),
        _ => None,
    }
}

/// Of a result, two columns may have one name; each of them gets one that stands for it.
fn name_result(select: &mut Select) {
    let has_wildcard = select
        .projection
        .iter()
        .any(|item| !matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }));
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for item in &select.projection {
        if let Some(name) = item_name(item) {
            *seen.entry(name).or_default() += 1;
        }
    }
    for (place, item) in select.projection.iter_mut().enumerate() {
        let Some(name) = item_name(item) else { continue };
        let plain = matches!(item, SelectItem::UnnamedExpr(Expr::Identifier(_) | Expr::CompoundIdentifier(_)));
        let twice = seen.get(&name).is_some_and(|times| *times > 1) || (plain && has_wildcard);
        if !twice && plain {
            continue;
        }
        let alias = if twice { format!("{STANDS_FOR}{place}{STANDS_FOR}{name}") } else { name };
        rename(item, &alias);
    }
}

fn item_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(expr) => Some(column_name(expr)),
        SelectItem::ExprWithAlias { alias, .. } => Some(ident(alias)),
        _ => None,
    }
}

fn rename(item: &mut SelectItem, alias: &str) {
    match item {
        SelectItem::UnnamedExpr(expr) => {
            // The expression is moved; what stands in its place for a moment is dropped at once.
            let expr = std::mem::replace(expr, Expr::Identifier(quoted("")));
            *item = SelectItem::ExprWithAlias { expr, alias: quoted(alias) };
        }
        SelectItem::ExprWithAlias { alias: name, .. } => *name = quoted(alias),
        _ => {}
    }
}

/// Names the unnamed columns of queries inside, where no other column has the name.
struct Inner;

impl VisitorMut for Inner {
    type Break = ();

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        name_parts(&mut query.body);
        ControlFlow::Continue(())
    }
}

/// Names the columns of each SELECT of a set operation.
fn name_parts(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => name_inner(select),
        SetExpr::SetOperation { left, right, .. } => {
            name_parts(left);
            name_parts(right);
        }
        _ => {}
    }
}

fn name_inner(select: &mut Select) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (place, item) in select.projection.iter_mut().enumerate() {
        let Some(name) = item_name(item) else { continue };
        let times = seen.entry(name.clone()).or_default();
        *times += 1;
        let plain = !matches!(item, SelectItem::UnnamedExpr(expr)
            if !matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)));
        match times {
            1 if plain => {}
            1 => rename(item, &name),
            // Who names it from outside means the first of the name; in PostgreSQL that is an error.
            _ => rename(item, &format!("{STANDS_FOR}{place}{STANDS_FOR}{name}")),
        }
    }
}
