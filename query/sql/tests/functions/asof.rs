//! ASOF joins.

use crate::{check, fails};

const TRADES: &str =
    "(VALUES (1, 'x', 10), (2, 'x', 20), (3, 'y', 5), (4, 'x', 1), (5, 'z', 9), (6, 'x', NULL)) a(id, k, t)";
const QUOTES: &str = "(VALUES ('x', 5, 100), ('x', 10, 101), ('x', 15, 102), ('y', 6, 200), ('x', NULL, 0)) b(k, t, p)";

async fn joined(join: &str, condition: &str, expected: &[&str]) {
    let sql = format!(
        "SELECT a.id, b.p FROM {TRADES} {join} {QUOTES} MATCH_CONDITION ({condition}) ON a.k = b.k ORDER BY a.id"
    );
    check(&sql, expected).await;
}

#[tokio::test]
async fn all_comparisons() {
    joined("ASOF JOIN", "a.t >= b.t", &["1|101", "2|102"]).await;
    joined("ASOF JOIN", "a.t > b.t", &["1|100", "2|102"]).await;
    joined("ASOF JOIN", "a.t <= b.t", &["1|101", "3|200", "4|100"]).await;
    joined("ASOF JOIN", "a.t < b.t", &["1|102", "3|200", "4|100"]).await;
    joined("ASOF JOIN", "b.t <= a.t", &["1|101", "2|102"]).await;
}

#[tokio::test]
async fn left_keeps_all_rows() {
    joined("ASOF LEFT JOIN", "a.t >= b.t", &["1|101", "2|102", "3|NULL", "4|NULL", "5|NULL", "6|NULL"]).await;
    joined("ASOF LEFT OUTER JOIN", "a.t < b.t", &["1|102", "2|NULL", "3|200", "4|100", "5|NULL", "6|NULL"]).await;
}

#[tokio::test]
async fn without_keys_and_with_other_types() {
    check(
        "SELECT a.t, b.v FROM (VALUES (5), (15)) a(t) ASOF JOIN (VALUES (1.5, 'p'), (9.5, 'q')) b(t, v) \
         MATCH_CONDITION (a.t >= b.t) ORDER BY a.t",
        &["5|p", "15|q"],
    )
    .await;
    check(
        "SELECT count(*), sum(b.i - a.i) FROM numbers a ASOF JOIN (SELECT * FROM numbers WHERE i % 10 = 0) b \
         MATCH_CONDITION (a.time >= b.time) ON a.i % 5 = b.i % 5",
        &["20000|-50000"],
    )
    .await;
    check(
        "SELECT count(*), count(b.i) FROM numbers a ASOF LEFT JOIN (SELECT * FROM numbers WHERE i < 0) b \
         MATCH_CONDITION (a.time >= b.time)",
        &["100000|0"],
    )
    .await;
}

#[tokio::test]
async fn agrees_with_a_plain_join() {
    let asof = "SELECT a.i, b.i AS j FROM (SELECT * FROM numbers WHERE i % 97 = 0) a \
        ASOF JOIN (SELECT * FROM numbers WHERE i % 89 = 3) b MATCH_CONDITION (a.time >= b.time) ON a.i % 7 = b.i % 7";
    let plain = "SELECT a.i, max(b.i) AS j FROM (SELECT * FROM numbers WHERE i % 97 = 0) a \
        JOIN (SELECT * FROM numbers WHERE i % 89 = 3) b ON a.i % 7 = b.i % 7 AND a.time >= b.time GROUP BY a.i";
    let rows = crate::run(&format!("SELECT * FROM ({asof}) q ORDER BY i")).await.expect("runs");
    assert_eq!(rows, crate::run(&format!("SELECT * FROM ({plain}) q ORDER BY i")).await.expect("runs"));
    assert!(rows.len() > 900);
}

#[tokio::test]
async fn refused() {
    let sql = |condition: &str, on: &str| {
        format!("SELECT * FROM {TRADES} ASOF JOIN {QUOTES} MATCH_CONDITION ({condition}) {on}")
    };
    fails(&sql("a.t = b.t", ""), "not by =").await;
    fails(&sql("a.t", ""), "one comparison").await;
    fails(&sql("a.t >= b.t", "USING (k)"), "USING").await;
    fails(&sql("a.t >= b.t", "ON a.k = b.k AND b.p > 3"), "equalities").await;
    fails(&sql("a.t >= a.id", ""), "do not compare the two sides").await;
}
