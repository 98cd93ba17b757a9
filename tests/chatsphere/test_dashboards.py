"""The statements of the three dashboards, checked against pandas, and the PromQL ones against arithmetic."""

import datetime as dt
import time

import pandas as pd
import pytest

pytestmark = pytest.mark.usefixtures("warehouse")

# The deployment's panel names the table of its last step only; the steps are what such a panel has.
RETENTION = """
WITH first_seen AS (
    SELECT user_id, MIN(date) AS cohort_day FROM user_metrics GROUP BY user_id
), cohort AS (
    SELECT f.cohort_day, (m.date - f.cohort_day) / 7 AS week, COUNT(DISTINCT m.user_id) AS users
    FROM user_metrics m
    JOIN first_seen f ON f.user_id = m.user_id
    GROUP BY f.cohort_day, (m.date - f.cohort_day) / 7
), cohort_analysis AS (
    SELECT c.cohort_day, c.week, c.users, c.users::float / z.users AS retention
    FROM cohort c
    JOIN cohort z ON z.cohort_day = c.cohort_day AND z.week = 0
)
SELECT * FROM cohort_analysis ORDER BY cohort_day, week
"""


def fetch(connection, sql, parameters=None):
    with connection.cursor() as cur:
        cur.execute(sql, parameters)
        return cur.fetchall()


def test_daily_active_users(connection, warehouse):
    rows = fetch(connection, "SELECT date, COUNT(DISTINCT user_id) FROM user_metrics GROUP BY date ORDER BY date")
    wanted = warehouse["user_metrics"].groupby("date")["user_id"].nunique()
    assert rows == [(day, int(count)) for day, count in wanted.items()]


def test_message_volume(connection, warehouse):
    rows = fetch(
        connection, "SELECT date_trunc('hour', timestamp) as hour, COUNT(*) FROM message_analytics GROUP BY hour"
    )
    wanted = warehouse["message_analytics"].groupby(warehouse["message_analytics"]["timestamp"].dt.floor("h")).size()
    assert sorted(rows) == [(hour.to_pydatetime(), int(count)) for hour, count in wanted.items()]


def test_user_retention(connection, warehouse):
    rows = fetch(connection, RETENTION)
    frame = warehouse["user_metrics"][["user_id", "date"]].copy()
    frame["date"] = pd.to_datetime(frame["date"])
    frame["cohort_day"] = frame.groupby("user_id")["date"].transform("min")
    frame["week"] = (frame["date"] - frame["cohort_day"]).dt.days // 7
    users = frame.groupby(["cohort_day", "week"])["user_id"].nunique()
    wanted = [
        (day.date(), int(week), int(count), pytest.approx(count / users[(day, 0)]))
        for (day, week), count in users.items()
    ]
    assert rows == wanted


def test_the_hourly_aggregates(connection, warehouse):
    rows = fetch(connection, """
        SELECT date_trunc('hour', timestamp) AS hour, user_id,
               COUNT(*) AS message_count, AVG(content_length) AS avg_length
        FROM message_analytics
        WHERE timestamp >= %s AND timestamp < %s
        GROUP BY hour, user_id
        ORDER BY hour, user_id
    """, (dt.datetime(2026, 1, 5), dt.datetime(2026, 1, 6)))
    frame = warehouse["message_analytics"]
    frame = frame[(frame["timestamp"] >= "2026-01-05") & (frame["timestamp"] < "2026-01-06")]
    groups = frame.groupby([frame["timestamp"].dt.floor("h"), "user_id"])["content_length"].agg(["size", "mean"])
    wanted = [(h.to_pydatetime(), user, int(g["size"]), pytest.approx(g["mean"])) for (h, user), g in groups.iterrows()]
    assert len(rows) == len(wanted) > 100
    assert [(h, u, n, float(a)) for h, u, n, a in rows] == wanted


