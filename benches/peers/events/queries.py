"""The 20 queries and the needles: for each a text for every system, where they differ.

`{h}` stands for the hour of a timestamp, `{h:...}` forms are below; fields of the nested object are `data.x` everywhere.
"""

# What differs between the dialects.
WORDS = {
    "chronolith": {
        "hour": "date_trunc('hour', timestamp)", "day": "date_trunc('day', timestamp)",
        "five": "time_bucket('5 minutes', timestamp)",
        "p50": "approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY {x})",
        "p95": "approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY {x})",
        "p99": "approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY {x})",
        "exact": "percentile_cont(0.9) WITHIN GROUP (ORDER BY {x})",
        "distinct": "approx_distinct({x})",
        "seconds": "extract(epoch FROM {x})",
        "ts": "TIMESTAMPTZ '{x}Z'",
    },
    "duckdb": {
        "hour": "date_trunc('hour', timestamp)", "day": "date_trunc('day', timestamp)",
        "five": "time_bucket(INTERVAL '5 minutes', timestamp)",
        "p50": "approx_quantile({x}, 0.5)", "p95": "approx_quantile({x}, 0.95)", "p99": "approx_quantile({x}, 0.99)",
        "exact": "quantile_cont({x}, 0.9)",
        "distinct": "approx_count_distinct({x})",
        "seconds": "epoch({x})",
        "ts": "TIMESTAMP '{x}'",
    },
    "clickhouse": {
        "hour": "toStartOfHour(timestamp)", "day": "toStartOfDay(timestamp)", "five": "toStartOfFiveMinutes(timestamp)",
        "p50": "quantileTDigest(0.5)({x})", "p95": "quantileTDigest(0.95)({x})", "p99": "quantileTDigest(0.99)({x})",
        "exact": "quantileExactInclusive(0.9)({x})",
        "distinct": "uniq({x})",
        "seconds": "toUnixTimestamp64Milli({x}) / 1000",
        "ts": "toDateTime64('{x}', 3, 'UTC')",
    },
}

