//! Dates and times; the values are PostgreSQL's.

use crate::{check, fails, run};

#[tokio::test]
async fn truncation() {
    let at = "TIMESTAMP '2024-03-15 13:47:12.345678'";
    check(
        &format!(
            "SELECT date_trunc('hour', {at}), date_trunc('week', {at}), date_trunc('quarter', {at}), \
             date_trunc('decade', {at}), date_trunc('century', {at}), date_trunc('millennium', {at})"
        ),
        &["2024-03-15T13:00:00|2024-03-11T00:00:00|2024-01-01T00:00:00|2020-01-01T00:00:00|2001-01-01T00:00:00|2001-01-01T00:00:00"],
    )
    .await;
    check(
        &format!("SELECT date_trunc('day', {at}, 'America/New_York'), date_trunc('day', {at}, NULL)"),
        &["2024-03-15T04:00:00|NULL"],
    )
    .await;
    fails(&format!("SELECT date_trunc('fortnight', {at}, 'UTC')"), "\"fortnight\" not recognized").await;
    fails(&format!("SELECT date_trunc('day', {at}, 'Mars/Base')"), "\"Mars/Base\" not recognized").await;
}

/// Of columns in UTC it goes another way than in a named zone, without dates: both have to say the same.
#[tokio::test]
async fn truncation_of_columns() {
    let times = "SELECT arrow_cast(v * 12345678901 - 400000000000000, 'Timestamp(Microsecond, None)') AS t \
                 FROM generate_series(1, 100000, 7) AS g(v) UNION ALL SELECT NULL";
    for field in ["millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year"] {
        let text = format!(
            "SELECT count(*), count(DISTINCT date_trunc('{field}', t)) > 1 FROM ({times}) AS x \
             WHERE date_trunc('{field}', t) IS NOT DISTINCT FROM date_trunc('{field}', t, 'UTC')"
        );
        check(&text, &["14287|true"]).await;
    }
}

#[tokio::test]
async fn parts() {
    let at = "TIMESTAMP '2001-02-16 20:38:40.12'";
    check(
        &format!(
            "SELECT extract(century FROM {at}), extract(decade FROM {at}), extract(second FROM {at}), date_part('dow', {at}), \
             date_part('doy', {at}), extract(isodow FROM {at}), date_part('milliseconds', {at}), extract(epoch FROM {at})"
        ),
        &["21|200|40.120000|5.0|47.0|5|40120.0|982355920.120000"],
    )
    .await;
    check(
        "SELECT extract(second FROM INTERVAL '1 hour 30.5 seconds'), extract(epoch FROM INTERVAL '1 day 2 hours')",
        &["30.500000|93600.000000"],
    )
    .await;
}

#[tokio::test]
async fn differences() {
    check("SELECT age(TIMESTAMP '2001-04-10', TIMESTAMP '1957-06-13')", &["525 mons 27 days"]).await;
    check(
        "SELECT DATE '2024-03-01' - DATE '2024-02-01', DATE '2024-02-28' + 2, DATE '2024-03-01' - 1",
        &["29|2024-03-01|2024-02-29"],
    )
    .await;
    check(
        "SELECT justify_interval(INTERVAL '35 days 25 hours'), justify_hours(INTERVAL '27 hours')",
        &["1 mons 6 days 1 hours|1 days 3 hours"],
    )
    .await;
    check(
        "SELECT make_timestamp(2013, 7, 15, 8, 15, 23.5), make_date(2013, 7, 15)",
        &["2013-07-15T08:15:23.500|2013-07-15"],
    )
    .await;
    fails("SELECT make_timestamp(2013, 13, 15, 8, 15, 23.5)", "out of range").await;
}

#[tokio::test]
async fn intervals_and_numbers() {
    check(
        "SELECT 21 * INTERVAL '15 seconds', INTERVAL '1 hour' * 3.5, INTERVAL '1 month' * 1.5, \
         INTERVAL '1 hour' / 1.5, INTERVAL '1 year 1 day' / 2, INTERVAL '1 day' * 0.1, '2' * INTERVAL '1 day'",
        &["5 mins 15.000000000 secs|3 hours 30 mins|1 mons 15 days|40 mins|6 mons 12 hours|2 hours 24 mins|2 days"],
    )
    .await;
    check(
        "SELECT -3 * INTERVAL '1 day', NULL::int * INTERVAL '1 day', TIMESTAMP '2024-03-31' - 2 * INTERVAL '1 month'",
        &["-3 days|NULL|2024-01-31T00:00:00"],
    )
    .await;
    check(
        "SELECT count(*) FROM numbers WHERE time < TIMESTAMP '1970-01-01' + (i * 0 + 3) * INTERVAL '1 minute'",
        &["180"],
    )
    .await;
    fails("SELECT INTERVAL '1 day' / 0", "division by zero").await;
    fails("SELECT 1e300 * INTERVAL '1 day'", "interval out of range").await;
    fails("SELECT 2 / INTERVAL '1 day'", "").await;
}

#[tokio::test]
async fn zones() {
    // A clock in a zone is a moment, and a moment has a clock in a zone.
    check(
        "SELECT TIMESTAMP '2001-02-16 20:38:40' AT TIME ZONE 'America/Denver', \
         (TIMESTAMP '2001-02-16 20:38:40' AT TIME ZONE 'UTC') AT TIME ZONE 'America/Denver'",
        &["2001-02-17T03:38:40Z|2001-02-16T13:38:40"],
    )
    .await;
    let rows =
        run("SELECT now() - clock_timestamp() < INTERVAL '1 hour', age(now()) IS NULL, current_timestamp IS NULL")
            .await;
    assert_eq!(rows, Ok(vec!["true|false|false".to_owned()]));
}

#[tokio::test]
async fn literals() {
    check(
        "SELECT '2024-01-02 10:00'::timestamp, TIMESTAMP '2024-1-2T10:00:30.5+02', DATE '2024-01-02', 'epoch'::timestamp, \
         'today'::date = current_date",
        &["2024-01-02T10:00:00|2024-01-02T10:00:30.500|2024-01-02|1970-01-01T00:00:00|true"],
    )
    .await;
    check("SELECT count(*) FROM numbers WHERE time >= '1970-01-02 00:00' AND time < '1970-01-02 00:01'", &["60"]).await;
    fails("SELECT 'soon'::timestamp", "soon").await;
}

#[tokio::test]
async fn to_char() {
    let at = "TIMESTAMP '2024-03-05 13:07:09.012345'";
    check(
        &format!(
            "SELECT to_char({at}, 'YYYY-MM-DD HH24:MI:SS.MS'), to_char({at}, 'FMDay, DD Mon YYYY HH12:MI am'), \
             to_char({at}, 'Month'), to_char({at}, 'FMDDth \"of\" FMMONTH, IYYY-\"W\"IW Q')"
        ),
        &["2024-03-05 13:07:09.012|Tuesday, 05 Mar 2024 01:07 pm|March    |5th of MARCH, 2024-W10 1"],
    )
    .await;
    check(
        "SELECT to_char(1234.5, '9,999.99'), to_char(-12, 'FM999'), to_char(0.1, 'FM0.99'), to_char(5, '000'), \
         to_char(12345, '999'), to_char(NULL::timestamp, 'YYYY')",
        &[" 1,234.50|-12|0.1| 005| ###|NULL"],
    )
    .await;
    fails("SELECT to_char(1, 'RN')", "number pattern").await;
}
