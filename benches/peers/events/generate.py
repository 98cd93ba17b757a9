"""Events of mixed shape from a seed: six types, with the skew that real ones have.

Users and sessions follow a Zipf-like law, the day has a rhythm, one event in fifty comes late, ids are random, texts are
filled templates. The same seed and count give the same bytes.
"""

import datetime
import sys

import numpy as np

START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
DAYS = 7
CHUNK = 50_000
TYPES = ["message_sent", "page_view", "api_request", "log", "purchase", "login"]
SHARES = [0.34, 0.24, 0.20, 0.16, 0.02, 0.04]
LANGUAGES = ["en", "it", "de", "fr", "es", "pt", "ja", "zh"]
BROWSERS = ["Chrome 143", "Safari 26", "Firefox 146", "Edge 143", "Samsung Internet 29"]
SYSTEMS = ["Windows", "Android", "iOS", "macOS", "Linux"]
COUNTRIES = ["US", "IN", "BR", "DE", "IT", "FR", "GB", "JP", "ID", "MX", "NG", "PL", "ES", "TR", "CA", "NL", "SE", "KR"]
PATHS = ["/api/messages", "/api/channels", "/api/users/me", "/api/search", "/api/files", "/api/presence", "/api/login",
         "/api/reactions", "/api/threads", "/api/settings", "/api/export", "/healthz"]
SERVICES = ["gateway", "messages", "search", "presence", "files", "billing", "auth", "notifier"]
LEVELS = ["info", "debug", "warn", "error", "fatal"]
PRODUCTS = ["pro-monthly", "pro-yearly", "team-monthly", "team-yearly", "storage-100", "storage-1000", "stickers"]
PAGES = ["/", "/pricing", "/docs", "/app", "/app/channel", "/app/settings", "/blog", "/login", "/download", "/status"]
STATUSES = [200, 201, 204, 304, 400, 401, 403, 404, 429, 500, 502, 503]
STATUS_SHARES = [0.72, 0.08, 0.05, 0.05, 0.02, 0.02, 0.01, 0.03, 0.008, 0.006, 0.004, 0.002]
TEMPLATES = [
    "request {a} to {s} done in {n} ms",
    "cache miss for key user:{u}:{k}, loading from the store",
    "retry {k} of 5 to {s} after {n} ms: connection reset by peer",
    "timeout after {n} ms while waiting for {s}",
    "user {u} joined channel {k} from 10.{k}.{x}.{y}",
    "queue depth is {n}, {k} consumers",
    "slow query of {n} ms on table messages_{k}",
    "token of user {u} has expired",
    "wrote {n} rows to partition {k} in {x} ms",
    "connection from 10.{x}.{y}.{k} closed",
]
TEMPLATE_SHARES = [0.28, 0.2, 0.05, 0.02, 0.15, 0.1, 0.03, 0.04, 0.08, 0.05]


def skewed(rng, size, most, exponent):
    """Numbers from 0 on, the low ones much more often."""
    return np.minimum((rng.random(size) ** exponent * most).astype(np.int64), most - 1)


