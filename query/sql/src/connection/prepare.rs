//! Prepared statements: what parameters and columns a statement has, and PREPARE, EXECUTE, DEALLOCATE.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::{
    common::ScalarValue,
    sql::sqlparser::{
        ast::{
            ArrayElemTypeDef, CastKind, DataType as SqlType, Expr, FunctionArg, FunctionArgExpr, Ident, Insert,
            LimitClause, ObjectName, Query, SelectItem, SetExpr, Statement, TableFactor, TableWithJoins, Value,
            Visitor, VisitorMut, With,
        },
        parser::Parser,
    },
};

use super::{Connection, done, infer, naming, plan::analyzed};
use crate::{
    error::{Result, SqlError},
    outcome::Outcome,
    parse::{self, ident, quoted, walk, walk_mut},
    session::Prepared,
    settings,
    statement::{self, explain::PLAN_COLUMN, insert::Place, set},
    types::{PG_TYPE, declared_type, query_field, query_type, type_name, type_text},
};

/// Parameters that a statement may have, as in the protocol.
const MOST_PARAMETERS: usize = 65_535;

/// A statement that PREPARE named.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    text: String,
    types: Vec<SqlType>,
}

/// Types of parameters as SQL writes them, by number from 1.
type Types = BTreeMap<usize, SqlType>;

impl Connection {
    /// What parameters and columns a statement has.
    pub(crate) async fn prepare(&mut self, text: &str, hints: &[Option<DataType>]) -> Result<Prepared> {
        let Some(statement) = parse::parse(text)? else {
            return Ok(Prepared { sql: text.to_owned(), parameters: Vec::new(), columns: None });
        };
        let count = parameter_count(&statement)?.max(hints.len());
        self.look();
        let mut types = Types::new();
        for (number, hint) in (1..).zip(hints) {
            if let Some(hint) = hint {
                types.insert(number, sql_type(hint)?);
            }
        }
        let mut of_catalog = BTreeMap::new();
        casts(&statement, &mut types, &mut of_catalog);
        let described = self.described(statement, &mut types)?;
        let mut parameters = BTreeMap::new();
        let mut columns = None;
        if let Some(query) = described.values {
            Box::pin(self.parameter_types(query, &types, &mut parameters)).await?;
        }
        match described.columns {
            Columns::None => {}
            Columns::Known(schema) => columns = Some(schema),
            Columns::Of(query) => {
                let schema = Box::pin(self.parameter_types(*query, &types, &mut parameters)).await?;
                columns = Some(naming::result_schema(&schema));
            }
        }
        let parameters = (1..=count).map(|number| match (types.get(&number), of_catalog.remove(&number)) {
            (Some(known), _) => declared_type(known).map(|t| query_field("", &t, true)),
            (None, Some(field)) => Ok(field),
            (None, None) => Ok(parameters.remove(&number).unwrap_or_else(|| Field::new("", DataType::Utf8View, true))),
        });
        Ok(Prepared { sql: text.to_owned(), parameters: parameters.collect::<Result<_>>()?, columns })
    }

    /// Plans a query, and learns the types of the parameters that are not known yet.
    async fn parameter_types(
        &mut self,
        query: Statement,
        types: &Types,
        found: &mut BTreeMap<usize, Field>,
    ) -> Result<SchemaRef> {
        let mut typed = query;
        cast_parameters(&mut typed, types);
        let (state, plan) = self.plan(typed, &[]).await?;
        for (name, field) in plan.get_parameter_fields()? {
            if let (Some(number), Some(field)) = (number_of(&name), field)
                && field.data_type() != &DataType::Null
            {
                found.entry(number).or_insert_with(|| field.as_ref().clone());
            }
        }
        infer::from_plan(&plan, found)?;
        // Where the types of parameters are too little known for an analysis, the statement fails when it runs, if at all.
        let plan = analyzed(&state, plan.clone()).unwrap_or(plan);
        Ok(Arc::clone(plan.schema().inner()))
    }

