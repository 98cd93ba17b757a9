"""Rows for the warehouse from a seed, as pandas frames, so that every answer can be computed a second time."""

import datetime as dt
import uuid

import numpy as np
import pandas as pd
from psycopg2.extras import execute_values

START = dt.date(2026, 1, 5)
DAYS = 35
USERS = 60
CHANNELS = 8
MESSAGES = 3000


def identifier(rng):
    return str(uuid.UUID(bytes=rng.bytes(16), version=4))


def user_metrics(rng, users):
    rows = []
    for number, user in enumerate(users):
        joined = int(rng.integers(0, 14))
        habit = [5, 40, 200][number % 3]
        for day in range(joined, DAYS):
            if day > joined and rng.random() < 0.35:
                continue
            response = None if rng.random() < 0.05 else round(float(rng.gamma(2.0, 30.0 / (1 + number % 3))), 3)
            rows.append((
                user, START + dt.timedelta(days=day), int(rng.poisson(habit)), int(rng.poisson(habit * 1.5)),
                int(rng.integers(1, 4 + number % 3 * 5)), int(rng.poisson(3)), response,
            ))
    columns = [
        "user_id", "date", "messages_sent", "messages_received", "active_channels", "total_reactions",
        "avg_response_time_sec",
    ]
    return pd.DataFrame(rows, columns=columns)


def channel_metrics(rng, channels):
    rows = [
        (c, START + dt.timedelta(days=d), int(rng.poisson(300)), int(rng.integers(1, USERS)), int(rng.integers(0, 24)),
         round(float(rng.uniform(-1, 1)), 4))
        for c in channels for d in range(DAYS)
    ]
    columns = ["channel_id", "date", "total_messages", "active_users", "peak_hour", "sentiment_score"]
    return pd.DataFrame(rows, columns=columns)


def message_analytics(rng, users, channels):
    start = dt.datetime.combine(START, dt.time())
    rows = [
        (identifier(rng), users[int(rng.integers(USERS))], channels[int(rng.integers(CHANNELS))],
         start + dt.timedelta(seconds=int(rng.integers(3 * 86400)), microseconds=int(rng.integers(1_000_000))),
         int(rng.integers(1, 2000)), bool(rng.random() < 0.2), int(rng.poisson(1)), int(rng.poisson(2)),
         round(float(rng.uniform(-1, 1)), 4))
        for _ in range(MESSAGES)
    ]
    columns = [
        "message_id", "user_id", "channel_id", "timestamp", "content_length", "has_attachments", "response_count",
        "reaction_count", "sentiment_score",
    ]
    return pd.DataFrame(rows, columns=columns)


def ab_test_results(rng, users):
    rows = []
    for number, user in enumerate(users):
        variant = "treatment" if number % 2 else "control"
        for metric, mean in [("session_minutes", 20.0), ("messages", 12.0)]:
            lift = 1.25 if variant == "treatment" and metric == "session_minutes" else 1.0
            rows.append(("exp-1", user, variant, metric, float(rng.normal(mean * lift, 4.0))))
    return pd.DataFrame(rows, columns=["experiment_id", "user_id", "variant", "metric_name", "metric_value"])


def fill(connection):
    """Inserts everything; gives the frames by table name."""
    rng = np.random.default_rng(20260105)
    users = [identifier(rng) for _ in range(USERS)]
    channels = [identifier(rng) for _ in range(CHANNELS)]
    frames = {
        "user_metrics": user_metrics(rng, users),
        "channel_metrics": channel_metrics(rng, channels),
        "message_analytics": message_analytics(rng, users, channels),
        "ab_test_results": ab_test_results(rng, users),
    }
    with connection.cursor() as cur:
        for table, frame in frames.items():
            rows = [tuple(none(v) for v in row) for row in frame.astype(object).itertuples(index=False)]
            execute_values(cur, f"INSERT INTO {table} ({', '.join(frame.columns)}) VALUES %s", rows, page_size=500)
    connection.commit()
    return frames


def none(value):
    return None if isinstance(value, float) and np.isnan(value) else value
