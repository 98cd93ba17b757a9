"""The systems under test behind one interface: load a file, compact, ask, tell the size."""

import datetime
import decimal
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.parse

HERE = pathlib.Path(__file__).parent
BATCH = 5_000
TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A system said no; the text is its own."""


def plain(value):
    """A value as JSON has it."""
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value)
    return str(value)


def bytes_below(directory):
    """Bytes of the files below a directory."""
    total = 0
    for root, _, files in os.walk(directory):
        for file in files:
            try:
                total += os.stat(os.path.join(root, file)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


class Embedded:
    """DuckDB or ClickHouse in a child process."""

    def __init__(self, name, directory, threads):
        self.name, self.directory = name, pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.child = subprocess.Popen([sys.executable, HERE / "embedded.py", name, directory, str(threads)],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def _ask(self, *command):
        self.child.stdin.write(json.dumps(command) + "\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        if not line:
            raise Failed(f"{self.name} ended with {self.child.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(f"{self.name}: {answer['error']}")
        return answer

    def load(self, path, table, _progress):
        answer = self._ask("load", str(path), table)
        return {"wall": answer["wall"], "cpu": answer["cpu"], "cpu idle": answer["cpu"]}

    def compact(self):
        self._ask("compact")

    def size(self):
        if self.name == "clickhouse":
            return self._ask("size")["result"]
        return bytes_below(self.directory)

    def query(self, text):
        answer = self._ask("query", text)
        return answer["wall"], answer["cpu"], answer["result"]

    def memory(self):
        return memory_of(self.child.pid)

    def stop(self):
        self.child.stdin.close()
        self.child.wait()


def memory_of(pid):
    """Resident bytes of a process."""
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_of(pid):
    """CPU seconds of a process so far."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A server in a process of its own."""

    def __init__(self, name, directory, command, port, ready):
        self.name, self.directory, self.port = name, pathlib.Path(directory), port
        self.directory.mkdir(parents=True, exist_ok=True)
        log = open(self.directory.with_suffix(".log"), "w")
        begun = time.perf_counter()
        self.child = subprocess.Popen(command, stdout=log, stderr=log)
        while True:
            try:
                self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
                self.call("GET", ready)
                break
            except OSError:
                if self.child.poll() is not None:
                    raise Failed(f"{name} ended with {self.child.returncode}: see {log.name}") from None
                time.sleep(0.002)
        self.ready_seconds = time.perf_counter() - begun

    def call(self, method, path, body=None, headers=None):
        self.connection.request(method, path, body, headers or {})
        response = self.connection.getresponse()
        data = response.read()
        if response.status >= 400:
            raise Failed(f"{self.name}: {method} {path}: {response.status} {data[:500].decode('utf-8', 'replace')}")
        return data

    def idle(self):
        """Waits until it has done its work after the load: under 2% of a core over a second, three times."""
        quiet, before = 0, cpu_of(self.child.pid)
        while quiet < 3:
            time.sleep(1)
            now = cpu_of(self.child.pid)
            quiet, before = (quiet + 1 if now - before < 0.02 else 0), now

    def load(self, path, table, progress):
        wall, used = time.perf_counter(), cpu_of(self.child.pid)
        batch, count = [], 0
        with open(path, "rb") as lines:
            for line in lines:
                batch.append(line)
                if len(batch) == BATCH:
                    self.send(table, b"".join(batch))
                    count += len(batch)
                    progress(count)
                    batch = []
        if batch:
            self.send(table, b"".join(batch))
        result = {"wall": time.perf_counter() - wall, "cpu": cpu_of(self.child.pid) - used}
        self.idle()
        return result | {"cpu idle": cpu_of(self.child.pid) - used}

    def size(self):
        return bytes_below(self.directory)

    def memory(self):
        return memory_of(self.child.pid)

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        self.child.wait()


class Chronolith(Server):
    def __init__(self, directory, binary, _threads):
        port = free_port()
        command = [binary, "serve", "--data-dir", str(directory), "--listen", f"127.0.0.1:{port}",
                   "--postgres-listen", f"127.0.0.1:{free_port()}", "--enable-admin-api", "--query-timeout", "10m"]
        super().__init__("chronolith", directory, command, port, "/-/ready")

    def send(self, table, body):
        self.call("POST", f"/api/v1/events/{table}", body, {"Content-Type": "application/x-ndjson"})

    def compact(self):
        self.call("POST", "/api/v1/admin/tsdb/compact")

    def query(self, text):
        wall, used = time.perf_counter(), cpu_of(self.child.pid)
        data = self.call("POST", "/api/v1/sql?format=ndjson", text.encode(), {"Content-Type": "text/plain"})
        wall = time.perf_counter() - wall
        return wall, cpu_of(self.child.pid) - used, [list(json.loads(line).values()) for line in data.splitlines()]


class VictoriaLogs(Server):
    def __init__(self, directory, binary, _threads):
        port = free_port()
        command = [binary, f"-storageDataPath={directory}", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=100y"]
        super().__init__("victorialogs", directory, command, port, "/health")

    def send(self, table, body):
        message = "data.message" if table == "events" else "subject"
        parameters = urllib.parse.urlencode({"_time_field": "timestamp", "_msg_field": message, "_stream_fields": "type"})
        self.call("POST", f"/insert/jsonline?{parameters}", body)

    def compact(self):
        self.call("GET", "/internal/force_merge")
        self.idle()
