//! What the catalog reads from: the database's objects and the session.

use std::sync::Arc;

use datafusion::error::Result;

use super::entries::Entries;
use crate::objects::{Objects, SessionInfo};

/// The number of the one role.
pub(super) const OWNER: u32 = 10;
/// The number of the one database.
pub(super) const DATABASE: u32 = 16_383;

/// The sources of a session's catalog. Both change from statement to statement, so nothing of them is kept here.
#[derive(Debug)]
pub(super) struct Scope {
    /// The database's objects.
    pub(super) objects: Arc<dyn Objects>,
    /// The session.
    pub(super) session: Arc<SessionInfo>,
}

impl Scope {
    /// A session's scope.
    pub(super) fn new(objects: &Arc<dyn Objects>, session: &Arc<SessionInfo>) -> Arc<Self> {
        let (objects, session) = (Arc::clone(objects), Arc::clone(session));
        Arc::new(Self { objects, session })
    }

    /// The entries of `pg_class` as they are now.
    ///
    /// # Errors
    /// When an index cannot be read.
    pub(super) fn entries(&self) -> Result<Entries> {
        Entries::new(&*self.objects)
    }

    /// The schemas in which bare names are looked for, as the setting says; `pg_catalog` is always one of them.
    pub(super) fn search_path(&self, implicit: bool) -> Vec<String> {
        let path = self.session.setting("search_path").unwrap_or_else(|| "\"$user\", public".to_owned());
        let named = path.split(',').map(|name| name.trim().trim_matches('"').to_owned());
        let mut found: Vec<String> = named.filter(|name| super::entries::namespace(name).is_some()).collect();
        if implicit && !found.iter().any(|name| name == "pg_catalog") {
            found.insert(0, "pg_catalog".to_owned());
        }
        found
    }
}