# Name, text, and whether the answers must be equal (approximations may differ).
QUERIES = [
    ("count", "SELECT count(*) FROM events", True),
    ("count by type", "SELECT type, count(*) AS n FROM events GROUP BY type ORDER BY type", True),
    ("events an hour", "SELECT {hour} AS h, count(*) AS n FROM events GROUP BY h ORDER BY h", True),
    ("one day by type",
     "SELECT type, count(*) AS n FROM events WHERE timestamp >= {2026-01-03 00:00:00} AND timestamp < {2026-01-04 00:00:00} "
     "GROUP BY type ORDER BY type", True),
    ("latency by path",
     "SELECT {data.path} AS p, count(*) AS n, avg({data.latency_ms:f}) AS a, min({data.latency_ms:f}) AS lo, "
     "max({data.latency_ms:f}) AS hi FROM events WHERE type = 'api_request' GROUP BY p ORDER BY p", True),
    ("latency quantiles by path",
     "SELECT {data.path} AS p, {p50 data.latency_ms:f} AS p50, {p95 data.latency_ms:f} AS p95, {p99 data.latency_ms:f} AS p99 "
     "FROM events WHERE type = 'api_request' GROUP BY p ORDER BY p", False),
    ("exact quantile", "SELECT {exact data.duration_ms:i} AS q FROM events WHERE type = 'page_view'", True),
    ("distinct users", "SELECT count(DISTINCT user_id) AS n FROM events", True),
    ("distinct users a day, approximate",
     "SELECT {day} AS d, {distinct user_id} AS n FROM events GROUP BY d ORDER BY d", False),
    ("top users", "SELECT user_id, count(*) AS n FROM events GROUP BY user_id ORDER BY n DESC, user_id LIMIT 10", True),
    ("top users and types",
     "SELECT user_id, type, count(*) AS n FROM events GROUP BY user_id, type ORDER BY n DESC, user_id, type LIMIT 10", True),
    ("longest sessions",
     "SELECT session_id, count(*) AS n, min(timestamp) AS a, max(timestamp) AS b FROM events GROUP BY session_id "
     "ORDER BY n DESC, session_id LIMIT 10", True),
    ("text filter", "SELECT count(*) FROM events WHERE {data.message} LIKE '%reset by peer%'", True),
    ("text filter by service",
     "SELECT {data.service} AS s, count(*) AS n FROM events WHERE {data.level} = 'error' AND {data.message} LIKE '%slow query%' "
     "GROUP BY s ORDER BY s", True),
    ("error rate in 5 minutes",
     "SELECT {five} AS t, count(*) AS n, sum(CASE WHEN {data.status:i} >= 500 THEN 1 ELSE 0 END) AS bad FROM events "
     "WHERE type = 'api_request' GROUP BY t ORDER BY t", True),
    ("revenue by country",
     "SELECT {data.country} AS c, {data.currency} AS m, sum({data.amount:f}) AS total, count(*) AS n FROM events "
     "WHERE type = 'purchase' GROUP BY c, m ORDER BY c, m", True),
    ("funnel",
     "WITH f AS (SELECT user_id, min(CASE WHEN type = 'login' THEN timestamp END) AS a, "
     "max(CASE WHEN type = 'page_view' AND {data.page} = '/pricing' THEN timestamp END) AS b, "
     "max(CASE WHEN type = 'purchase' THEN timestamp END) AS c FROM events "
     "WHERE type IN ('login', 'page_view', 'purchase') GROUP BY user_id) "
     "SELECT count(a) AS one, sum(CASE WHEN b > a THEN 1 ELSE 0 END) AS two, "
     "sum(CASE WHEN b > a AND c > b THEN 1 ELSE 0 END) AS three FROM f", True),
    ("last 100",
     "SELECT timestamp, event_id, type, user_id FROM events ORDER BY timestamp DESC, event_id LIMIT 100", True),
    ("last 100 errors of a service",
     "SELECT timestamp, event_id, {data.message} AS m FROM events WHERE {data.service} = 'search' AND {data.level} = 'error' "
     "ORDER BY timestamp DESC, event_id LIMIT 100", True),
    ("visits of one day",
     "SELECT count(*) AS visits, count(DISTINCT user_id) AS users FROM (SELECT user_id, timestamp, "
     "lag(timestamp) OVER (PARTITION BY user_id ORDER BY timestamp) AS before FROM events "
     "WHERE timestamp >= {2026-01-05 00:00:00} AND timestamp < {2026-01-06 00:00:00}) AS x "
     "WHERE before IS NULL OR {seconds timestamp} - {seconds before} > 1800", True),
]

# The marks are replaced by an id or a word of the data.
NEEDLES = [
    ("event by id", "SELECT timestamp, type, user_id FROM events WHERE event_id = '%event_id%'", True),
    ("trace by id", "SELECT timestamp, {data.service} AS s, {data.message} AS m FROM events WHERE {data.trace_id} = '%trace_id%'", True),
    ("rare word", "SELECT timestamp, {data.message} AS m FROM events WHERE {data.message} LIKE '%word%' ORDER BY timestamp", True),
]


def text(system, template):
    """The query in a system's dialect."""
    words, out, rest = WORDS[system], [], template
    while "{" in rest:
        before, _, rest = rest.partition("{")
        inside, _, rest = rest.partition("}")
        out.append(before)
        out.append(_one(system, words, inside))
    return "".join(out) + rest


def _one(system, words, inside):
    if inside[0].isdigit():
        return words["ts"].replace("{x}", inside)
    name, _, argument = inside.partition(" ")
    if argument:
        return words[name].replace("{x}", _field(system, argument))
    return words[name] if name in words else _field(system, name)


def _field(system, field):
    """A field of the document; ClickHouse's JSON paths need a type to be computed with."""
    name, _, kind = field.partition(":")
    if system == "clickhouse" and name.startswith("data."):
        return name + {"": ".:String", "f": "::Nullable(Float64)", "i": "::Nullable(Int64)"}[kind]
    return name
