"""The event collector: FastAPI background tasks, SQLAlchemy's ORM, asyncpg."""

import asyncio
import datetime as dt

import httpx
import pytest
from chatsphere.collector import AnalyticsEvent, Base, EventCollector
from fastapi import BackgroundTasks, FastAPI, Request
from sqlalchemy import func, select, text

EVENTS = 40


def application(collector):
    app = FastAPI()

    @app.get("/messages/{channel}")
    async def messages(channel: str, request: Request, background_tasks: BackgroundTasks):
        data = {
            "method": request.method,
            "path": request.url.path,
            "status_code": 200,
            "duration_ms": round(12.345 + len(channel), 2),
            "user_agent": request.headers.get("user-agent", ""),
            "ip_address": None,
            "tags": ["a", "b"],
            "nested": {"quote": "\"\\ \u00e9 \U0001f600", "big": 2**53},
        }
        await collector.collect_event("http_request", f"user-{channel}", data, background_tasks)
        return {"channel": channel}

    return app


async def collect(engine, sessions):
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
    app = application(EventCollector(sessions))
    transport = httpx.ASGITransport(app=app)
    began = dt.datetime.utcnow()
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answers = await asyncio.gather(*(client.get(f"/messages/{n % 4}") for n in range(EVENTS)))
    assert all(a.status_code == 200 for a in answers)
    return began


def test_events_are_stored_and_read_back(sessions):
    async def run():
        engine, session_local = sessions
        began = await collect(engine, session_local)
        async with session_local() as db:
            events = (await db.scalars(select(AnalyticsEvent).order_by(AnalyticsEvent.id))).all()
            assert len(events) == EVENTS
            assert [e.id for e in events] == sorted({e.id for e in events})
            assert {e.user_id for e in events} == {f"user-{n}" for n in range(4)}
            assert all(began <= e.timestamp <= dt.datetime.utcnow() for e in events)
            assert events[0].data["nested"] == {"quote": "\"\\ \u00e9 \U0001f600", "big": 2**53}
            assert events[0].data["ip_address"] is None and events[0].data["tags"] == ["a", "b"]

            counts = await db.execute(
                select(AnalyticsEvent.user_id, func.count()).group_by(AnalyticsEvent.user_id).order_by("user_id")
            )
            assert counts.all() == [(f"user-{n}", EVENTS // 4) for n in range(4)]
            path = AnalyticsEvent.data["path"].astext
            found = await db.scalar(select(func.count()).where(path == "/messages/2"))
            assert found == EVENTS // 4
            slow = await db.scalar(text("SELECT AVG((data->>'duration_ms')::float) FROM analytics_events"))
            assert slow == pytest.approx(13.35, abs=0.011)

            event = events[0]
            event.data = {"changed": True}
            await db.commit()
            await db.refresh(event)
            assert event.data == {"changed": True}
            await db.delete(event)
            await db.commit()
            assert await db.scalar(select(func.count()).select_from(AnalyticsEvent)) == EVENTS - 1
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.drop_all)
        await engine.dispose()

    asyncio.run(run())


def test_a_failed_event_is_rolled_back_and_logged(sessions, caplog):
    async def run():
        engine, session_local = sessions
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        tasks = BackgroundTasks()
        await EventCollector(session_local).collect_event("x" * 51, "user", {}, tasks)
        await EventCollector(session_local).collect_event("fits", "user", {}, tasks)
        await tasks()
        async with session_local() as db:
            assert (await db.scalars(select(AnalyticsEvent.event_type))).all() == ["fits"]
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.drop_all)
        await engine.dispose()

    asyncio.run(run())
    assert "Failed to store event" in caplog.text