def timestamp(ms):
    seconds, rest = divmod(ms, 1000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def times(rng, first, size, count):
    """Moments of events `first` to `first + size` of `count`: a rhythm of days, jitter, and some that come late."""
    share = (first + np.arange(size)) / count
    day = share * DAYS
    wave = day + 0.1 * np.sin(2 * np.pi * day)
    ms = START_MS + (wave * 86_400_000).astype(np.int64) + rng.integers(-400, 400, size)
    late = rng.random(size) < 0.02
    return np.maximum(ms - late * rng.integers(0, 3_600_000, size), START_MS)


def chunk(rng, first, size, count, users):
    """The lines of one chunk."""
    r = rng.integers(0, 1 << 62, (6, size))
    kinds = rng.choice(len(TYPES), size, p=SHARES).tolist()
    user = skewed(rng, size, users, 2.5).tolist()
    session = (skewed(rng, size, 40, 1.5) + (first // CHUNK) * 3).tolist()
    ms = times(rng, first, size, count).tolist()
    number = rng.lognormal(3.5, 1.2, size)
    small = skewed(rng, size, 1 << 20, 2.0)
    status = rng.choice(STATUSES, size, p=STATUS_SHARES).tolist()
    level = rng.choice(len(LEVELS), size, p=[0.7, 0.17, 0.09, 0.038, 0.002]).tolist()
    template = rng.choice(len(TEMPLATES), size, p=TEMPLATE_SHARES).tolist()
    skew = skewed(rng, size, 1 << 16, 3.0).tolist()
    a, b, c, d, e, f = r.tolist()
    number, small = number.tolist(), small.tolist()
    lines = []
    for i in range(size):
        u, kind = user[i], kinds[i]
        head = (f'{{"event_id":"{a[i]:015x}","timestamp":"{timestamp(ms[i])}","type":"{TYPES[kind]}",'
                f'"user_id":"u{u:06d}","session_id":"s{u:06d}-{session[i]}","data":{{')
        if kind == 0:
            body = (f'"channel":"c{skew[i] % 5000}","content_length":{int(number[i])},'
                    f'"has_attachment":{"true" if b[i] % 12 == 0 else "false"},"language":"{LANGUAGES[skew[i] % 8]}"')
        elif kind == 1:
            body = (f'"page":"{PAGES[skew[i] % 10]}","duration_ms":{int(number[i] * 200)},'
                    f'"browser":"{BROWSERS[u % 5]}","os":"{SYSTEMS[u % 7 % 5]}","country":"{COUNTRIES[u % 61 % 18]}"')
            if b[i] % 3 == 0:
                body += f',"referrer":"https://www.example{skew[i] % 300}.com/{c[i] % 1000}"'
        elif kind == 2:
            body = (f'"method":"{"GET" if b[i] % 4 else "POST"}","path":"{PATHS[skew[i] % 12]}","status":{status[i]},'
                    f'"latency_ms":{number[i]:.3f},"bytes":{small[i]},"trace_id":"{c[i]:015x}{d[i]:015x}"')
        elif kind == 3:
            text = TEMPLATES[template[i]].format(a=PATHS[skew[i] % 12], s=SERVICES[c[i] % 8], n=int(number[i]), u=u,
                                                 k=d[i] % 50, x=e[i] % 256, y=f[i] % 256)
            body = (f'"level":"{LEVELS[level[i]]}","service":"{SERVICES[skew[i] % 8]}","host":"node-{b[i] % 40:02d}",'
                    f'"message":"{text}","trace_id":"{e[i]:015x}{f[i]:015x}"')
        elif kind == 4:
            items = ",".join(f'"{PRODUCTS[(skew[i] + k) % 7]}"' for k in range(1 + b[i] % 3))
            body = (f'"amount":{number[i]:.2f},"currency":"{"USD" if b[i] % 5 else "EUR"}","items":[{items}],'
                    f'"country":"{COUNTRIES[u % 61 % 18]}"')
        else:
            body = (f'"ok":{"false" if b[i] % 9 == 0 else "true"},"factor":"{"totp" if u % 3 else "password"}",'
                    f'"ip":"{20 + u % 180}.{u % 256}.{c[i] % 4}.{d[i] % 256}"')
        lines.append(head + body + "}}\n")
    return lines


def write(path, count, seed, users=200_000, progress=None):
    """Writes `count` events to a file."""
    rng = np.random.default_rng(seed)
    with open(path, "w", buffering=1 << 20, encoding="ascii") as out:
        for first in range(0, count, CHUNK):
            out.writelines(chunk(rng, first, min(CHUNK, count - first), count, users))
            if progress:
                progress(min(first + CHUNK, count), count)


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1)
