"""Tracks the AI models' requests, one row each, through psycopg2."""

import time
import uuid
from datetime import datetime
from typing import Dict

import psycopg2


class ModelPerformanceTracker:
    def __init__(self, db_config: Dict[str, str]):
        self.conn = psycopg2.connect(**db_config)

    def track_request(self, model_version: str, context_length: int):
        return RequestTracker(
            request_id=str(uuid.uuid4()),
            model_version=model_version,
            context_length=context_length,
            start_time=time.time(),
            conn=self.conn,
        )


class RequestTracker:
    def __init__(self, request_id: str, model_version: str, context_length: int, start_time: float, conn):
        self.request_id = request_id
        self.model_version = model_version
        self.context_length = context_length
        self.start_time = start_time
        self.conn = conn

    def complete(self, output_length: int, error_type: str = None):
        duration = time.time() - self.start_time

        with self.conn.cursor() as cur:
            cur.execute("""
                INSERT INTO model_performance (
                    request_id, model_version, timestamp,
                    input_tokens, output_tokens, response_time_ms,
                    error_type
                ) VALUES (%s, %s, %s, %s, %s, %s, %s)
            """, (
                self.request_id, self.model_version,
                datetime.utcnow(), self.context_length,
                output_length, int(duration * 1000),
                error_type
            ))

        self.conn.commit()
