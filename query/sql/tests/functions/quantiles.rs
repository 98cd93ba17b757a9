//! percentile_cont, percentile_disc, median and mode; the values are numpy's.

use crate::{check, fails, near};

const V: &str = "(VALUES (3.0), (1.0), (4.0), (1.0), (5.0), (9.0), (2.0), (6.0), (5.0), (3.0), (NULL)) t(v)";

#[tokio::test]
async fn continuous() {
    near(&format!("SELECT percentile_cont(0.9) WITHIN GROUP (ORDER BY v) FROM {V}"), 6.3, 1e-12).await;
    near(&format!("SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY v) FROM {V}"), 7.65, 1e-12).await;
    check(&format!("SELECT percentile_cont(0.9) WITHIN GROUP (ORDER BY v DESC) FROM {V}"), &["1.0"]).await;
    check(
        &format!("SELECT percentile_cont(ARRAY[0, 0.1, 0.5, 1]) WITHIN GROUP (ORDER BY v) FROM {V}"),
        &["[1.0, 1.0, 3.5, 9.0]"],
    )
    .await;
    check(&format!("SELECT median(v), quantile(v, 0.5), percentile_cont(v, 0.0) FROM {V}"), &["3.5|3.5|1.0"]).await;
    // Of integers too the median may lie between two.
    check("SELECT median(v) FROM (VALUES (1), (2)) t(v)", &["1.5"]).await;
}

#[tokio::test]
async fn discrete() {
    check(&format!("SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY v) FROM {V}"), &["3.0"]).await;
    check(
        "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY w), percentile_disc(ARRAY[0.0, 1.0]) WITHIN GROUP (ORDER BY w), \
         mode() WITHIN GROUP (ORDER BY w) FROM (VALUES ('b'), ('a'), ('c'), ('c'), (NULL)) t(w)",
        &["b|[a, c]|c"],
    )
    .await;
    check("SELECT mode() WITHIN GROUP (ORDER BY v) FROM (VALUES (2), (1), (2), (1), (3)) t(v)", &["1"]).await;
}

#[tokio::test]
async fn no_rows_nulls_and_filters() {
    let none = format!("FROM {V} WHERE v > 100");
    check(
        &format!(
            "SELECT median(v), percentile_cont(0.5) WITHIN GROUP (ORDER BY v), percentile_disc(0.5) WITHIN GROUP (ORDER BY v), \
             mode() WITHIN GROUP (ORDER BY v) {none}"
        ),
        &["NULL|NULL|NULL|NULL"],
    )
    .await;
    check(&format!("SELECT percentile_cont(NULL) WITHIN GROUP (ORDER BY v) FROM {V}"), &["NULL"]).await;
    check(&format!("SELECT median(v) FILTER (WHERE v < 3) FROM {V}"), &["1.0"]).await;
}

#[tokio::test]
async fn wrong_arguments() {
    fails(&format!("SELECT percentile_cont(1.5) WITHIN GROUP (ORDER BY v) FROM {V}"), "1.5 is not between 0 and 1")
        .await;
    fails("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY word) FROM numbers", "percentile_cont").await;
    fails("SELECT percentile_cont(x / 100) WITHIN GROUP (ORDER BY x) FROM numbers", "constant").await;
    fails("SELECT median(DISTINCT x), median(DISTINCT i) FROM numbers", "DISTINCT").await;
}

#[tokio::test]
async fn many_groups_of_several_partitions() {
    // i % 1000 gives 100 values a group, i / 1000: 0 to 99.
    check(
        "SELECT count(*), min(m), max(m), min(d), max(d) FROM (SELECT median(i / 1000) m, \
         percentile_disc(0.25) WITHIN GROUP (ORDER BY i / 1000) d FROM numbers GROUP BY i % 1000) g",
        &["1000|49.5|49.5|24|24"],
    )
    .await;
    check("SELECT median(i), mode() WITHIN GROUP (ORDER BY i % 7) FROM numbers", &["49999.5|0"]).await;
}
