//! Functions that give fixed rows in FROM: `pg_get_keywords()`.

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema},
};
use datafusion::{
    catalog::{TableFunctionImpl, TableProvider},
    datasource::MemTable,
    error::Result,
    logical_expr::Expr,
    prelude::SessionContext,
};

use super::{
    cell::{self, Cell},
    keywords::{KEYWORDS, Keyword},
    shape::field,
};

/// Makes them known to a statement's context.
pub(super) fn register(ctx: &SessionContext) {
    ctx.register_udtf("pg_get_keywords", Arc::new(Keywords));
}

/// `pg_get_keywords()`.
#[derive(Debug)]
struct Keywords;

impl TableFunctionImpl for Keywords {
    fn call(&self, _: &[Expr]) -> Result<Arc<dyn TableProvider>> {
        type Column = (&'static str, &'static str, fn(&Keyword) -> Cell);
        let columns: [Column; 5] = [
            ("word", "text", |k| k.word.into()),
            ("catcode", "char", |k| k.category.into()),
            ("barelabel", "bool", |k| k.bare_label.into()),
            ("catdesc", "text", |k| k.description().into()),
            ("baredesc", "text", |k| if k.bare_label { "can be bare label" } else { "requires AS" }.into()),
        ];
        let fields: Vec<Field> = columns.iter().map(|(name, pg_type, _)| field(name, pg_type)).collect();
        let schema = Arc::new(Schema::new(fields));
        let arrays = columns.iter().zip(schema.fields()).map(|((_, _, of), field)| {
            let cells: Vec<Cell> = KEYWORDS.iter().map(of).collect();
            cell::array(field.data_type(), &cells)
        });
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays.collect::<Result<_>>()?)?;
        Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
    }
}
