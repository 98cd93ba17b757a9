"""Collects events of the web application in background tasks, through SQLAlchemy and asyncpg."""

import logging
from datetime import datetime
from typing import Any, Dict

from fastapi import BackgroundTasks
from sqlalchemy import Column, DateTime, Integer, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import declarative_base

logger = logging.getLogger(__name__)
Base = declarative_base()


class AnalyticsEvent(Base):
    __tablename__ = "analytics_events"

    id = Column(Integer, primary_key=True)
    event_type = Column(String(50), nullable=False, index=True)
    user_id = Column(String(36), nullable=False, index=True)
    timestamp = Column(DateTime, nullable=False)
    data = Column(JSONB)


class EventCollector:
    def __init__(self, session_local):
        self.session_local = session_local
        self.background_tasks = BackgroundTasks()

    async def collect_event(
        self,
        event_type: str,
        user_id: str,
        data: Dict[str, Any],
        background_tasks: BackgroundTasks,
    ):
        event = {
            'type': event_type,
            'user_id': user_id,
            'timestamp': datetime.utcnow().isoformat(),
            'data': data,
        }
        background_tasks.add_task(self._store_event, event)

    async def _store_event(self, event_data: Dict[str, Any]):
        async with self.session_local() as db:
            try:
                event = AnalyticsEvent(
                    event_type=event_data['type'],
                    user_id=event_data['user_id'],
                    timestamp=datetime.fromisoformat(event_data['timestamp']),
                    data=event_data['data'],
                )
                db.add(event)
                await db.commit()
                logger.info(f"Stored analytics event: {event_data['type']}")
            except Exception as e:
                logger.error(f"Failed to store event: {e}")
                await db.rollback()