    /// The queries that tell of a statement's parameters and columns; learns the types of parameters that become values of
    /// columns.
    fn described(&mut self, mut statement: Statement, types: &mut Types) -> Result<Described> {
        match &mut statement {
            Statement::Query(query) => match &*query.body {
                SetExpr::Insert(inner) | SetExpr::Update(inner) | SetExpr::Delete(inner) => {
                    self.described_write(inner, query.with.as_ref(), types)
                }
                _ => {
                    query.locks.clear();
                    naming::name_columns(&mut statement);
                    Ok(Described { values: None, columns: Columns::Of(Box::new(statement)) })
                }
            },
            Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) => {
                self.described_write(&statement, None, types)
            }
            Statement::ShowVariable { variable } => {
                let words: Vec<String> = variable.iter().map(ident).collect();
                let name = set::shown_words(&words);
                let names: Vec<String> = if name == "all" {
                    ["name", "setting", "description"].map(str::to_owned).to_vec()
                } else {
                    vec![settings::shown_name(&name)]
                };
                Ok(Described { values: None, columns: Columns::Known(text_columns(&names)) })
            }
            Statement::Explain { .. } => {
                Ok(Described { values: None, columns: Columns::Known(text_columns(&[PLAN_COLUMN.to_owned()])) })
            }
            Statement::Fetch { name, .. } => {
                Ok(Described { values: None, columns: Columns::Known(self.cursor_schema(name)?) })
            }
            Statement::Execute { name: Some(name), .. } => {
                let named = self.named(name)?;
                let inner = parse::parse(&named.text)?;
                match inner {
                    Some(inner @ Statement::Query(_)) => {
                        let mut inner = inner;
                        naming::name_columns(&mut inner);
                        Ok(Described { values: None, columns: Columns::Of(Box::new(inner)) })
                    }
                    _ => Ok(Described { values: None, columns: Columns::None }),
                }
            }
            _ => Ok(Described { values: None, columns: Columns::None }),
        }
    }

    fn described_write(&mut self, statement: &Statement, with: Option<&With>, types: &mut Types) -> Result<Described> {
        let (target, values, returning, others): (_, _, _, &[TableWithJoins]) = match statement {
            Statement::Insert(insert) => {
                let target = statement::insert::find(self, insert)?;
                value_types(&target, insert, types)?;
                let mut source = insert.source.clone();
                if let (Some(source), Some(with)) = (&mut source, with) {
                    source.with = Some(with.clone());
                }
                // Literals and parameters alone have no plan that is worth making.
                let values =
                    source.filter(|source| !matches!(&*source.body, SetExpr::Values(_)) || has_expressions(source));
                (target, values.map(|query| *query), &insert.returning, &[])
            }
            Statement::Update(update) => {
                let target = statement::update::find(self, &update.table, "UPDATE")?;
                for (place, expr) in statement::update::assignments(&target, &update.assignments)? {
                    if let (Place::Column(id), Some(number)) = (place, placeholder(&expr))
                        && let Some(column) = target.definition().column(id)
                    {
                        learn(types, number, &column.column_type)?;
                    }
                }
                let query = statement::update::query(&target, update, with)?;
                (target, Some(query), &update.returning, statement::update::from(update)?)
            }
            Statement::Delete(delete) => {
                let target = statement::delete::target(self, delete)?;
                let query = statement::delete::query(&target, delete, with)?;
                (target, Some(query), &delete.returning, delete.using.as_deref().unwrap_or_default())
            }
            _ => return Ok(Described { values: None, columns: Columns::None }),
        };
        self.scope.show_row_ids(Some(&target.name));
        let columns = match returning {
            None => Columns::None,
            Some(items) => {
                let mut query = super::select(Vec::new())?;
                if let SetExpr::Select(select) = &mut *query.body {
                    let names = statement::returning::names_of(others);
                    select.projection = statement::returning::described(&target, &names, items)?;
                    select.from = vec![statement::table_as(&target)?];
                    select.from.extend(others.iter().cloned());
                }
                query.with = with.cloned();
                Columns::Of(Box::new(Statement::Query(Box::new(query))))
            }
        };
        Ok(Described { values: values.map(|query| Statement::Query(Box::new(query))), columns })
    }

    /// PREPARE.
    pub(super) fn prepare_named(&mut self, name: &Ident, types: &[SqlType], statement: Statement) -> Result<Outcome> {
        let name = ident(name);
        if self.prepared.contains_key(&name) {
            return Err(SqlError::new(b"42P05", format!("prepared statement \"{name}\" already exists")));
        }
        parameter_count(&statement)?;
        self.prepared.insert(name, Named { text: statement.to_string(), types: types.to_vec() });
        done("PREPARE")
    }

    fn named(&self, name: &ObjectName) -> Result<Named> {
        let name = name.0.last().and_then(|part| part.as_ident()).map(ident).unwrap_or_default();
        let named = self.prepared.get(&name).cloned();
        named.ok_or_else(|| SqlError::new(b"26000", format!("prepared statement \"{name}\" does not exist")))
    }

    /// EXECUTE.
    pub(super) async fn execute_named(
        &mut self,
        name: Option<&ObjectName>,
        values: Vec<Expr>,
        parameters: &[ScalarValue],
    ) -> Result<Outcome> {
        let Some(name) = name else { return Err(SqlError::unsupported("EXECUTE of a text")) };
        let named = self.named(name)?;
        let Some(statement) = parse::parse(&named.text)? else { return Ok(Outcome::Empty) };
        if matches!(statement, Statement::Execute { .. } | Statement::Prepare { .. }) {
            return Err(SqlError::unsupported("PREPARE of EXECUTE or PREPARE"));
        }
        let wanted = parameter_count(&statement)?.max(named.types.len());
        if values.len() != wanted {
            let message = format!("the statement has {wanted} parameters, {} values were given", values.len());
            return Err(SqlError::new(b"42601", message));
        }
        let one = arrow::array::RecordBatch::try_new_with_options(
            Arc::new(Schema::empty()),
            Vec::new(),
            &arrow::array::RecordBatchOptions::new().with_row_count(Some(1)),
        )?;
        let values = values.into_iter().enumerate().map(|(at, value)| match named.types.get(at) {
            Some(data_type) => cast(value, data_type.clone()),
            None => value,
        });
        let nothing = datafusion::common::DFSchema::empty();
        let values = self.evaluate(values.collect(), &nothing, &one, parameters)?;
        let scalars = values.iter().map(|value| Ok(ScalarValue::try_from_array(&value.values, 0)?));
        let scalars = scalars.collect::<Result<Vec<_>>>()?;
        Box::pin(self.dispatch(statement, &scalars)).await
    }

    /// DEALLOCATE of one statement, or of all.
    pub(super) fn deallocate(&mut self, name: &Ident) -> Result<Outcome> {
        if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("all") {
            self.prepared.clear();
            return done("DEALLOCATE ALL");
        }
        let name = ident(name);
        if self.prepared.remove(&name).is_none() {
            return Err(SqlError::new(b"26000", format!("prepared statement \"{name}\" does not exist")));
        }
        done("DEALLOCATE")
    }
}

