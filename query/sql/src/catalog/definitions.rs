//! The texts by which objects are told: of indexes, constraints, views.

use super::{
    entries::{Entries, Entry, What, quote},
    relations,
};
use crate::objects::IndexInfo;

/// The statement that makes an index.
pub(super) fn index(info: &IndexInfo) -> String {
    let unique = if info.unique { "UNIQUE " } else { "" };
    let columns: Vec<String> = info.columns.iter().map(|c| key(c)).collect();
    format!(
        "CREATE {unique}INDEX {} ON public.{} USING {} ({})",
        quote(&info.name),
        quote(&info.table),
        info.method,
        columns.join(", ")
    )
}

/// A column of an index: its name in quotes if need be, or its expression.
pub(super) fn key(column: &str) -> String {
    let expression = column.contains(['(', ' ', ':', '-']) && column.contains(['(', '>', ':']);
    if expression { format!("({column})") } else { quote(column) }
}

/// What a constraint says; the number is the constraint's.
pub(super) fn constraint(entries: &Entries, oid: u32) -> Option<String> {
    let of_index = |e: &&Entry| relations::constraint_of(e) == Some(oid);
    match &entries.all.iter().find(of_index)?.what {
        What::Index { info, .. } if info.primary => {
            let columns: Vec<String> = info.columns.iter().map(|c| quote(c)).collect();
            Some(format!("PRIMARY KEY ({})", columns.join(", ")))
        }
        _ => None,
    }
}

/// The query of a view, with a semicolon as PostgreSQL prints it.
pub(super) fn view(entry: &Entry) -> Option<String> {
    let query = entry.view()?.query.as_deref()?;
    Some(format!(" {};", query.trim().trim_end_matches(';')))
}
