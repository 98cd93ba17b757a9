//! CREATE VIEW, CREATE INDEX and COMMENT: what is kept as entries beside the tables.

use std::collections::BTreeSet;

use datafusion::{
    logical_expr::LogicalPlan,
    sql::sqlparser::ast::{
        CommentObject, CreateIndex, CreateTableOptions, CreateView, Expr, IndexType, ObjectName, Statement,
    },
};

use super::{
    Written,
    create::{already_there, check_name, unique_refused},
    target::{Target, no_column, no_table},
};
use crate::{
    connection::{Connection, check_query, naming},
    error::{Result, SqlError},
    parse::{ident, relation_name},
    rollup,
    stored::{self, COMMENTS, INDEXES, StoredIndex, StoredView, VIEWS},
};

/// Runs a CREATE VIEW.
///
/// # Errors
/// When the name is taken, or the query is wrong.
pub(crate) async fn create(connection: &mut Connection, statement: &CreateView) -> Result<Written> {
    if statement.materialized {
        return Box::pin(rollup::create(connection, statement)).await;
    }
    let refused = [
        (statement.temporary, "CREATE TEMPORARY VIEW"),
        (statement.options != CreateTableOptions::None, "an option of CREATE VIEW"),
        (statement.to.is_some() || !statement.cluster_by.is_empty(), "this form of CREATE VIEW"),
    ];
    if let Some((_, what)) = refused.iter().find(|(there, _)| *there) {
        return Err(SqlError::unsupported(what));
    }
    let name = relation_name(&statement.name)?;
    check_name(&name)?;
    if connection.scope.table(&name).is_some() {
        return Err(SqlError::new(b"42809", format!("\"{name}\" is not a view")));
    }
    let taken = connection.scope.stored_view(&name);
    if taken.as_ref().is_some_and(|view| view.rollup.is_some()) && statement.or_replace {
        return Err(SqlError::new(b"42809", format!("\"{name}\" is not a view")));
    }
    if taken.is_some() && !statement.or_replace {
        if statement.if_not_exists {
            return Ok(Written::done("CREATE VIEW"));
        }
        return Err(already_there(&name));
    }
    check_query(&statement.query)?;
    let mut query = Statement::Query(statement.query.clone());
    if super::depend::reads(&query, &name) {
        return Err(SqlError::new(b"42P17", format!("view \"{name}\" reads itself")));
    }
    naming::name_columns(&mut query);
    if !statement.columns.is_empty() {
        let names: Vec<String> = statement.columns.iter().map(|column| ident(&column.name)).collect();
        naming::rename_columns(&mut query, &names)?;
    }
    let (_, plan) = connection.plan(query.clone(), &[]).await?;
    if !plan.get_parameter_types()?.is_empty() {
        return Err(SqlError::new(b"42P02", "a view cannot have parameters"));
    }
    check_unique(&plan)?;
    let view = StoredView::new(query.to_string(), plan.schema().as_arrow());
    connection.transaction()?.put_entry(VIEWS, &name, Some(stored::body(&view)));
    Ok(Written::done("CREATE VIEW"))
}

/// Refuses two columns of one name.
///
/// # Errors
/// `42701`.
pub(crate) fn check_unique(plan: &LogicalPlan) -> Result<()> {
    let mut names = BTreeSet::new();
    for field in naming::result_schema(plan.schema().inner()).fields() {
        if !names.insert(field.name().clone()) {
            return Err(SqlError::new(b"42701", format!("column \"{}\" specified more than once", field.name())));
        }
    }
    Ok(())
}

/// Runs a CREATE INDEX: it is kept so that clients find it again. Segments index what pays by themselves.
///
/// # Errors
/// When the name is taken, there is no such column, or it asks for what an entry cannot give.
pub(crate) fn create_index(connection: &mut Connection, statement: &CreateIndex) -> Result<Written> {
    let target = Target::find(connection, &statement.table_name, None)?;
    if statement.predicate.is_some() && statement.unique {
        return Err(unique_refused());
    }
    let mut columns = Vec::new();
    let mut all_plain = true;
    for column in &statement.columns {
        match &column.column.expr {
            Expr::Identifier(name) => {
                let name = ident(name);
                let is_field = target.table.fields.iter().any(|key| *key.field == *name);
                if target.column(&name).is_err() && !is_field {
                    return Err(no_column(&name, &target.name));
                }
                columns.push(name);
            }
            other => {
                all_plain = false;
                columns.push(other.to_string());
            }
        }
    }
    if statement.unique && !(all_plain && is_key(&target, &columns)) {
        return Err(unique_refused());
    }
    let name = match &statement.name {
        Some(name) => relation_name(name)?,
        None => free_name(connection, &format!("{}_{}_idx", target.name, columns.join("_"))),
    };
    check_name(&name)?;
    if stored::index(&connection.scope.view(), &name).is_some() || connection.scope.table(&name).is_some() {
        if statement.if_not_exists {
            return Ok(Written::done("CREATE INDEX"));
        }
        return Err(already_there(&name));
    }
    let method = statement.using.as_ref().map_or("btree".to_owned(), |using| match using {
        IndexType::Custom(name) => ident(name),
        other => other.to_string().to_lowercase(),
    });
    let index = StoredIndex { table: target.name.clone(), columns, unique: statement.unique, method };
    connection.transaction()?.put_entry(INDEXES, &name, Some(stored::body(&index)));
    Ok(Written::done("CREATE INDEX"))
}

fn is_key(target: &Target, columns: &[String]) -> bool {
    let definition = target.definition();
    let key: BTreeSet<&str> =
        definition.primary_key.iter().filter_map(|id| definition.column(*id).map(|c| c.name.as_str())).collect();
    !key.is_empty() && key == columns.iter().map(String::as_str).collect()
}

fn free_name(connection: &Connection, wanted: &str) -> String {
    let wanted: String = wanted.chars().filter(|c| c.is_alphanumeric() || *c == '_').take(50).collect();
    let view = connection.scope.view();
    let free = |name: &String| stored::index(&view, name).is_none();
    let numbered = (1..).map(|n| format!("{wanted}{n}"));
    std::iter::once(wanted.clone()).chain(numbered).find(free).unwrap_or(wanted)
}

/// Runs a COMMENT ON.
///
/// # Errors
/// When there is no such thing.
pub(crate) fn comment(
    connection: &mut Connection,
    kind: CommentObject,
    name: &ObjectName,
    comment: Option<&str>,
) -> Result<Written> {
    let entry = match kind {
        CommentObject::Table | CommentObject::View | CommentObject::MaterializedView => {
            let name = relation_name(name)?;
            if connection.scope.table(&name).is_none() && connection.scope.stored_view(&name).is_none() {
                return Err(no_table(&name));
            }
            name
        }
        CommentObject::Column => {
            let mut parts = name.0.clone();
            let column = parts.pop().and_then(|part| part.as_ident().map(ident)).unwrap_or_default();
            if parts.is_empty() {
                return Err(SqlError::new(b"42601", "column name must be qualified"));
            }
            let target = Target::find(connection, &ObjectName(parts), None)?;
            target.column(&column)?;
            stored::comment_name(&target.name, Some(&column))
        }
        other => return Err(SqlError::unsupported(format!("COMMENT ON {other}"))),
    };
    connection.transaction()?.put_entry(COMMENTS, &entry, comment.map(|text| text.as_bytes().to_vec()));
    Ok(Written::done("COMMENT"))
}
