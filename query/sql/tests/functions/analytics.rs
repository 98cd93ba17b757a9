//! Funnels, retention, sessions and t-tests.

use crate::{check, fails, near};

const EVENTS: &str = "(VALUES (1, 10, 'view'), (1, 20, 'cart'), (1, 30, 'buy'), (2, 10, 'view'), (2, 50, 'cart'), \
    (2, 300, 'buy'), (3, 10, 'cart'), (3, 20, 'buy'), (4, 10, 'view'), (4, 15, 'ad'), (4, 20, 'buy'), (4, 30, 'cart'), \
    (4, 40, 'buy')) e(who, at, what)";

#[tokio::test]
async fn funnel() {
    let steps = "what = 'view', what = 'cart', what = 'buy'";
    check(
        &format!("SELECT who, window_funnel(100, at, {steps}) FROM {EVENTS} GROUP BY who ORDER BY who"),
        &["1|3", "2|2", "3|0", "4|3"],
    )
    .await;
    // The ad comes between, and the purchase before the cart.
    check(
        &format!("SELECT who, window_funnel(100, 'strict_order', at, {steps}) FROM {EVENTS} GROUP BY who ORDER BY who"),
        &["1|3", "2|2", "3|0", "4|1"],
    )
    .await;
    check(
        "SELECT window_funnel(100, at, a, b), window_funnel(100, 'strict_increase', at, a, b) \
         FROM (VALUES (1, true, false), (1, false, true)) e(at, a, b)",
        &["2|1"],
    )
    .await;
    check(
        "SELECT window_funnel(100, 'strict_deduplication', at, w = 'a', w = 'b', w = 'c') \
         FROM (VALUES (1, 'a'), (2, 'b'), (3, 'b'), (4, 'c')) e(at, w)",
        &["2"],
    )
    .await;
}

#[tokio::test]
async fn funnel_over_times() {
    let events = "(VALUES (TIMESTAMP '2024-01-01 10:00', 'a'), (TIMESTAMP '2024-01-01 10:59', 'b'), \
        (TIMESTAMP '2024-01-01 11:01', 'c'), (NULL, 'c')) e(at, w)";
    let steps = "at, w = 'a', w = 'b', w = 'c'";
    check(
        &format!(
            "SELECT window_funnel(INTERVAL '1 hour', {steps}), window_funnel('2h', {steps}), window_funnel(3600, {steps}) \
             FROM {events}"
        ),
        &["2|3|2"],
    )
    .await;
    check(&format!("SELECT window_funnel(1, {steps}) FROM {events} WHERE w = 'z'"), &["0"]).await;
    fails(&format!("SELECT window_funnel(INTERVAL '1 month', {steps}) FROM {events}"), "no months").await;
    fails(&format!("SELECT window_funnel('1h', 'lax', {steps}) FROM {events}"), "no mode 'lax'").await;
    fails(&format!("SELECT window_funnel('1h', at, w) FROM {events}"), "window_funnel(").await;
}

#[tokio::test]
async fn funnel_over_partitions() {
    // Each of 1,000 users has 100 events, 1,000 seconds apart, in four partitions.
    check(
        "SELECT level, count(*) FROM (SELECT window_funnel('3000s', time, i / 1000 = 10, i / 1000 = 11, i / 1000 = 13, \
         i / 1000 = 14) level FROM numbers GROUP BY i % 1000) f GROUP BY level",
        &["3|1000"],
    )
    .await;
}

#[tokio::test]
async fn retention() {
    check(
        &format!(
            "SELECT who, retention(what = 'view', what = 'cart', at > 250) FROM {EVENTS} GROUP BY who ORDER BY who"
        ),
        &["1|[1, 1, 0]", "2|[1, 1, 1]", "3|[0, 0, 0]", "4|[1, 1, 0]"],
    )
    .await;
    check(&format!("SELECT retention(what = 'view', NULL) FROM {EVENTS} WHERE who = 9"), &["[0, 0]"]).await;
}

