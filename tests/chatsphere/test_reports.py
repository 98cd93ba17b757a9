"""The weekly report, user segments and experiments, each computed a second time from the frames."""

import datetime as dt
import json

import pandas as pd
import pytest
from scipy import stats

from chatsphere.analysis import CustomAnalyzer, segments
from chatsphere.data import START
from chatsphere.reports import ReportGenerator

pytestmark = pytest.mark.filterwarnings("ignore:pandas only supports SQLAlchemy")


def test_the_weekly_report(connection, warehouse):
    start = dt.datetime.combine(START, dt.time()) + dt.timedelta(days=7)
    report = ReportGenerator(connection).generate_weekly_report(start)
    frame = warehouse["user_metrics"]
    week = frame[(frame["date"] >= start.date()) & (frame["date"] <= start.date() + dt.timedelta(days=7))]
    days = week.groupby("date").agg(
        users=("user_id", "nunique"), messages=("messages_sent", "sum"), response=("avg_response_time_sec", "mean")
    )
    assert report["metrics"] == {
        "total_users": int(days["users"].sum()),
        "total_messages": int(days["messages"].sum()),
        "avg_response_time": pytest.approx(days["response"].mean()),
        "user_growth": pytest.approx((days["users"].iloc[-1] / days["users"].iloc[0] - 1) * 100),
    }
    trend = json.loads(report["visualizations"]["user_trend"])
    assert trend["data"][0]["mode"] == "lines+markers" and len(trend["data"][0]["x"]) == 8


def test_user_segments(connection, warehouse):
    found = CustomAnalyzer(connection).analyze_user_segments()
    users = warehouse["user_metrics"].groupby("user_id", as_index=False).agg(
        total_messages=("messages_sent", "sum"), avg_channels=("active_channels", "mean"),
        response_time=("avg_response_time_sec", "mean"),
    )
    wanted = segments(users)
    assert found["optimal_clusters"] == wanted["optimal_clusters"]
    assert found["silhouette_scores"] == pytest.approx(wanted["silhouette_scores"])
    pd.testing.assert_frame_equal(
        pd.DataFrame(found["segments"]), pd.DataFrame(wanted["segments"]), check_exact=False, rtol=1e-9
    )


@pytest.mark.parametrize(("metric", "significant"), [("session_minutes", True), ("messages", False)])
def test_an_experiment(connection, warehouse, metric, significant):
    found = CustomAnalyzer(connection).perform_ab_test_analysis("exp-1", metric)
    frame = warehouse["ab_test_results"]
    frame = frame[frame["metric_name"] == metric]
    control = frame[frame["variant"] == "control"]["metric_value"]
    treatment = frame[frame["variant"] == "treatment"]["metric_value"]
    p_value = stats.ttest_ind(control, treatment).pvalue
    assert found["results"] == {
        "control_mean": pytest.approx(control.mean()),
        "treatment_mean": pytest.approx(treatment.mean()),
        "effect_size_percent": pytest.approx((treatment.mean() - control.mean()) / control.mean() * 100),
        "p_value": pytest.approx(p_value),
        "is_significant": significant,
        "sample_sizes": {"control": len(control), "treatment": len(treatment)},
    }
