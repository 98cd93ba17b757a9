"""A database inside this process, driven by lines of JSON: DuckDB or ClickHouse, in a process of their own."""

import json
import resource
import sys
import time

import systems

CLICKHOUSE_EVENTS = """CREATE TABLE {table} (event_id String, timestamp DateTime64(3, 'UTC'), type LowCardinality(String),
    user_id String, session_id String, data JSON) ENGINE = MergeTree ORDER BY timestamp"""
CLICKHOUSE_OTHERS = """CREATE TABLE {table} (timestamp DateTime('UTC'), document JSON) ENGINE = MergeTree ORDER BY timestamp"""


class DuckDB:
    def __init__(self, directory, threads):
        import duckdb
        self.db = duckdb.connect(f"{directory}/events.duckdb")
        self.db.execute(f"SET threads = {threads}")
        self.db.execute("SET TimeZone = 'UTC'")

    def load(self, path, table):
        self.db.execute(f"CREATE TABLE {table} AS SELECT * FROM read_json('{path}', format = 'newline_delimited')")
        self.db.execute("CHECKPOINT")

    def compact(self):
        self.db.execute("CHECKPOINT")

    def query(self, text):
        return [list(row) for row in self.db.execute(text).fetchall()]


class ClickHouse:
    def __init__(self, directory, threads):
        from chdb import session
        self.session = session.Session(f"{directory}/clickhouse")
        self.session.query(f"SET max_threads = {threads}")
        self.session.query("SET allow_experimental_json_type = 1, date_time_input_format = 'best_effort'")
        self.tables = []

    def load(self, path, table):
        self.tables.append(table)
        if table == "events":
            self.session.query(CLICKHOUSE_EVENTS.format(table=table))
            self.session.query(f"INSERT INTO {table} SELECT event_id, timestamp, type, user_id, session_id, data FROM "
                               f"file('{path}', JSONEachRow, 'event_id String, timestamp DateTime64(3, ''UTC''), "
                               "type LowCardinality(String), user_id String, session_id String, data JSON')")
        else:
            self.session.query(CLICKHOUSE_OTHERS.format(table=table))
            self.session.query(f"INSERT INTO {table} SELECT parseDateTimeBestEffort(json.timestamp.:String), json "
                               f"FROM file('{path}', JSONAsObject)")

    def compact(self):
        for table in self.tables:
            self.session.query(f"OPTIMIZE TABLE {table} FINAL")

    def size(self):
        return int(self.session.query("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'default'",
                                      "TSV").bytes().strip() or b"0")

    def query(self, text):
        answer = self.session.query(text, "JSONCompact")
        return json.loads(answer.bytes())["data"]


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main():
    name, directory, threads = sys.argv[1:]
    system = {"duckdb": DuckDB, "clickhouse": ClickHouse}[name](directory, threads)
    answers = sys.stdout
    sys.stdout = sys.stderr
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        wall, used = time.perf_counter(), cpu()
        try:
            result = getattr(system, command)(*arguments)
            answer = {"result": result}
        except Exception as error:  # whatever it is, the bench tells it
            answer = {"error": f"{type(error).__name__}: {error}"}
        answer |= {"wall": time.perf_counter() - wall, "cpu": cpu() - used}
        answers.write(json.dumps(answer, default=systems.plain) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
