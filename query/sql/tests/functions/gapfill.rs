//! time_bucket, and time_bucket_gapfill as TimescaleDB fills gaps.

use crate::{check, fails};

#[tokio::test]
async fn buckets() {
    let at = "TIMESTAMP '2024-03-15 13:47:12'";
    check(
        &format!(
            "SELECT time_bucket('60.000s', {at}), time_bucket(INTERVAL '15 minutes', {at}), time_bucket('1 week', {at}), \
             time_bucket('3 months', {at}), time_bucket('1 day', {at}, 'America/New_York')"
        ),
        &["2024-03-15T13:47:00|2024-03-15T13:45:00|2024-03-11T00:00:00|2024-01-01T00:00:00|2024-03-15T04:00:00"],
    )
    .await;
    check(
        &format!(
            "SELECT time_bucket('5m', {at}, INTERVAL '2 minutes'), time_bucket('1 week', {at}, TIMESTAMP '2000-01-01'), \
             time_bucket('1 month', DATE '2024-03-15'), time_bucket(10, -3), time_bucket(10, 27, 5)"
        ),
        &["2024-03-15T13:47:00|2024-03-09T00:00:00|2024-03-01|-10|25"],
    )
    .await;
    check("SELECT time_bucket('1h', NULL::timestamp), time_bucket(NULL::interval, now()) IS NULL", &["NULL|true"])
        .await;
    fails(&format!("SELECT time_bucket('0s', {at})"), "greater than 0").await;
    fails(&format!("SELECT time_bucket('x', {at})"), "invalid input syntax for type interval").await;
    fails("SELECT time_bucket('1h', 5)", "time_bucket(").await;
    fails(&format!("SELECT time_bucket(INTERVAL '1 month 1 day', {at})"), "not both").await;
    check("SELECT count(DISTINCT time_bucket('1000s', time)) FROM numbers", &["101"]).await;
}

const METRICS: &str = "(VALUES (TIMESTAMP '2024-01-01 00:10', 'a', 1.0), (TIMESTAMP '2024-01-01 03:10', 'a', 4.0), \
    (TIMESTAMP '2024-01-01 01:30', 'b', 7.0)) m(time, who, v)";

#[tokio::test]
async fn gaps_by_where() {
    check(
        &format!(
            "SELECT time_bucket_gapfill('1 hour', time) AS hour, avg(v), locf(avg(v)), interpolate(avg(v)), \
             coalesce(count(*), 0) FROM {METRICS} WHERE time >= '2024-01-01 00:00' AND time < '2024-01-01 05:00' \
             AND who = 'a' GROUP BY hour ORDER BY hour"
        ),
        &[
            "2024-01-01T00:00:00|1.0000000000000000|1.0000000000000000|1.0|1",
            "2024-01-01T01:00:00|NULL|1.0000000000000000|2.0|0",
            "2024-01-01T02:00:00|NULL|1.0000000000000000|3.0|0",
            "2024-01-01T03:00:00|4.0000000000000000|4.0000000000000000|4.0|1",
            "2024-01-01T04:00:00|NULL|4.0000000000000000|NULL|0",
        ],
    )
    .await;
    check(
        &format!(
            "SELECT time_bucket_gapfill('2 hours', time), sum(v) FROM {METRICS} \
             WHERE time BETWEEN '2024-01-01 01:00' AND '2024-01-01 04:00' GROUP BY 1 ORDER BY 1"
        ),
        &["2024-01-01T00:00:00|7.0", "2024-01-01T02:00:00|4.0", "2024-01-01T04:00:00|NULL"],
    )
    .await;
}

