//! Event tables as DataFusion reads them: columns, pruning, late materialisation.

mod by_id;
mod find;
mod key;
mod layout;
mod live;
mod member;
mod mixed;
mod provider;
mod prune;
mod read;
mod source;

pub(crate) use by_id::{ids_by_key, rows_by_id};
pub(crate) use layout::{Layout, LayoutColumn, ROW_ID_COLUMN};
pub(crate) use member::{DOCUMENT, Member, MemberColumns, member_name};
pub(crate) use provider::TableScanProvider;
