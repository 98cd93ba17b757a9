//! The task that keeps rollups refreshed: it looks at intervals whether one is due.

use std::{sync::Weak, time::Duration};

use chronolith_storage::table::TablesView;

use super::{REFRESH, all, refresh::is_due};
use crate::engine::{Inner, SqlEngine};

/// Whether there is a rollup.
pub(crate) fn any(tables: &TablesView) -> bool {
    all(tables).next().is_some()
}

/// Refreshes what is due, for as long as the engine lives. Failures are logged, and tried again at the next look.
pub(crate) async fn keep_refreshed(engine: Weak<Inner>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(inner) = engine.upgrade() else { return };
        let sql = SqlEngine::from(inner);
        let tables = sql.engine().tables();
        let due: Vec<String> =
            all(&tables).filter(|(name, rollup)| is_due(&tables, name, rollup)).map(|(n, _)| n).collect();
        drop(tables);
        for name in due {
            let mut session = sql.session("chronolith", "chronolith");
            let unlimited = session.set("statement_timeout", "0");
            let call = format!("CALL {REFRESH}('{}')", name.replace('\'', "''"));
            if let Err(error) = unlimited.and(session.run(&call).await.map(|_| ())) {
                tracing::warn!(view = name, %error, "a materialized view could not be refreshed; it will be tried again");
            }
        }
    }
}
