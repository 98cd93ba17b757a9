//! Metrics as tables, and PromQL inside SQL.

use chronolith_storage::engine::Engine;

use crate::harness::{database, run};

fn fill(engine: &Engine) {
    engine
        .append(|appender| {
            for (instance, factor) in [("a", 1.0), ("b", 10.0)] {
                let labels = [("__name__", "requests_total"), ("instance", instance), ("job", "api")];
                let series = appender.series(&labels, None)?;
                for step in 0..60_i64 {
                    let time = 1_700_000_000_000 + step * 15_000;
                    appender.float(series, time, step as f64 * factor, 0).expect("the sample is in order");
                }
            }
            Ok(())
        })
        .expect("samples are written");
}

#[test]
fn a_metric_is_a_table_with_its_labels() {
    let (engine, sql) = database();
    fill(&engine);
    let mut session = sql.session("a", "chronolith");
    let mut rows = |query: &str| run(&mut session, query).expect(query).rows;
    assert_eq!(
        rows("SELECT instance, count(*), max(value) FROM requests_total GROUP BY instance ORDER BY 1"),
        [["a", "60", "59.0"], ["b", "60", "590.0"]]
    );
    assert_eq!(
        rows(
            "SELECT timestamp, value FROM requests_total WHERE instance = 'b' AND timestamp >= '2023-11-14T22:27:30Z' AND timestamp < '2023-11-14T22:27:50Z' ORDER BY 1"
        ),
        [["2023-11-14T22:27:35Z", "570.0"]]
    );
    run(&mut session, "CREATE TABLE owners (instance TEXT, owner TEXT)").expect("a table is made");
    run(&mut session, "INSERT INTO owners VALUES ('a', 'ann')").expect("a row is written");
    let mut rows = |query: &str| run(&mut session, query).expect(query).rows;
    assert_eq!(
        rows("SELECT owner, max(value) FROM requests_total JOIN owners USING (instance) GROUP BY owner"),
        [["ann", "59.0"]]
    );
}

#[test]
fn promql_is_a_table_function() {
    let (engine, sql) = database();
    fill(&engine);
    let mut session = sql.session("a", "chronolith");
    let mut rows = |query: &str| run(&mut session, query).expect(query).rows;
    assert_eq!(
        rows("SELECT instance, value FROM promql('rate(requests_total[1m])', 1700000300, 1700000300, 60) ORDER BY 1")
            .len(),
        2
    );
    let steps = "SELECT count(*) FROM promql('sum(requests_total)', '2023-11-14 22:15:00'::timestamp, '2023-11-14 22:20:00'::timestamp, interval '1 minute')";
    assert_eq!(rows(steps), [["6"]]);
    assert_eq!(rows("SELECT job, value FROM promql('sum by (job) (requests_total)', 1700000000)"), [["api", "0.0"]]);
    let error = run(&mut session, "SELECT * FROM promql('sum(')").expect_err("it is wrong");
    assert_eq!(error.state.as_str(), "22023");
}
