//! Values of documents by operators: `data->'a'->>'b'` of a dynamic table is read from the columns of that field alone.
//! Where one column says the same, it stands in the expression itself, so that its bounds and indexes count.

use std::{collections::BTreeSet, ops::ControlFlow};

use chronolith_storage::{
    document,
    table::{Kind, TableSnapshot},
};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, ExactNumberInfo, ExcludeSelectItem, Expr, Ident, ObjectName, Query, Select,
    SelectItem, SelectItemQualifiedWildcardKind, SetExpr, Statement, TableFactor, TableWithJoins, Value, VisitorMut,
    WildcardAdditionalOptions,
};

use crate::{
    error::{Result, SqlError},
    parse::{self, ident, quoted, walk_mut},
    scan::{DOCUMENT, Member, MemberColumns, member_name},
    scope::Scope,
};

/// Finds the values of documents that a statement reads by operators, and shows them.
pub(crate) fn find(statement: &mut Statement, scope: &Scope) {
    let mut chains = Chains { selects: Selects { scope, with: BTreeSet::new(), open: Vec::new() } };
    let _ = walk_mut(statement, &mut chains);
}

/// Leaves what is shown for this statement alone out of `*`.
///
/// # Errors
/// When two tables of one `*` show the same.
pub(crate) fn leave_out(statement: &mut Statement, scope: &Scope) -> Result<()> {
    let mut wildcards = Wildcards { selects: Selects { scope, with: BTreeSet::new(), open: Vec::new() }, error: None };
    let _ = walk_mut(statement, &mut wildcards);
    wildcards.error.map_or(Ok(()), Err)
}

/// The value at a path that a statement names as a column, if documents of the table have it, under its name.
pub(crate) fn object(table: &TableSnapshot, field: &str) -> Option<Member> {
    let member = |path| Member { path, as_text: false };
    let known = document::decode_path(field).map(member).filter(|m| m.columns(&table.fields).is_known());
    known.or_else(|| (field == DOCUMENT).then(|| member(Vec::new())))
}

/// What a SELECT reads.
struct Factor {
    /// What it is called.
    called: String,
    /// The table, if it is one.
    table: Option<TableSnapshot>,
}

/// The SELECTs around what is visited, the innermost last.
struct Selects<'a> {
    scope: &'a Scope,
    /// The names that WITH gives.
    with: BTreeSet<String>,
    open: Vec<Vec<Factor>>,
}

