//! The library as an embedder meets it: in memory, on disk, read-only, with a clock of its own, without a server.

use std::{sync::Arc, time::Duration};

use chronolith::{
    Db, Error,
    promql::{MAX_DEPTH, MAX_NESTING},
    storage::clock::VirtualClock,
};

#[test]
fn a_directory_keeps_what_was_appended() -> chronolith::Result<()> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let now = 1_800_000_000_000;
    let clock = Arc::new(VirtualClock::at(now));
    let open = || Db::builder().clock(clock.clone()).open(dir.path());
    let db = open()?;
    db.append(&[("job", "a"), ("__name__", "up")], now, 1.0)?;
    assert!(matches!(open(), Err(Error::Storage(_))), "one process, one handle, a directory");
    drop(db);
    let db = open()?;
    assert_eq!(db.query("up{job=\"a\"}", now)?.value(), Some(1.0));
    db.close()?;
    drop(db);
    let reader = Db::open_read_only(dir.path())?;
    assert_eq!(reader.query("sum(up)", now)?.value(), Some(1.0));
    assert!(reader.append(&[("__name__", "up")], now, 1.0).is_err());
    Ok(())
}

#[test]
fn the_clock_is_the_embedders() -> chronolith::Result<()> {
    let clock = Arc::new(VirtualClock::at(1_000_000));
    let db = Db::builder().clock(clock.clone()).retention(Duration::from_secs(600)).in_memory()?;
    let later = 1_000_000 + 11 * 60_000;
    let early = db.append(&[("__name__", "x")], later, 1.0).expect_err("eleven minutes ahead");
    assert!(early.to_string().contains("ahead of the clock"), "{early}");
    clock.advance(Duration::from_secs(60));
    db.append(&[("__name__", "x")], later, 1.0)?;
    let old = db.append(&[("__name__", "x")], 0, 1.0).expect_err("older than the retention");
    assert!(old.to_string().contains("retention"), "{old}");
    Ok(())
}

#[test]
fn bad_calls_are_errors_that_say_what_is_wrong() -> chronolith::Result<()> {
    let db = Db::in_memory()?;
    let told = |result: chronolith::Result<()>| result.expect_err("it must be refused").to_string();
    assert!(told(db.append(&[("__name__", "x"), ("", "1")], 0, 1.0)).contains("empty"));
    assert!(told(db.append(&[("a", "1"), ("a", "2")], 0, 1.0)).contains("twice"));
    assert!(told(db.load_series("x 1 2 3")).contains("line 1"));
    assert!(told(db.query("sum(", 0).map(|_| ())).contains("parse error"));
    assert!(told(db.query_range("x", 0, 10, Duration::ZERO).map(|_| ())).contains("step"));
    Ok(())
}

#[test]
fn the_deepest_query_fits_an_ordinary_stack() {
    let deep = |open: &str, close: &str| {
        let levels = MAX_NESTING as usize - 2;
        format!("{}x{}", open.repeat(levels), close.repeat(levels))
    };
    let chain = |op: &str| format!("x{}", format!("{op} x").repeat(MAX_DEPTH as usize - 2));
    let queries = [deep("(", ")"), deep("sum(", ")"), deep("-", ""), deep("abs(", ")"), chain("+"), chain(" or ")];
    // The stack of a thread unless told otherwise; running out of it ends the process.
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
        let db = Db::in_memory()?;
        db.load_series("load 15s\n  x 1x10")?;
        for query in queries {
            db.query(&query, 60_000)?;
            db.query_range(&query, 0, 60_000, Duration::from_secs(15))?;
        }
        let beyond = "(".repeat(100_000);
        assert!(db.query(&beyond, 0).is_err());
        Ok::<(), Error>(())
    });
    thread.expect("a thread").join().expect("it does not panic").expect("every query has an answer");
}

#[cfg(feature = "sql")]
#[test]
fn sql_joins_metrics_and_events() -> chronolith::Result<()> {
    use chronolith::arrow_array::{cast::AsArray, types::Int64Type};

    let db = Db::in_memory()?;
    db.load_series("load 60s\n  up{job=\"api\"} 1x2\n  up{job=\"web\"} 0x2")?;
    let told = db.append_json(
        "deploys",
        r#"[{"timestamp": 60, "job": "api", "by": {"name": "ann"}}, {"timestamp": 120, "job": "web", "by": {"name": "bob"}}]"#,
    )?;
    assert_eq!((told.rows, told.created), (2, true));
    let found = db.sql(
        "SELECT d.by.name, count(*) FROM deploys d JOIN up u ON u.job = d.job AND u.timestamp = d._time \
         WHERE u.value = 0 GROUP BY d.by.name",
    )?;
    let [batch] = found.as_slice() else { panic!("one batch") };
    assert_eq!(batch.num_rows(), 1);
    assert_eq!(batch.column(0).as_string_view().value(0), "bob");
    assert_eq!(batch.column(1).as_primitive::<Int64Type>().values(), &[1]);
    assert!(db.sql("CREATE TABLE kept (id INT PRIMARY KEY)")?.is_empty());
    let error = db.sql("SELECT nothing FROM kept").expect_err("no such column");
    assert!(matches!(&error, Error::Sql(sql) if sql.state.as_str() == "42703"), "{error}");
    Ok(())
}
