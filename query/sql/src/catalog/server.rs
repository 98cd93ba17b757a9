//! What the catalog tells of the server: databases, roles, settings, activity, functions, and the little that is fixed.

use std::time::UNIX_EPOCH;

use datafusion::{catalog::Session, error::Result};

use super::{
    cell::Cell,
    relations::METHODS,
    scope::{DATABASE, OWNER, Scope},
    shape::Rows,
    types::{self, Property, TYPES},
};

/// The `any` pseudo type.
const ANY: u32 = 2276;
/// The language of functions that are not SQL.
const INTERNAL: u32 = 12;
/// Functions without a number of PostgreSQL's have theirs from here on.
const FUNCTION_OIDS: u32 = 0x8000_0000;

fn micros(time: std::time::SystemTime) -> Cell {
    let since = time.duration_since(UNIX_EPOCH).ok().and_then(|d| i64::try_from(d.as_micros()).ok());
    since.map_or(Cell::Null, Cell::Time)
}

pub(super) fn pg_am(_: &Scope, rows: &mut Rows) -> Result<()> {
    for (oid, name, handler, kind) in METHODS {
        rows.push([
            ("oid", oid.into()),
            ("amname", name.into()),
            ("amhandler", handler.into()),
            ("amtype", kind.into()),
        ])?;
    }
    Ok(())
}

pub(super) fn pg_database(scope: &Scope, rows: &mut Rows) -> Result<()> {
    rows.push([("oid", DATABASE.into()), ("datname", scope.session.database.as_str().into())])
}

pub(super) fn pg_authid(scope: &Scope, rows: &mut Rows) -> Result<()> {
    rows.push([("oid", OWNER.into()), ("rolname", scope.session.user.as_str().into())])
}

/// `pg_user` and `pg_shadow`.
pub(super) fn pg_user(scope: &Scope, rows: &mut Rows) -> Result<()> {
    rows.push([("usesysid", OWNER.into()), ("usename", scope.session.user.as_str().into())])
}

pub(super) fn pg_settings(scope: &Scope, rows: &mut Rows) -> Result<()> {
    let settings = scope.session.settings();
    for (name, setting) in settings.iter() {
        let changed = setting.value != setting.reset;
        rows.push([
            ("name", name.as_str().into()),
            ("setting", setting.value.as_str().into()),
            ("short_desc", setting.description.into()),
            ("source", if changed { "session" } else { "default" }.into()),
            ("boot_val", setting.reset.as_str().into()),
            ("reset_val", setting.reset.as_str().into()),
        ])?;
    }
    Ok(())
}

/// The sessions: this one, the only one that it knows of.
pub(super) fn pg_stat_activity(scope: &Scope, rows: &mut Rows) -> Result<()> {
    let session = &scope.session;
    rows.push([
        ("datid", DATABASE.into()),
        ("datname", session.database.as_str().into()),
        ("pid", session.pid.into()),
        ("usesysid", OWNER.into()),
        ("usename", session.user.as_str().into()),
        ("application_name", session.setting("application_name").unwrap_or_default().into()),
        ("state", "active".into()),
        ("backend_type", "client backend".into()),
    ])
}

pub(super) fn pg_stat_database(scope: &Scope, rows: &mut Rows) -> Result<()> {
    rows.push([
        ("datid", DATABASE.into()),
        ("datname", scope.session.database.as_str().into()),
        ("stats_reset", micros(scope.session.started)),
    ])
}

/// `plpgsql` as every PostgreSQL has it is left out: there is no such language. Grafana asks for `timescaledb` before it
/// offers `time_bucket`, which there is.
pub(super) fn pg_extension(_: &Scope, rows: &mut Rows) -> Result<()> {
    rows.push([("oid", 16_380_u32.into()), ("extname", "timescaledb".into()), ("extversion", "2.17.0".into())])
}

pub(super) fn pg_language(_: &Scope, rows: &mut Rows) -> Result<()> {
    for (oid, name, trusted) in [(INTERNAL, "internal", false), (14_u32, "sql", true)] {
        rows.push([("oid", oid.into()), ("lanname", name.into()), ("lanpltrusted", trusted.into())])?;
    }
    Ok(())
}

pub(super) fn pg_tablespace(_: &Scope, rows: &mut Rows) -> Result<()> {
    for (oid, name) in [(1663_u32, "pg_default"), (1664, "pg_global")] {
        rows.push([("oid", oid.into()), ("spcname", name.into())])?;
    }
    Ok(())
}

pub(super) fn pg_collation(_: &Scope, rows: &mut Rows) -> Result<()> {
    for (oid, name, provider, locale) in [(100_u32, "default", "d", None), (950, "C", "c", Some("C"))] {
        rows.push([
            ("oid", oid.into()),
            ("collname", name.into()),
            ("collprovider", provider.into()),
            ("collcollate", locale.into()),
            ("collctype", locale.into()),
        ])?;
    }
    Ok(())
}

/// The zone that every session may name; others are known by their IANA names.
pub(super) fn pg_timezone_names(_: &Scope, rows: &mut Rows) -> Result<()> {
    rows.push([("name", "UTC".into()), ("abbrev", "UTC".into()), ("is_dst", false.into())])
}

/// Functions: those that types name with PostgreSQL's numbers, then those that queries can call. What these take and
/// give depends on the call, so their types are told as `any`.
pub(super) fn pg_proc(session: &dyn Session, rows: &mut Rows) -> Result<()> {
    for line in include_str!("type_functions.txt").lines().filter(|l| !l.starts_with('#')) {
        let Some((oid, name)) = line.split_once(' ') else { continue };
        let Ok(oid) = oid.parse::<u32>() else { continue };
        let input = TYPES.iter().find(|t| t.number(Property::Input) == i64::from(oid));
        let (takes, gives) = input.map_or((2281, types::array_of(0)), |t| (2275_u32, t.oid));
        rows.push([
            ("oid", oid.into()),
            ("proname", name.into()),
            ("pronargs", 1_i16.into()),
            ("prorettype", gives.into()),
            ("proargtypes", vec![takes].into()),
            ("prosrc", name.into()),
        ])?;
    }
    let named = |names: Vec<&String>, kind: &'static str| {
        let mut names: Vec<(String, &'static str)> = names.into_iter().map(|n| (n.clone(), kind)).collect();
        names.sort();
        names
    };
    let mut functions = named(session.scalar_functions().keys().collect(), "f");
    functions.extend(named(session.aggregate_functions().keys().collect(), "a"));
    functions.extend(named(session.window_functions().keys().collect(), "w"));
    for ((name, kind), at) in functions.into_iter().zip(0_u32..) {
        rows.push([
            ("oid", (FUNCTION_OIDS + at).into()),
            ("prosrc", name.as_str().into()),
            ("proname", name.into()),
            ("prokind", kind.into()),
            ("provariadic", ANY.into()),
            ("pronargs", 1_i16.into()),
            ("prorettype", ANY.into()),
            ("proargtypes", vec![ANY].into()),
            ("proargmodes", vec!["v"].into()),
        ])?;
    }
    Ok(())
}