/// What tells of a statement's parameters and columns.
struct Described {
    /// A query whose parameters are the statement's.
    values: Option<Statement>,
    columns: Columns,
}

enum Columns {
    None,
    Known(SchemaRef),
    /// Those of a query.
    Of(Box<Statement>),
}

fn text_columns(names: &[String]) -> SchemaRef {
    let fields: Vec<Field> = names.iter().map(|name| Field::new(name, DataType::Utf8View, false)).collect();
    Arc::new(Schema::new(fields))
}

fn has_expressions(source: &Query) -> bool {
    let SetExpr::Values(values) = &*source.body else { return true };
    values.rows.iter().flat_map(|row| &row.content).any(|expr| !matches!(expr, Expr::Value(_) | Expr::Identifier(_)))
}

/// Learns the types of parameters that are values of an INSERT.
fn value_types(target: &statement::Target, insert: &Insert, types: &mut Types) -> Result<()> {
    let names = statement::insert::column_names(insert)?;
    let places = statement::insert::places(target, &names)?;
    let Some(source) = &insert.source else { return Ok(()) };
    let mut learn_row = |exprs: &mut dyn Iterator<Item = &Expr>| -> Result<()> {
        for (expr, place) in exprs.zip(&places) {
            if let (Some(number), Place::Column(id)) = (placeholder(expr), place)
                && let Some(column) = target.definition().column(*id)
            {
                learn(types, number, &column.column_type)?;
            }
        }
        Ok(())
    };
    match &*source.body {
        SetExpr::Values(values) => values.rows.iter().try_for_each(|row| learn_row(&mut row.content.iter())),
        SetExpr::Select(select) => learn_row(&mut select.projection.iter().filter_map(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
            _ => None,
        })),
        _ => Ok(()),
    }
}

fn learn(types: &mut Types, number: usize, column_type: &chronolith_storage::table::ColumnType) -> Result<()> {
    if let std::collections::btree_map::Entry::Vacant(entry) = types.entry(number) {
        entry.insert(parse_type(&type_text(column_type))?);
    }
    Ok(())
}

fn parse_type(text: &str) -> Result<SqlType> {
    let parsed = Parser::new(&parse::Postgres).try_with_sql(text).and_then(|mut parser| parser.parse_data_type());
    parsed.map_err(|e| SqlError::new(b"XX000", format!("the type {text} cannot be read: {e}")))
}

/// The SQL type of a hint.
pub(super) fn sql_type(hint: &DataType) -> Result<SqlType> {
    parse_type(&type_text(&statement::create::type_of(hint, None)?))
}

/// The number of a parameter such as `$1`.
pub(super) fn number_of(name: &str) -> Option<usize> {
    name.strip_prefix('$')?.parse().ok()
}

pub(super) fn placeholder(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => number_of(name),
            _ => None,
        },
        Expr::Nested(inner) => placeholder(inner),
        _ => None,
    }
}

