//! Names, operators and types as PostgreSQL spells them: what is qualified by `pg_catalog`, what is found there without.

use std::{collections::HashSet, ops::ControlFlow};

use datafusion::sql::sqlparser::{
    ast::{
        AccessExpr, ArrayElemTypeDef, BinaryOperator, DataType, Expr, Function, Ident, ObjectName, ObjectNamePart,
        Statement, Subscript, TableFactor, Value, VisitorMut,
    },
    parser::Parser,
};

use super::{literal, scopes};
use crate::{
    catalog::shape::{PG_CATALOG, shape},
    error::SqlError,
};

/// The pass. It knows the names of the statement's WITH clauses, which hide relations of the catalog.
pub(super) struct Names {
    ctes: HashSet<String>,
}

impl Names {
    /// The pass for a statement.
    pub(super) fn of(statement: &Statement) -> Self {
        Self { ctes: scopes::ctes(statement) }
    }
}

impl VisitorMut for Names {
    type Break = SqlError;

    fn post_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<SqlError> {
        if let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() {
            let lower = ident_name(ident);
            if lower.starts_with("pg_") && !self.ctes.contains(&lower) && shape(PG_CATALOG, &lower).is_some() {
                name.0.insert(0, ObjectNamePart::Identifier(Ident::new("pg_catalog")));
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<SqlError> {
        match factor {
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => unqualify(name),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        match expr {
            Expr::Function(Function { name, .. }) => unqualify(name),
            Expr::Collate { expr: inner, .. } => *expr = std::mem::replace(inner, Expr::value(Value::Null)),
            Expr::BinaryOp { op, .. } => operator(op),
            Expr::AnyOp { compare_op, .. } | Expr::AllOp { compare_op, .. } => operator(compare_op),
            Expr::Cast { data_type, .. } => *data_type = plain_type(data_type),
            Expr::CompoundFieldAccess { root, access_chain } => vector_subscripts(root, access_chain),
            _ => {}
        }
        elements(expr);
        ControlFlow::Continue(())
    }
}

/// A name as SQL means it: lower case unless quoted.
pub(super) fn ident_name(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// Takes the schema off a function's name when it is one of PostgreSQL's own.
fn unqualify(name: &mut ObjectName) {
    if let [ObjectNamePart::Identifier(schema), ObjectNamePart::Identifier(_)] = name.0.as_slice()
        && matches!(ident_name(schema).as_str(), "pg_catalog" | "information_schema")
    {
        name.0.remove(0);
    }
}

/// `OPERATOR(pg_catalog.~)` as the operator itself.
fn operator(op: &mut BinaryOperator) {
    let BinaryOperator::PGCustomBinaryOperator(parts) = op else { return };
    *op = match parts.last().map(String::as_str) {
        Some("=") => BinaryOperator::Eq,
        Some("<>" | "!=") => BinaryOperator::NotEq,
        Some("<") => BinaryOperator::Lt,
        Some("<=") => BinaryOperator::LtEq,
        Some(">") => BinaryOperator::Gt,
        Some(">=") => BinaryOperator::GtEq,
        Some("~") => BinaryOperator::PGRegexMatch,
        Some("~*") => BinaryOperator::PGRegexIMatch,
        Some("!~") => BinaryOperator::PGRegexNotMatch,
        Some("!~*") => BinaryOperator::PGRegexNotIMatch,
        Some("~~") => BinaryOperator::PGLikeMatch,
        Some("~~*") => BinaryOperator::PGILikeMatch,
        Some("!~~") => BinaryOperator::PGNotLikeMatch,
        Some("!~~*") => BinaryOperator::PGNotILikeMatch,
        Some("||") => BinaryOperator::StringConcat,
        Some("+") => BinaryOperator::Plus,
        Some("-") => BinaryOperator::Minus,
        Some("*") => BinaryOperator::Multiply,
        Some("/") => BinaryOperator::Divide,
        _ => return,
    };
}

/// A type without its schema; types that only the catalog has as what holds them. Types of names stay.
fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Array(ArrayElemTypeDef::SquareBracket(of, len)) => {
            DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(plain_type(of)), *len))
        }
        DataType::Custom(name, modifiers) => {
            let Some(ObjectNamePart::Identifier(last)) = name.0.last() else { return data_type.clone() };
            let qualified = name.0.len() > 1;
            match ident_name(last).as_str() {
                "oid" | "xid" | "cid" => DataType::IntUnsigned(None),
                "regclass" => DataType::Regclass,
                "char" if last.quote_style.is_some() => DataType::Text,
                "name" | "pg_node_tree" | "aclitem" | "sql_identifier" | "character_data" | "yes_or_no" => {
                    DataType::Text
                }
                "cardinal_number" => DataType::Integer(None),
                "int2vector" => array_type(DataType::SmallInt(None)),
                "oidvector" => array_type(DataType::IntUnsigned(None)),
                other if qualified => {
                    let text = if modifiers.is_empty() {
                        other.to_owned()
                    } else {
                        format!("{other}({})", modifiers.join(", "))
                    };
                    let parsed = Parser::new(&crate::parse::Postgres).try_with_sql(&text);
                    let parsed = parsed.and_then(|mut parser| parser.parse_data_type());
                    parsed.map_or_else(
                        |_| data_type.clone(),
                        |parsed| match parsed {
                            DataType::Custom(..) if text != other => parsed,
                            parsed => parsed,
                        },
                    )
                }
                _ => data_type.clone(),
            }
        }
        other => other.clone(),
    }
}

fn array_type(of: DataType) -> DataType {
    DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(of), None))
}

