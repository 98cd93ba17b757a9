//! SQL functions, through SQL: values from other programs and documents, nulls, no rows, wrong types, many groups.

mod analytics;
mod asof;
mod datetime;
mod gapfill;
mod json;
mod quantiles;
mod rows;
mod sketches;
mod text;
mod vectors;

use std::sync::Arc;

use arrow::{
    array::{Float64Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, TimeUnit},
    util::display::{ArrayFormatter, FormatOptions},
};
use chronolith_sql::functions;
use datafusion::{
    datasource::MemTable,
    prelude::{SessionConfig, SessionContext},
    sql::{
        parser::Statement as DfStatement,
        sqlparser::{dialect::PostgreSqlDialect, parser::Parser, tokenizer::Tokenizer},
    },
};

/// A context with the functions, and `numbers`: 100,000 rows in 4 partitions with columns i, x, text and time.
fn context() -> SessionContext {
    let mut config = SessionConfig::new().with_target_partitions(4).with_batch_size(1000);
    config.options_mut().sql_parser.dialect = datafusion::config::Dialect::PostgreSQL;
    let ctx = SessionContext::new_with_config(config);
    functions::register(&ctx).expect("functions register");
    let schema = Arc::new(Schema::new(vec![
        Field::new("i", DataType::Int64, false),
        Field::new("x", DataType::Float64, false),
        Field::new("word", DataType::Utf8View, false),
        Field::new("time", DataType::Timestamp(TimeUnit::Microsecond, None), false),
    ]));
    let partition = |part: i64| {
        let chunk = |start: i64| {
            let i: Vec<i64> = (start..start + 1000).collect();
            RecordBatch::try_new(
                Arc::clone(&schema),
                vec![
                    Arc::new(Int64Array::from(i.clone())),
                    Arc::new(Float64Array::from_iter_values(i.iter().map(|i| ((i * 7919) % 1009) as f64 / 100.0))),
                    Arc::new(StringViewArray::from_iter_values(i.iter().map(|i| format!("w{}", i % 777)))),
                    Arc::new(TimestampMicrosecondArray::from_iter_values(i.iter().map(|i| i * 1_000_000))),
                ],
            )
            .expect("batch")
        };
        (0..25).map(|k| chunk(part * 25_000 + k * 1000)).collect::<Vec<_>>()
    };
    let table = MemTable::try_new(Arc::clone(&schema), (0..4).map(partition).collect()).expect("table");
    ctx.register_table("numbers", Arc::new(table)).expect("table registers");
    ctx
}

/// The rows of a query, their cells joined by `|`.
async fn run(sql: &str) -> Result<Vec<String>, String> {
    let ctx = context();
    let dialect = PostgreSqlDialect {};
    let mut tokens = Tokenizer::new(&dialect, sql).tokenize_with_location().map_err(|e| e.to_string())?;
    functions::rewrite_tokens(&mut tokens);
    let mut parser = Parser::new(&dialect).with_tokens_with_locations(tokens);
    let mut statement = parser.parse_statement().map_err(|e| e.to_string())?;
    functions::rewrite_statement(&mut statement).map_err(|e| e.to_string())?;
    let state = ctx.state();
    let plan = state.statement_to_plan(DfStatement::Statement(Box::new(statement))).await.map_err(|e| e.to_string())?;
    let frame = ctx.execute_logical_plan(plan).await.map_err(|e| e.to_string())?;
    let batches = frame.collect().await.map_err(|e| e.to_string())?;
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<ArrayFormatter<'_>> =
            batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options).expect("format")).collect();
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join("|"));
        }
    }
    Ok(rows)
}

/// Checks the rows of a query.
async fn check(sql: &str, expected: &[&str]) {
    match run(sql).await {
        Ok(rows) => assert_eq!(rows, expected, "{sql}"),
        Err(error) => panic!("{sql}\n{error}"),
    }
}

/// Checks that a query fails with an error that says `what`.
async fn fails(sql: &str, what: &str) {
    match run(sql).await {
        Ok(rows) => panic!("{sql}\ngave {rows:?}"),
        Err(error) => assert!(error.contains(what), "{sql}\n{error}"),
    }
}

/// The only number of a query.
async fn number(sql: &str) -> f64 {
    let rows = run(sql).await.unwrap_or_else(|error| panic!("{sql}\n{error}"));
    rows[0].parse().unwrap_or_else(|_| panic!("{sql} gave {rows:?}"))
}

/// Checks a number within a relative error.
async fn near(sql: &str, expected: f64, error: f64) {
    let found = number(sql).await;
    assert!(((found - expected) / expected).abs() <= error, "{sql} gave {found}, not {expected}");
}