impl Selects<'_> {
    fn enter_query(&mut self, query: &Query) {
        if let Some(with) = &query.with {
            self.with.extend(with.cte_tables.iter().map(|cte| ident(&cte.alias.name)));
        }
        // ORDER BY stands outside of the SELECT, and sees its tables.
        match &*query.body {
            SetExpr::Select(select) => self.enter(select),
            _ => self.open.push(Vec::new()),
        }
    }

    fn enter(&mut self, select: &Select) {
        let mut factors = Vec::new();
        select.from.iter().for_each(|from| self.add(from, &mut factors));
        self.open.push(factors);
    }

    fn add(&self, from: &TableWithJoins, out: &mut Vec<Factor>) {
        for factor in std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)) {
            let called = |alias: &Option<datafusion::sql::sqlparser::ast::TableAlias>, name: &str| {
                alias.as_ref().map_or_else(|| name.to_owned(), |alias| ident(&alias.name))
            };
            match factor {
                TableFactor::Table { name, alias, args: None, .. } => {
                    let Ok(relation) = parse::relation_name(name) else {
                        out.push(Factor { called: called(alias, ""), table: None });
                        continue;
                    };
                    let renames = alias.as_ref().is_some_and(|alias| !alias.columns.is_empty());
                    let is_other = renames || (name.0.len() == 1 && self.with.contains(&relation));
                    let table = if is_other { None } else { self.scope.table(&relation) };
                    out.push(Factor { called: called(alias, &relation), table });
                }
                TableFactor::NestedJoin { table_with_joins, alias: None } => self.add(table_with_joins, out),
                TableFactor::Derived { alias, .. } | TableFactor::Function { alias, .. } => {
                    out.push(Factor { called: called(alias, ""), table: None });
                }
                _ => out.push(Factor { called: String::new(), table: None }),
            }
        }
    }

    /// The table whose documents a name is a value of, and the path to it. None when it may be something else.
    fn resolve(&self, names: &[Ident]) -> Option<(&Factor, Vec<String>)> {
        let (first, rest) = names.split_first()?;
        for factors in self.open.iter().rev() {
            if let Some(factor) = factors.iter().find(|factor| factor.called == ident(first)) {
                return Some((factor, path_of(factor.table.as_ref()?, rest)?));
            }
            if factors.iter().any(|factor| factor.table.is_none()) {
                return None;
            }
            let mut found = None;
            for factor in factors {
                let table = factor.table.as_ref()?;
                if let Some(path) = path_of(table, names) {
                    if found.is_some() {
                        return None;
                    }
                    found = Some((factor, path));
                } else if self.scope.layout(table).schema.index_of(&ident(first)).is_ok() {
                    return None;
                }
            }
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

/// The path to a value of a dynamic table's documents: in the case it is written in, or else in lower case.
fn path_of(table: &TableSnapshot, names: &[Ident]) -> Option<Vec<String>> {
    if !table.definition.dynamic || names.is_empty() {
        return None;
    }
    let written = names.iter().map(|name| name.value.clone()).collect::<Vec<_>>().join(".");
    let folded = names.iter().map(ident).collect::<Vec<_>>().join(".");
    [written, folded].iter().find_map(|field| object(table, field)).map(|member| member.path)
}

struct Chains<'a> {
    selects: Selects<'a>,
}

/// A value that is read by operators with constant keys.
struct Chain {
    qualifier: Option<Ident>,
    field: String,
    member: Member,
    columns: MemberColumns,
    table: TableSnapshot,
}

impl Chains<'_> {
    fn chain(&self, expr: &Expr) -> Option<Chain> {
        let mut keys = Vec::new();
        let mut as_text = false;
        let root = steps(expr, &mut keys, &mut as_text)?;
        if keys.is_empty() {
            return None;
        }
        let names = match root {
            Expr::Identifier(name) => std::slice::from_ref(name),
            Expr::CompoundIdentifier(names) => names.as_slice(),
            _ => return None,
        };
        let (factor, mut path) = self.selects.resolve(names)?;
        let qualifier = (names.len() > 1 && factor.called == ident(&names[0])).then(|| names[0].clone());
        path.extend(keys);
        let member = Member { path, as_text };
        let table = factor.table.clone()?;
        let columns = member.columns(&table.fields);
        Some(Chain { qualifier, field: member.field(), member, columns, table })
    }

    /// The column that stands for the value; of a text, only where its values are these texts.
    fn text(&self, chain: Chain) -> Expr {
        match chain.columns.only().map(|key| key.kind) {
            Some(Kind::Text) if chain.member.as_text => chain.column(&chain.field),
            Some(Kind::Int64 | Kind::Bool) if chain.member.as_text => Expr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(chain.column(&chain.field)),
                data_type: DataType::Text,
                array: false,
                format: None,
            },
            _ => {
                let name = member_name(&chain.member);
                let shown = chain.column(&name);
                self.selects.scope.show_member(&chain.table.definition.name, &name, chain.member);
                shown
            }
        }
    }
}

impl Chain {
    fn column(&self, name: &str) -> Expr {
        match &self.qualifier {
            Some(qualifier) => Expr::CompoundIdentifier(vec![qualifier.clone(), quoted(name)]),
            None => Expr::Identifier(quoted(name)),
        }
    }
}