/// `int2vector` and `oidvector` count from 0; their columns are known by name.
fn vector_subscripts(root: &Expr, chain: &mut [AccessExpr]) {
    const VECTORS: [&str; 5] = ["indkey", "indclass", "indoption", "indcollation", "proargtypes"];
    let column = match root {
        Expr::Identifier(ident) => ident,
        Expr::CompoundIdentifier(parts) => match parts.last() {
            Some(last) => last,
            None => return,
        },
        _ => return,
    };
    if let Some(AccessExpr::Subscript(Subscript::Index { index })) = chain.first_mut()
        && VECTORS.contains(&ident_name(column).as_str())
    {
        *index = Expr::BinaryOp {
            left: Box::new(Expr::Nested(Box::new(index.clone()))),
            op: BinaryOperator::Plus,
            right: Box::new(Expr::value(Value::Number("1".to_owned(), false))),
        };
    }
}

/// `x = ANY('{a,b}')` as `x IN ('a', 'b')`, and `x <> ALL('{a,b}')` as its contrary.
fn elements(expr: &mut Expr) {
    let (left, right, negated) = match expr {
        Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => (left, right, false),
        Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } => (left, right, true),
        _ => return,
    };
    let mut text = super::bare(right);
    if let Expr::Cast { expr, data_type: DataType::Array(_), .. } = text {
        text = expr;
    }
    let Some(list) = literal(text).and_then(list) else { return };
    let list = list.into_iter().map(|item| Expr::value(item.map_or(Value::Null, Value::SingleQuotedString))).collect();
    let left = std::mem::replace(left, Box::new(Expr::value(Value::Null)));
    *expr = Expr::InList { expr: left, list, negated };
}

/// The elements of an array's text of one dimension; `None` for nulls among them. `None` when it is not one.
fn list(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut items = Vec::new();
    let mut chars = inner.chars().peekable();
    if inner.trim().is_empty() {
        return Some(items);
    }
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let mut item = String::new();
        let quoted = chars.next_if_eq(&'"').is_some();
        loop {
            match chars.next() {
                None if quoted => return None,
                None => {
                    items.push(finish(item, quoted));
                    return Some(items);
                }
                Some('\\') => item.push(chars.next()?),
                Some('"') if quoted => break,
                Some('{' | '}') if !quoted => return None,
                Some(',') if !quoted => {
                    items.push(finish(std::mem::take(&mut item), false));
                    break;
                }
                Some(c) => item.push(c),
            }
        }
        if quoted {
            items.push(Some(item));
            while chars.next_if(|c| c.is_whitespace()).is_some() {}
            match chars.next() {
                None => return Some(items),
                Some(',') => {}
                Some(_) => return None,
            }
        }
    }
}

fn finish(item: String, quoted: bool) -> Option<String> {
    let trimmed = item.trim_end();
    if !quoted && trimmed.eq_ignore_ascii_case("null") { None } else { Some(trimmed.to_owned()) }
}