#[tokio::test]
async fn sessions() {
    let events = "(VALUES ('a', 1), ('a', 5), ('a', 20), ('b', 7), ('a', NULL), ('a', 31)) e(who, at)";
    check(
        &format!(
            "SELECT who, at, sessionize(at, 10) OVER (PARTITION BY who ORDER BY at) FROM {events} ORDER BY who, at"
        ),
        &["a|1|1", "a|5|1", "a|20|2", "a|31|3", "a|NULL|NULL", "b|7|1"],
    )
    .await;
    check(
        "SELECT count(*), max(s) FROM (SELECT sessionize(time, '30 minutes') OVER (PARTITION BY i % 10 ORDER BY time) s \
         FROM numbers WHERE i % 10000 < 5000) t",
        &["50000|10"],
    )
    .await;
    fails(
        &format!("SELECT sessionize(who, 10) OVER (ORDER BY at) FROM {events}"),
        "invalid input syntax for type timestamp",
    )
    .await;
}

// The values are of scipy.stats.ttest_ind.
#[tokio::test]
async fn t_test() {
    let samples = "(SELECT v, g FROM (VALUES (1.0, 'a'), (2.5, 'a'), (3.1, 'a'), (4.7, 'a'), (5.2, 'a'), (6.0, 'a'), \
        (2.0, 'b'), (3.9, 'b'), (4.1, 'b'), (6.3, 'b'), (7.7, 'b'), (NULL, 'b'), (1.0, NULL)) t(v, g)) t";
    near(&format!("SELECT ttest_statistic(v, g) FROM {samples}"), STUDENT.0, 1e-12).await;
    near(&format!("SELECT ttest_p_value(v, g) FROM {samples}"), STUDENT.1, 1e-12).await;
    near(&format!("SELECT ttest_statistic(v, g, 'welch') FROM {samples}"), WELCH.0, 1e-12).await;
    near(&format!("SELECT ttest_p_value(v, g, 'welch') FROM {samples}"), WELCH.1, 1e-12).await;
    near(&format!("SELECT (ttest_ind(v, g)->>'p_value')::float FROM {samples}"), STUDENT.1, 1e-12).await;
    check(&format!("SELECT ttest_ind(v, g) -> 'n2', ttest_ind(v, g) ->> 'df' FROM {samples}"), &["5|9"]).await;
    check(&format!("SELECT ttest_ind(v, g), ttest_p_value(v, g) FROM {samples} WHERE g = 'a'"), &["NULL|NULL"]).await;
    fails("SELECT ttest_ind(x, i % 3) FROM numbers", "two groups").await;
    fails(&format!("SELECT ttest_ind(v, g, 'pet') FROM {samples}"), "'student' or 'welch'").await;
}

#[tokio::test]
async fn t_test_of_many() {
    let y = "x + CASE WHEN i % 2 = 1 THEN 0.03 ELSE 0 END, i % 2 = 1";
    near(&format!("SELECT ttest_statistic({y}) FROM numbers"), MANY.0, 1e-9).await;
    near(&format!("SELECT ttest_p_value({y}) FROM numbers"), MANY.1, 1e-9).await;
    near(&format!("SELECT ttest_p_value({y}, 'welch') FROM numbers"), MANY_WELCH, 1e-9).await;
    let far = "FROM (VALUES (1, false), (2, false), (3, false), (101, true), (102, true), (104, true)) t(v, g)";
    near(&format!("SELECT ttest_p_value(v, g) {far}"), FAR, 1e-9).await;
}

const STUDENT: (f64, f64) = (-0.8504562238925335, 0.41712237019959386);
const WELCH: (f64, f64) = (-0.8360851391623588, 0.4276023768848295);
const MANY: (f64, f64) = (-1.6529775151297479, 0.09833857893743583);
const MANY_WELCH: f64 = 0.09833857893743686;
const FAR: f64 = 7.304084182361764e-08;