def test_the_hourly_aggregates_as_a_rollup(server, connection, warehouse):
    """What the deployment's Spark job writes: kept up to date by the database, late messages included."""
    if server.process is None:
        pytest.skip("a PostgreSQL has no continuous rollups")
    connection.autocommit = True
    frame = warehouse["message_analytics"][["timestamp", "user_id", "content_length"]]

    def check():
        rows = fetch(connection, "SELECT hour, user_id, message_count, avg_length FROM message_metrics ORDER BY hour, user_id")
        groups = frame.groupby([frame["timestamp"].dt.floor("h"), "user_id"])["content_length"].agg(["size", "mean"])
        wanted = [(h.to_pydatetime(), u, int(g["size"]), pytest.approx(g["mean"])) for (h, u), g in groups.iterrows()]
        assert len(rows) == len(wanted) > 100
        assert [(h, u, n, float(a)) for h, u, n, a in rows] == wanted

    with connection.cursor() as cur:
        cur.execute("""
            CREATE MATERIALIZED VIEW message_metrics WITH (continuous) AS
            SELECT time_bucket('1 hour', timestamp) AS hour, user_id,
                   COUNT(*) AS message_count, AVG(content_length) AS avg_length
            FROM message_analytics GROUP BY hour, user_id
        """)
        check()
        late = dt.datetime(2025, 12, 31, 23, 30)
        columns = {"message_id": "late-1", "user_id": "user-late", "content_length": 77, "timestamp": late}
        cur.execute(f"INSERT INTO message_analytics ({', '.join(columns)}) VALUES (%s, %s, %s, %s)", list(columns.values()))
        frame = pd.concat([frame, pd.DataFrame([columns])[list(frame.columns)]], ignore_index=True)
        check()
        cur.execute("REFRESH MATERIALIZED VIEW message_metrics")
        check()
        cur.execute("DELETE FROM message_analytics WHERE message_id = 'late-1'")
        frame = frame[frame["user_id"] != "user-late"]
        check()
        cur.execute("DROP MATERIALIZED VIEW message_metrics")


def test_the_performance_dashboard(server):
    now = int(time.time())
    lines = []
    for step in range(21):
        at = (now - 300 + step * 15) * 1000
        for status, rate in [("200", 9), ("500", 1)]:
            lines.append(f'http_requests_total{{status="{status}"}} {rate * 15 * step} {at}')
        for le, rate in [("0.5", 80), ("1", 90), ("2.5", 100), ("+Inf", 100)]:
            lines.append(f'http_request_duration_seconds_bucket{{le="{le}"}} {rate * step} {at}')
        for pod, container, megabytes in [("web-1", "app", 100), ("web-1", "proxy", 20), ("web-2", "app", 300)]:
            lines.append(f'container_memory_usage_bytes{{pod="{pod}",container="{container}"}} {megabytes * 2**20} {at}')
    if server.process is None:
        pytest.skip("a PostgreSQL answers no PromQL")
    server.import_text("\n".join(lines) + "\n")

    def values(query):
        return {tuple(r["metric"].values()): float(r["value"][1]) for r in server.promql(query, now)}

    latency = "histogram_quantile(0.95, sum(rate(http_request_duration_seconds_bucket[5m])) by (le))"
    assert values(latency)[()] == pytest.approx(1 + 1.5 * 0.5)
    errors = 'sum(rate(http_requests_total{status=~"5.."}[5m])) / sum(rate(http_requests_total[5m])) * 100'
    assert values(errors)[()] == pytest.approx(10)
    memory = values("sum(container_memory_usage_bytes) by (pod)")
    assert memory == {("web-1",): 120 * 2**20, ("web-2",): 300 * 2**20}


def test_metrics_join_events(server, connection, warehouse):
    if server.process is None:
        pytest.skip("a PostgreSQL has no metrics")
    frame = warehouse["message_analytics"]
    hours = frame.groupby(frame["timestamp"].dt.floor("h")).size()
    lines = [
        f'cpu_load{{host="a"}} {number} {int(hour.timestamp() * 1000)}' for number, hour in enumerate(hours.index)
    ]
    server.import_text("\n".join(lines) + "\n")
    rows = fetch(connection, """
        SELECT c.timestamp, c.value, m.messages
        FROM cpu_load c
        JOIN (
            SELECT date_trunc('hour', timestamp) AS hour, COUNT(*) AS messages FROM message_analytics GROUP BY hour
        ) m ON m.hour = c.timestamp
        WHERE c.host = 'a'
        ORDER BY c.timestamp
    """)
    assert [(v, n) for _, v, n in rows] == [(float(i), int(n)) for i, n in enumerate(hours)]
