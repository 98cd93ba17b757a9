"""The warehouse: schema, inserts, keys, and the tracker that writes to it."""

import datetime as dt
import uuid

import psycopg2
import psycopg2.errors
import pytest

from chatsphere.tracker import ModelPerformanceTracker

pytestmark = pytest.mark.usefixtures("warehouse")


def fetch(connection, sql, parameters=None):
    with connection.cursor() as cur:
        cur.execute(sql, parameters)
        return cur.fetchall()


def test_every_row_is_there(connection, warehouse):
    for table, frame in warehouse.items():
        assert fetch(connection, f"SELECT COUNT(*) FROM {table}") == [(len(frame),)]


def test_values_come_back_as_they_went(connection, warehouse):
    frame = warehouse["message_analytics"]
    columns = ", ".join(frame.columns)
    rows = fetch(connection, f"SELECT {columns} FROM message_analytics ORDER BY message_id")
    wanted = [tuple(r) for r in frame.sort_values("message_id").astype(object).itertuples(index=False)]
    assert rows == [(*w[:3], w[3].to_pydatetime(), *w[4:]) for w in wanted]
    assert isinstance(rows[0][5], bool)


def test_a_null_comes_back_as_none(connection, warehouse):
    nulls = int(warehouse["user_metrics"]["avg_response_time_sec"].isna().sum())
    assert nulls > 0
    assert fetch(connection, "SELECT COUNT(*) FROM user_metrics WHERE avg_response_time_sec IS NULL") == [(nulls,)]


def test_a_primary_key_is_unique(connection, warehouse):
    first = warehouse["user_metrics"].iloc[0]
    insert = "INSERT INTO user_metrics (user_id, date, messages_sent) VALUES (%s, %s, %s)"
    with connection.cursor() as cur, pytest.raises(psycopg2.errors.UniqueViolation):
        cur.execute(insert, (first["user_id"], first["date"], 1))
    connection.rollback()
    with connection.cursor() as cur, pytest.raises(psycopg2.errors.NotNullViolation):
        cur.execute(insert, (None, first["date"], 1))
    connection.rollback()
    with connection.cursor() as cur, pytest.raises(psycopg2.errors.StringDataRightTruncation):
        cur.execute(insert, ("x" * 37, first["date"], 1))
    connection.rollback()


def test_an_upsert_replaces_and_a_rollback_leaves_no_trace(connection, warehouse):
    first = warehouse["user_metrics"].iloc[0]
    key = (first["user_id"], first["date"])
    select = "SELECT messages_sent, total_reactions FROM user_metrics WHERE user_id = %s AND date = %s"
    before = fetch(connection, select, key)
    with connection.cursor() as cur:
        cur.execute("""
            INSERT INTO user_metrics (user_id, date, messages_sent) VALUES (%s, %s, %s)
            ON CONFLICT (user_id, date) DO UPDATE SET messages_sent = user_metrics.messages_sent + EXCLUDED.messages_sent
        """, (*key, 1000))
        assert cur.rowcount == 1
    assert fetch(connection, select, key) == [(before[0][0] + 1000, before[0][1])]
    connection.rollback()
    assert fetch(connection, select, key) == before
    with connection.cursor() as cur:
        cur.execute("""
            INSERT INTO user_metrics (user_id, date, messages_sent) VALUES (%s, %s, %s)
            ON CONFLICT DO NOTHING
        """, (*key, 1))
        assert cur.rowcount == 0
    connection.commit()


def test_nothing_is_seen_before_commit(server, connection):
    other = psycopg2.connect(**server.config())
    key = (str(uuid.uuid4()), dt.date(2026, 3, 1))
    count = "SELECT COUNT(*) FROM channel_metrics WHERE channel_id = %s"
    with connection.cursor() as cur:
        cur.execute("INSERT INTO channel_metrics (channel_id, date, total_messages) VALUES (%s, %s, 1)", key)
    assert fetch(connection, count, key[:1]) == [(1,)]
    assert fetch(other, count, key[:1]) == [(0,)]
    connection.commit()
    other.rollback()
    assert fetch(other, count, key[:1]) == [(1,)]
    with connection.cursor() as cur:
        cur.execute("UPDATE channel_metrics SET total_messages = 7 WHERE channel_id = %s", key[:1])
        assert cur.rowcount == 1
        cur.execute("SELECT total_messages FROM channel_metrics WHERE channel_id = %s", key[:1])
        assert cur.fetchall() == [(7,)]
        cur.execute("DELETE FROM channel_metrics WHERE channel_id = %s", key[:1])
        assert cur.rowcount == 1
    connection.commit()
    other.rollback()
    assert fetch(other, count, key[:1]) == [(0,)]
    other.close()


def test_the_tracker_stores_each_request(server, connection):
    tracker = ModelPerformanceTracker(server.config())
    before = dt.datetime.utcnow()
    for number in range(20):
        error = "timeout" if number % 5 == 0 else None
        tracker.track_request("gpt-small" if number % 2 else "gpt-large", 100 + number).complete(10 * number, error)
    rows = fetch(connection, """
        SELECT model_version, COUNT(*), SUM(input_tokens), SUM(output_tokens), COUNT(error_type), MIN(timestamp)
        FROM model_performance GROUP BY model_version ORDER BY model_version
    """)
    large, small = range(0, 20, 2), range(1, 20, 2)
    assert [r[:5] for r in rows] == [
        ("gpt-large", 10, sum(100 + n for n in large), sum(10 * n for n in large), 2),
        ("gpt-small", 10, sum(100 + n for n in small), sum(10 * n for n in small), 2),
    ]
    assert all(before <= r[5] <= dt.datetime.utcnow() for r in rows)


def test_what_was_confirmed_survives_kill_nine(server, connection):
    if server.process is None:
        pytest.skip("this PostgreSQL is somebody else's")
    keys = [str(uuid.uuid4()) for _ in range(50)]
    for key in keys:
        with connection.cursor() as cur:
            cur.execute("INSERT INTO model_performance (request_id, model_version) VALUES (%s, 'kill')", (key,))
        connection.commit()
    with connection.cursor() as cur:
        cur.execute("INSERT INTO model_performance (request_id, model_version) VALUES ('open', 'kill')")
    server.kill()
    connection.close()
    server.start()
    again = psycopg2.connect(**server.config())
    found = fetch(again, "SELECT request_id FROM model_performance WHERE model_version = 'kill'")
    assert sorted(f[0] for f in found) == sorted(keys)
    with again.cursor() as cur:
        cur.execute("DELETE FROM model_performance WHERE model_version = 'kill'")
        assert cur.rowcount == len(keys)
    again.commit()
    again.close()