impl VisitorMut for Chains<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.selects.enter_query(query);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.selects.open.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.selects.enter(select);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &mut Select) -> ControlFlow<()> {
        self.selects.open.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            // A number's text that is made a number again: the number.
            Expr::Cast { expr: inner, data_type, .. } => {
                if let Some(chain) = self.chain(inner).filter(|chain| chain.member.as_text)
                    && is_same_after_cast(&chain.columns, data_type)
                {
                    **inner = chain.column(&chain.field);
                }
            }
            Expr::BinaryOp { .. } => {
                if let Some(chain) = self.chain(expr) {
                    *expr = self.text(chain);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Whether the column of a value, cast to a type, is what the text of the value is that is cast to it.
fn is_same_after_cast(columns: &MemberColumns, to: &DataType) -> bool {
    let double = matches!(
        to,
        DataType::DoublePrecision | DataType::Float8 | DataType::Double(ExactNumberInfo::None) | DataType::Float(_)
    );
    let integer = matches!(
        to,
        DataType::Int(_)
            | DataType::Integer(_)
            | DataType::Int4(_)
            | DataType::BigInt(_)
            | DataType::Int8(_)
            | DataType::SmallInt(_)
            | DataType::Int2(_)
    );
    let numeric = matches!(to, DataType::Numeric(_) | DataType::Decimal(_));
    match columns.number() {
        Some(Kind::Int64) => double || integer || numeric,
        Some(_) => double,
        None => {
            let boolean = matches!(to, DataType::Bool | DataType::Boolean);
            boolean && columns.only().is_some_and(|key| key.kind == Kind::Bool)
        }
    }
}

/// The expression that operators with constant keys are applied to, and the keys.
fn steps<'a>(expr: &'a Expr, keys: &mut Vec<String>, as_text: &mut bool) -> Option<&'a Expr> {
    match expr {
        Expr::Nested(inner) => steps(inner, keys, as_text),
        Expr::BinaryOp { left, op, right } => {
            use BinaryOperator as Op;
            if !matches!(op, Op::Arrow | Op::LongArrow | Op::HashArrow | Op::HashLongArrow) {
                return None;
            }
            let Expr::Value(value) = &**right else { return None };
            let Value::SingleQuotedString(key) = &value.value else { return None };
            let root = steps(left, keys, as_text)?;
            // What is a text already has no members.
            if *as_text {
                return None;
            }
            if matches!(op, Op::Arrow | Op::LongArrow) {
                keys.push(key.clone());
            } else {
                keys.extend(plain_keys(key)?);
            }
            *as_text = matches!(op, BinaryOperator::LongArrow | BinaryOperator::HashLongArrow);
            Some(root)
        }
        other => Some(other),
    }
}

/// The keys of a path such as `{a,b}`, if none of them needs quotes or could be the place of an element.
fn plain_keys(path: &str) -> Option<Vec<String>> {
    let inner = path.strip_prefix('{')?.strip_suffix('}')?;
    let is_plain = |key: &str| {
        key.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
            && !key.eq_ignore_ascii_case("null")
    };
    inner.split(',').map(|key| is_plain(key).then(|| key.to_owned())).collect()
}

struct Wildcards<'a> {
    selects: Selects<'a>,
    error: Option<SqlError>,
}

impl VisitorMut for Wildcards<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.selects.enter_query(query);
        self.selects.open.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.selects.enter(select);
        let factors = self.selects.open.pop().unwrap_or_default();
        let shown = |factor: &Factor| -> Vec<String> {
            let table = factor.table.as_ref().map(|table| self.selects.scope.members(&table.definition.name));
            table.map(|members| members.into_keys().collect()).unwrap_or_default()
        };
        for item in &mut select.projection {
            match item {
                SelectItem::Wildcard(options) => {
                    let names: Vec<String> = factors.iter().flat_map(shown).collect();
                    if names.iter().collect::<BTreeSet<_>>().len() != names.len() {
                        let error = SqlError::unsupported("* of several tables beside objects of their documents");
                        self.error = Some(error.with_hint("write t.* for each of the tables"));
                        return ControlFlow::Break(());
                    }
                    exclude(options, names);
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                    let called = name.0.last().and_then(|part| part.as_ident()).map(ident);
                    let factor = factors.iter().find(|factor| Some(&factor.called) == called.as_ref());
                    exclude(options, factor.map(shown).unwrap_or_default());
                }
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }
}

fn exclude(options: &mut WildcardAdditionalOptions, names: Vec<String>) {
    if names.is_empty() {
        return;
    }
    let mut all: Vec<ObjectName> = match options.opt_exclude.take() {
        None => Vec::new(),
        Some(ExcludeSelectItem::Single(name)) => vec![name],
        Some(ExcludeSelectItem::Multiple(names)) => names,
    };
    all.extend(names.iter().map(|name| ObjectName::from(vec![quoted(name)])));
    options.opt_exclude = Some(ExcludeSelectItem::Multiple(all));
}