#[tokio::test]
async fn gaps_of_groups_and_arguments() {
    check(
        &format!(
            "SELECT who, time_bucket_gapfill('1 hour', time, '2024-01-01 00:00', '2024-01-01 03:00') AS h, \
             sum(v) AS s, locf(sum(v)) FROM {METRICS} GROUP BY who, h ORDER BY who, h"
        ),
        &[
            "a|2024-01-01T00:00:00|1.0|1.0",
            "a|2024-01-01T01:00:00|NULL|1.0",
            "a|2024-01-01T02:00:00|NULL|1.0",
            "a|2024-01-01T03:00:00|4.0|4.0",
            "b|2024-01-01T00:00:00|NULL|NULL",
            "b|2024-01-01T01:00:00|7.0|7.0",
            "b|2024-01-01T02:00:00|NULL|7.0",
        ],
    )
    .await;
    check(
        "SELECT time_bucket_gapfill('1 month', time, '2024-01-15', '2024-04-01') m, count(*) \
         FROM (VALUES (TIMESTAMP '2024-02-03')) t(time) GROUP BY m ORDER BY m",
        &["2024-01-01T00:00:00|NULL", "2024-02-01T00:00:00|1", "2024-03-01T00:00:00|NULL"],
    )
    .await;
    check(
        "SELECT time_bucket_gapfill(10, t, 0, 40) b, interpolate(sum(v)) FROM (VALUES (1, 10), (35, 40)) x(t, v) \
         GROUP BY b ORDER BY b",
        &["0|10", "10|20", "20|30", "30|40"],
    )
    .await;
}

#[tokio::test]
async fn nulls_having_and_no_rows() {
    check(
        "SELECT time_bucket_gapfill(1, t, 0, 4) b, locf(min(v)), locf(min(v), true), interpolate(min(v)) \
         FROM (VALUES (0, 5), (2, NULL), (3, 8)) x(t, v) GROUP BY b ORDER BY b",
        &["0|5|5|5", "1|5|5|NULL", "2|NULL|5|NULL", "3|8|8|8"],
    )
    .await;
    check(
        "SELECT time_bucket_gapfill(1, t, 0, 3) b, sum(v) FROM (VALUES (0, 5), (1, 1), (2, 7)) x(t, v) GROUP BY b \
         HAVING sum(v) > 2 ORDER BY b",
        &["0|5", "1|NULL", "2|7"],
    )
    .await;
    let empty = "FROM (VALUES (0, 5)) x(t, v) WHERE v > 100";
    check(
        &format!("SELECT time_bucket_gapfill(1, t, 0, 2) b, sum(v) {empty} GROUP BY b ORDER BY b"),
        &["0|NULL", "1|NULL"],
    )
    .await;
    check(&format!("SELECT time_bucket_gapfill(1, t, 0, 2) b, v, sum(v) {empty} GROUP BY b, v"), &[]).await;
}

#[tokio::test]
async fn gapfill_within_other_queries() {
    check(
        "SELECT count(*), sum(c) FROM (SELECT time_bucket_gapfill('100s', time) b, count(*) c FROM numbers \
         WHERE time >= TIMESTAMP '1970-01-01' AND time < TIMESTAMP '1970-01-01 02:46:40' AND i % 1000 < 10 GROUP BY b) q",
        &["100|100"],
    )
    .await;
    check(
        "SELECT time_bucket_gapfill(1, t, 0, 3) b, locf(sum(v)), row_number() OVER (ORDER BY time_bucket_gapfill(1, t, 0, 3)) \
         FROM (VALUES (0, 5), (2, 7)) x(t, v) GROUP BY b ORDER BY b",
        &["0|5|1", "1|5|2", "2|7|3"],
    )
    .await;
}

#[tokio::test]
async fn refused() {
    fails(
        &format!("SELECT time_bucket_gapfill('1h', time) b, sum(v) FROM {METRICS} GROUP BY b"),
        "could not infer start",
    )
    .await;
    fails(
        &format!(
            "SELECT time_bucket_gapfill('1h', time) b, sum(v) FROM {METRICS} WHERE time > '2024-01-01' GROUP BY b"
        ),
        "could not infer finish",
    )
    .await;
    fails(&format!("SELECT time_bucket_gapfill('1h', time) FROM {METRICS}"), "GROUP BY").await;
    fails(&format!("SELECT locf(v) FROM {METRICS}"), "time_bucket_gapfill").await;
    fails(&format!("SELECT who, interpolate(min(who)) FROM {METRICS} GROUP BY who"), "interpolate").await;
}
