"""The weekly report: pandas and plotly over a plain connection."""

from datetime import datetime, timedelta
from typing import Any, Dict

import pandas as pd
import plotly.graph_objects as go


class ReportGenerator:
    def __init__(self, db_connection):
        self.conn = db_connection

    def generate_weekly_report(self, start_date: datetime) -> Dict[str, Any]:
        end_date = start_date + timedelta(days=7)

        user_metrics = pd.read_sql("""
            SELECT date,
                   COUNT(DISTINCT user_id) as daily_users,
                   SUM(messages_sent) as total_messages,
                   AVG(avg_response_time_sec) as avg_response_time
            FROM user_metrics
            WHERE date BETWEEN %s AND %s
            GROUP BY date
            ORDER BY date
        """, self.conn, params=[start_date, end_date])

        user_trend = go.Figure(data=[
            go.Scatter(
                x=user_metrics['date'], y=user_metrics['daily_users'], mode='lines+markers', name='Daily Active Users'
            )
        ])
        message_trend = go.Figure(data=[
            go.Bar(x=user_metrics['date'], y=user_metrics['total_messages'], name='Message Volume')
        ])

        metrics = {
            'total_users': int(user_metrics['daily_users'].sum()),
            'total_messages': int(user_metrics['total_messages'].sum()),
            'avg_response_time': float(user_metrics['avg_response_time'].mean()),
            'user_growth': float(
                (user_metrics['daily_users'].iloc[-1] / user_metrics['daily_users'].iloc[0] - 1) * 100
            ),
        }
        return {
            'metrics': metrics,
            'visualizations': {'user_trend': user_trend.to_json(), 'message_trend': message_trend.to_json()},
            'period': {'start': start_date.isoformat(), 'end': end_date.isoformat()},
        }
