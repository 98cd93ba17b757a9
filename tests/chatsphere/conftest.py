"""A Chronolith server for each test module, and connections to it as the ChatSphere deployment makes them.

CHRONOLITH names the binary (default: the debug build of this checkout). With CHATSPHERE_DSN set to a database of a real
PostgreSQL, the tests of SQL run against that instead: what they expect is what PostgreSQL answers.
"""

import json
import os
import pathlib
import re
import select
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request

import psycopg2
import pytest
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

ROOT = pathlib.Path(__file__).resolve().parents[2]
START_SECONDS = 30


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A running `chronolith serve`, or a PostgreSQL that somebody else runs."""

    def __init__(self, dsn=None):
        self.dsn = dsn
        self.process = None
        self.directory = None
        if dsn is None:
            self.binary = os.environ.get("CHRONOLITH", str(ROOT / "target" / "debug" / "chronolith"))
            self.directory = tempfile.mkdtemp(prefix="chronolith-chatsphere-")
            self.start()

    def start(self):
        self.http, self.postgres = free_port(), free_port()
        self.log = open(pathlib.Path(self.directory) / "server.log", "ab")
        command = [
            self.binary, "serve", "--data-dir", str(pathlib.Path(self.directory) / "data"),
            "--retention-time", "10y", "--listen", f"127.0.0.1:{self.http}", "--postgres-listen", f"127.0.0.1:{self.postgres}",
        ]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert self.process.poll() is None, self.read_log()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.http}/-/ready", timeout=1).read()
                break
            except OSError:
                assert time.monotonic() < deadline, self.read_log()
                select.select([], [], [], 0.02)
        self.dsn = f"postgresql://chatsphere:secret@127.0.0.1:{self.postgres}/chatsphere"

    def read_log(self):
        return (pathlib.Path(self.directory) / "server.log").read_text(errors="replace")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            assert self.process.wait(timeout=30) == 0, self.read_log()
            shutil.rmtree(self.directory)

    def config(self):
        """What `psycopg2.connect(**db_config)` takes."""
        url = urllib.parse.urlparse(self.dsn)
        return {
            "host": url.hostname, "port": url.port, "user": url.username, "password": url.password,
            "dbname": url.path.lstrip("/"),
        }

    def url(self, driver):
        return re.sub(r"^postgresql", f"postgresql+{driver}", self.dsn)

    def promql(self, query, at):
        if self.process is None:
            pytest.skip("a PostgreSQL answers no PromQL")
        parameters = urllib.parse.urlencode({"query": query, "time": at})
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/api/v1/query?{parameters}") as response:
            return json.load(response)["data"]["result"]

    def import_text(self, text):
        command = [self.binary, "import", "--url", f"http://127.0.0.1:{self.http}", "-"]
        subprocess.run(command, input=text.encode(), check=True, capture_output=True)


@pytest.fixture(scope="module")
def server():
    running = Server(os.environ.get("CHATSPHERE_DSN"))
    yield running
    running.stop()


@pytest.fixture
def connection(server):
    connection = psycopg2.connect(**server.config())
    yield connection
    connection.close()


@pytest.fixture
def sessions(server):
    engine = create_async_engine(server.url("asyncpg"))
    return engine, async_sessionmaker(engine, expire_on_commit=False)


@pytest.fixture(scope="module")
def warehouse(server):
    """The warehouse tables, filled."""
    from chatsphere import data, warehouse as schema

    connection = psycopg2.connect(**server.config())
    schema.create(connection)
    filled = data.fill(connection)
    connection.close()
    yield filled
    connection = psycopg2.connect(**server.config())
    schema.drop(connection)
    connection.close()
