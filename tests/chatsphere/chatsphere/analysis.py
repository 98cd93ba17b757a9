"""User segments by k-means and experiments by t-test, from SQL over a plain connection."""

from typing import Any, Dict

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import StandardScaler


class CustomAnalyzer:
    def __init__(self, db_connection):
        self.conn = db_connection

    def analyze_user_segments(self) -> Dict[str, Any]:
        users = pd.read_sql("""
            SELECT user_id,
                   SUM(messages_sent) as total_messages,
                   AVG(active_channels) as avg_channels,
                   AVG(avg_response_time_sec) as response_time
            FROM user_metrics
            GROUP BY user_id
        """, self.conn)
        return segments(users)

    def perform_ab_test_analysis(self, experiment_id: str, metric: str) -> Dict[str, Any]:
        data = pd.read_sql("""
            SELECT variant, metric_value
            FROM ab_test_results
            WHERE experiment_id = %s
            AND metric_name = %s
        """, self.conn, params=[experiment_id, metric])

        control = data[data['variant'] == 'control']['metric_value']
        treatment = data[data['variant'] == 'treatment']['metric_value']
        t_stat, p_value = stats.ttest_ind(control, treatment)
        effect_size = (treatment.mean() - control.mean()) / control.mean() * 100
        return {
            'experiment_id': experiment_id,
            'metric': metric,
            'results': {
                'control_mean': float(control.mean()),
                'treatment_mean': float(treatment.mean()),
                'effect_size_percent': float(effect_size),
                'p_value': float(p_value),
                'is_significant': p_value < 0.05,
                'sample_sizes': {'control': len(control), 'treatment': len(treatment)},
            },
        }


def segments(users: pd.DataFrame) -> Dict[str, Any]:
    """K-means over a frame of users, with the number of clusters of the best silhouette."""
    users = users.sort_values('user_id').reset_index(drop=True)
    features = users[['total_messages', 'avg_channels', 'response_time']].values
    features_scaled = StandardScaler().fit_transform(features)
    scores = []
    K = range(2, 8)
    for k in K:
        kmeans = KMeans(n_clusters=k, random_state=42)
        kmeans.fit(features_scaled)
        scores.append(silhouette_score(features_scaled, kmeans.labels_))
    optimal_k = K[np.argmax(scores)]
    users['segment'] = KMeans(n_clusters=optimal_k, random_state=42).fit_predict(features_scaled)
    segment_analysis = users.groupby('segment').agg({
        'total_messages': ['mean', 'std'],
        'avg_channels': ['mean', 'std'],
        'response_time': ['mean', 'std'],
        'user_id': 'count',
    }).round(2)
    return {
        'segments': segment_analysis.to_dict(),
        'optimal_clusters': optimal_k,
        'silhouette_scores': {k: score for k, score in zip(K, scores)},
    }