/// How many parameters a statement has: the highest number.
fn parameter_count(statement: &Statement) -> Result<usize> {
    struct Highest(usize, Option<String>);
    impl Visitor for Highest {
        type Break = ();
        fn pre_visit_value(&mut self, value: &datafusion::sql::sqlparser::ast::ValueWithSpan) -> ControlFlow<()> {
            if let Value::Placeholder(name) = &value.value {
                match number_of(name) {
                    Some(number @ 1..=MOST_PARAMETERS) => self.0 = self.0.max(number),
                    _ => self.1 = Some(name.clone()),
                }
            }
            ControlFlow::Continue(())
        }
    }
    let mut highest = Highest(0, None);
    let _ = walk(statement, &mut highest);
    match highest.1 {
        Some(name) => Err(SqlError::new(b"42P02", format!("there is no parameter {name}"))),
        None => Ok(highest.0),
    }
}

/// What a parameter is that is cast to a type which no column of a table has.
fn catalog_field(data_type: &SqlType) -> Option<Field> {
    let (of, is_list) = match data_type {
        SqlType::Array(ArrayElemTypeDef::SquareBracket(of, _)) => (&**of, true),
        other => (other, false),
    };
    // Lists that no column holds.
    if is_list
        && declared_type(data_type).is_err()
        && let Ok(of) = declared_type(of)
    {
        let element = Arc::new(Field::new_list_field(query_type(&of), true));
        let metadata = [(PG_TYPE.to_owned(), format!("_{}", type_name(&of)))].into();
        return Some(Field::new("", DataType::List(element), true).with_metadata(metadata));
    }
    let SqlType::Custom(name, _) = of else { return None };
    let (name, held) = match ident(name.0.last()?.as_ident()?).as_str() {
        "oid" => ("oid", DataType::Int64),
        "name" => ("name", DataType::Utf8View),
        _ => return None,
    };
    let (name, held) = match is_list {
        true => (format!("_{name}"), DataType::List(Arc::new(Field::new_list_field(held, true)))),
        false => (name.to_owned(), held),
    };
    Some(Field::new("", held, true).with_metadata([(PG_TYPE.to_owned(), name)].into()))
}

/// Learns the types of parameters that are cast, or are a number of rows.
fn casts(statement: &Statement, types: &mut Types, of_catalog: &mut infer::Found) {
    struct Casts<'a>(&'a mut Types, &'a mut infer::Found);
    impl Casts<'_> {
        fn is_number(&mut self, expr: Option<&Expr>) {
            if let Some(number) = expr.and_then(placeholder) {
                self.0.entry(number).or_insert(SqlType::BigInt(None));
            }
        }
    }
    impl Visitor for Casts<'_> {
        type Break = ();
        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &query.limit_clause {
                self.is_number(limit.as_ref());
                self.is_number(offset.as_ref().map(|offset| &offset.value));
            }
            ControlFlow::Continue(())
        }
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            if let Expr::Cast { expr, data_type, kind: CastKind::Cast | CastKind::DoubleColon, .. } = expr
                && let Some(number) = placeholder(expr)
            {
                if let Some(field) = catalog_field(data_type) {
                    self.1.entry(number).or_insert(field);
                } else if declared_type(data_type).is_ok() {
                    self.0.entry(number).or_insert_with(|| data_type.clone());
                }
            }
            ControlFlow::Continue(())
        }
        fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<()> {
            if let TableFactor::Table { name, args: Some(args), .. } = table
                && name.to_string().eq_ignore_ascii_case("generate_series")
            {
                let exprs = || args.args.iter().filter_map(argument);
                let is_number = |e: &Expr| matches!(e, Expr::Value(value) if matches!(value.value, Value::Number(..)));
                if exprs().any(is_number) {
                    exprs().for_each(|expr| self.is_number(Some(expr)));
                }
            }
            ControlFlow::Continue(())
        }
    }
    let _ = walk(statement, &mut Casts(types, of_catalog));
}

fn argument(arg: &FunctionArg) -> Option<&Expr> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    }
}

/// Writes the types of parameters that are known into a statement.
fn cast_parameters(statement: &mut Statement, types: &Types) {
    struct Cast<'a>(&'a Types);
    impl VisitorMut for Cast<'_> {
        type Break = ();
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            let known = match expr {
                Expr::Value(_) => placeholder(expr).and_then(|number| self.0.get(&number)),
                _ => None,
            };
            if let Some(data_type) = known {
                let inner = std::mem::replace(expr, Expr::Identifier(quoted("")));
                *expr = cast(inner, data_type.clone());
            }
            ControlFlow::Continue(())
        }
    }
    let _ = walk_mut(statement, &mut Cast(types));
}

pub(super) fn cast(expr: Expr, data_type: SqlType) -> Expr {
    Expr::Cast { kind: CastKind::DoubleColon, expr: Box::new(expr), data_type, array: false, format: None }
}
