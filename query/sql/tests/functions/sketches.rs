//! Sketches of distinct values and of quantiles, and the most frequent values.

use crate::{check, fails, near};

#[tokio::test]
async fn distinct_values() {
    // Few are counted exactly, many within three standard errors.
    check("SELECT approx_distinct(word), hll_count(hll(word)) FROM numbers", &["777|777"]).await;
    near("SELECT approx_distinct(i) FROM numbers", 100_000.0, 0.024).await;
    near("SELECT hll_count(hll(i)) FROM numbers WHERE i < 5000", 5000.0, 0.024).await;
    check("SELECT approx_distinct(i), hll_count(hll(i)) FROM numbers WHERE i < 0", &["0|0"]).await;
    check("SELECT approx_distinct(v) FROM (VALUES (1), (NULL), (1), (2)) t(v)", &["2"]).await;
    // Equal values of other widths are equal.
    check(
        "SELECT hll_count(rollup(s)) FROM (SELECT hll(v::int) s FROM (VALUES (1), (2)) t(v) \
         UNION ALL SELECT hll(v::bigint) FROM (VALUES (2), (3)) t(v)) u",
        &["3"],
    )
    .await;
}

#[tokio::test]
async fn sketches_merge() {
    near("SELECT hll_count(hll_merge(s)) FROM (SELECT hll(i) s FROM numbers GROUP BY i % 100) g", 100_000.0, 0.024)
        .await;
    check("SELECT hll_count(hll_merge(s)) FROM (SELECT hll(word) s FROM numbers GROUP BY i % 100) g", &["777"]).await;
    near(
        "SELECT approx_percentile(0.95, rollup(s)) FROM (SELECT percentile_agg(x) s FROM numbers GROUP BY i % 10) g",
        9.58,
        0.011,
    )
    .await;
    check("SELECT rollup(s) FROM (SELECT hll(i) s FROM numbers) g WHERE s IS NULL", &["NULL"]).await;
    fails(
        "SELECT rollup(s) FROM (SELECT hll(i) s FROM numbers UNION ALL SELECT percentile_agg(x) FROM numbers) g",
        "no sketch of",
    )
    .await;
    fails("SELECT hll_count('\\x00'::bytea)", "no sketch of hll()").await;
}

#[tokio::test]
async fn approximate_quantiles() {
    for (fraction, exact) in [(0.0, 0.0), (0.5, 5.04), (0.9, 9.07), (0.99, 9.98), (1.0, 10.08)] {
        let sql = format!("SELECT approx_percentile({fraction}, percentile_agg(x)) FROM numbers");
        if exact == 0.0 { check(&sql, &["0.0"]).await } else { near(&sql, exact, 0.011).await }
    }
    check("SELECT approx_percentile(0.5, percentile_agg(x)) FROM numbers WHERE i < 0", &["NULL"]).await;
    check("SELECT num_vals(percentile_agg(x)) FROM numbers", &["100000"]).await;
    near("SELECT sketch_mean(percentile_agg(v)) FROM (VALUES (-2), (4), (10)) t(v)", 4.0, 1e-12).await;
    near("SELECT approx_percentile(0.1, percentile_agg(-v)) FROM (VALUES (1), (10), (100)) t(v)", -100.0, 0.011).await;
    fails("SELECT percentile_agg('NaN'::float) FROM numbers", "finite").await;
    fails("SELECT approx_percentile(2, percentile_agg(x)) FROM numbers", "2 is not between 0 and 1").await;
}

#[tokio::test]
async fn most_frequent() {
    check(
        "SELECT approx_top_k(v, 2) FROM (VALUES ('a'), ('b'), ('b'), (NULL), ('c'), ('a'), ('b')) t(v)",
        &[r#"[{"value": "b", "count": 3}, {"value": "a", "count": 2}]"#],
    )
    .await;
    check("SELECT approx_top_k(v, 2) FROM (VALUES (1)) t(v) WHERE v > 1", &["NULL"]).await;
    // 100,000 values, and one of them in a third of the rows.
    let rows = crate::run("SELECT approx_top_k(CASE WHEN i % 3 = 0 THEN -1 ELSE i END, 1) FROM numbers").await;
    let top = rows.expect("runs").remove(0);
    let count: u64 = top.trim_end_matches("}]").rsplit(' ').next().and_then(|c| c.parse().ok()).expect("a count");
    assert!(top.starts_with(r#"[{"value": -1,"#), "{top}");
    assert!((33_334 - 100_000 / 1024..=33_334).contains(&count), "{top}");
    fails("SELECT approx_top_k(i, 0) FROM numbers", "1 to 10000").await;
}

#[tokio::test]
async fn histogram() {
    check(
        "SELECT histogram(v, 0, 10, 5) FROM (VALUES (-1.0), (0.0), (1.9), (2.0), (9.99), (10.0), (11.0), (NULL)) t(v)",
        &["[1, 2, 1, 0, 0, 1, 2]"],
    )
    .await;
    check("SELECT histogram(x, 0, 10, 5) FROM numbers WHERE i < 0", &["NULL"]).await;
}
