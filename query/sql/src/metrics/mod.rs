//! Metrics in SQL: each one a table, and PromQL as a table function.

mod columns;
mod promql;
mod table;

pub(crate) use promql::PromqlFunction;
pub(crate) use table::{MetricTable, metric_names, metric_schema};
