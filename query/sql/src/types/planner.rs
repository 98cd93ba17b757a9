//! What DataFusion is told of PostgreSQL's types in casts.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::{
    error::Result as PlanResult,
    logical_expr::planner::TypePlanner,
    sql::sqlparser::ast::{DataType as SqlType, TimezoneInfo},
};

use chronolith_storage::table::ColumnType;

use super::{PG_TYPE, UTC, declared_type, query_field};

/// Plans the types of casts as PostgreSQL means them: FLOAT has 64 bits, times have microseconds.
#[derive(Debug)]
pub(crate) struct PgTypes;

impl TypePlanner for PgTypes {
    fn plan_type_field(&self, sql_type: &SqlType) -> PlanResult<Option<FieldRef>> {
        if let SqlType::Timestamp(Some(precision @ 0..=5), zone) = sql_type {
            let unit = match precision {
                0 => TimeUnit::Second,
                1..=3 => TimeUnit::Millisecond,
                _ => TimeUnit::Microsecond,
            };
            let zoned = !matches!(zone, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone);
            let data_type = DataType::Timestamp(unit, zoned.then(|| UTC.into()));
            return Ok(Some(Arc::new(Field::new("", data_type, true))));
        }
        // A type that there is not as a column's may still be one of DataFusion's.
        Ok(declared_type(sql_type).ok().map(|column_type| {
            let field = query_field("", &column_type, true);
            // What is cast to text is no JSON or UUID any more, though it is held as before.
            let of_text = column_type == ColumnType::Text;
            Arc::new(if of_text {
                field.with_metadata([(PG_TYPE.to_owned(), "text".to_owned())].into())
            } else {
                field
            })
        }))
    }
}
