"""psql, SQLAlchemy's reflection, pandas both ways."""

import asyncio
import shutil
import subprocess

import pandas as pd
import pytest
from sqlalchemy import MetaData, Table, create_engine, inspect, text

pytestmark = pytest.mark.usefixtures("warehouse")


def psql(server, *commands):
    if shutil.which("psql") is None:
        pytest.skip("psql is not installed")
    arguments = [a for c in commands for a in ("-c", c)]
    run = subprocess.run(
        ["psql", "-X", "-v", "ON_ERROR_STOP=1", server.dsn, *arguments], capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr in ("", "Did not find any relations.\n"), run.stderr
    return run.stdout


def test_psql_describes(server):
    listed = psql(server, r"\dt")
    assert "user_metrics" in listed and "message_analytics" in listed
    described = psql(server, r"\d user_metrics")
    assert "character varying(36)" in described and "double precision" in described
    assert "PRIMARY KEY" in described and "not null" in described
    for command in [r"\l", r"\dn", r"\du", r"\di", r"\dv", r"\df", r"\dT", r"\d", r"\dt+", r"\d+ user_metrics"]:
        psql(server, command)


def test_psql_copies(server):
    out = psql(
        server,
        "CREATE TABLE copied (id INT PRIMARY KEY, name TEXT, at TIMESTAMPTZ)",
        "INSERT INTO copied VALUES (1, 'a,b', '2026-01-01 00:00:00+00'), (2, NULL, NULL)",
        "COPY copied TO STDOUT WITH (FORMAT csv, HEADER)",
        "DROP TABLE copied",
    )
    assert 'id,name,at\n1,"a,b",2026-01-01 00:00:00+00\n2,,\n' in out


def test_reflection(server):
    engine = create_engine(server.url("psycopg2"))
    inspector = inspect(engine)
    assert {"user_metrics", "channel_metrics", "message_analytics", "model_performance"} <= set(
        inspector.get_table_names()
    )
    columns = {c["name"]: c for c in inspector.get_columns("user_metrics")}
    assert list(columns)[:3] == ["user_id", "date", "messages_sent"]
    assert str(columns["user_id"]["type"]) == "VARCHAR(36)" and not columns["user_id"]["nullable"]
    assert str(columns["avg_response_time_sec"]["type"]) == "DOUBLE PRECISION"
    assert columns["messages_sent"]["nullable"]
    assert inspector.get_pk_constraint("user_metrics")["constrained_columns"] == ["user_id", "date"]
    assert inspector.get_foreign_keys("user_metrics") == []
    inspector.get_indexes("user_metrics")
    assert not inspector.has_table("no such table")
    table = Table("message_analytics", MetaData(), autoload_with=engine)
    assert [c.name for c in table.primary_key.columns] == ["message_id"]
    with engine.connect() as connection:
        rows = connection.execute(table.select().where(table.c.content_length > 1990)).all()
        assert rows and all(r.content_length > 1990 for r in rows)
    engine.dispose()


def test_pandas_both_ways(server):
    engine = create_engine(server.url("psycopg2"))
    frame = pd.DataFrame({
        "id": range(1000),
        "name": [f"n{i % 7}" for i in range(1000)],
        "value": [i / 3 for i in range(1000)],
        "at": pd.date_range("2026-01-01", periods=1000, freq="min"),
        "good": [i % 2 == 0 for i in range(1000)],
    })
    frame.to_sql("frame", engine, index=False, if_exists="replace")
    frame.to_sql("frame", engine, index=False, if_exists="append", method="multi", chunksize=100)
    back = pd.read_sql("SELECT * FROM frame ORDER BY id, name", engine)
    wanted = pd.concat([frame, frame]).sort_values("id", kind="stable").reset_index(drop=True)
    pd.testing.assert_frame_equal(back, wanted, check_dtype=False)
    means = pd.read_sql(text("SELECT name, AVG(value) AS mean FROM frame GROUP BY name ORDER BY name"), engine)
    assert means["mean"].tolist() == pytest.approx(frame.groupby("name")["value"].mean().tolist())
    assert pd.read_sql_table("frame", engine).shape == (2000, 5)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE frame"))
    engine.dispose()


def test_asyncpg_alone(server):
    import asyncpg

    async def run():
        connection = await asyncpg.connect(server.dsn)
        users = await connection.fetch("SELECT user_id, date FROM user_metrics ORDER BY date, user_id LIMIT $1", 3)
        assert len(users) == 3
        one = await connection.fetchrow(
            "SELECT COUNT(*) AS n, MAX(messages_sent) AS most FROM user_metrics WHERE user_id = ANY($1::text[])",
            [u["user_id"] for u in users],
        )
        assert one["n"] > 0
        async with connection.transaction():
            seen = 0
            async for row in connection.cursor("SELECT message_id FROM message_analytics"):
                seen += 1
                if seen == 300:
                    break
        await connection.execute("CREATE TABLE copied (id INT PRIMARY KEY, name TEXT)")
        rows = [(i, f"name {i}") for i in range(500)]
        await connection.executemany("INSERT INTO copied VALUES ($1, $2)", rows)
        assert [tuple(r) for r in await connection.fetch("SELECT * FROM copied ORDER BY id")] == rows
        await connection.execute("DROP TABLE copied")
        await connection.close()

    asyncio.run(run())
