"""The data warehouse's schema, as the deployment's warehouse.sql has it."""

SCHEMA = """
-- User metrics
CREATE TABLE user_metrics (
    user_id VARCHAR(36),
    date DATE,
    messages_sent INT,
    messages_received INT,
    active_channels INT,
    total_reactions INT,
    avg_response_time_sec FLOAT,
    PRIMARY KEY (user_id, date)
);

-- Channel metrics
CREATE TABLE channel_metrics (
    channel_id VARCHAR(36),
    date DATE,
    total_messages INT,
    active_users INT,
    peak_hour INT,
    sentiment_score FLOAT,
    PRIMARY KEY (channel_id, date)
);

-- Message analytics
CREATE TABLE message_analytics (
    message_id VARCHAR(36),
    user_id VARCHAR(36),
    channel_id VARCHAR(36),
    timestamp TIMESTAMP,
    content_length INT,
    has_attachments BOOLEAN,
    response_count INT,
    reaction_count INT,
    sentiment_score FLOAT,
    PRIMARY KEY (message_id)
);

-- AI model performance
CREATE TABLE model_performance (
    request_id VARCHAR(36),
    model_version VARCHAR(20),
    timestamp TIMESTAMP,
    input_tokens INT,
    output_tokens INT,
    response_time_ms INT,
    error_type VARCHAR(50),
    PRIMARY KEY (request_id)
);
"""

EXPERIMENTS = """
CREATE TABLE ab_test_results (
    experiment_id VARCHAR(36),
    user_id VARCHAR(36),
    variant VARCHAR(20),
    metric_name VARCHAR(50),
    metric_value FLOAT,
    PRIMARY KEY (experiment_id, user_id, metric_name)
);
"""

TABLES = ["user_metrics", "channel_metrics", "message_analytics", "model_performance", "ab_test_results"]


def create(connection):
    """Makes all tables in one transaction, the whole schema as one text."""
    with connection.cursor() as cur:
        cur.execute(SCHEMA + EXPERIMENTS)
    connection.commit()


def drop(connection):
    with connection.cursor() as cur:
        cur.execute("DROP TABLE " + ", ".join(TABLES))
    connection.commit()
