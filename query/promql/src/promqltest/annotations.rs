//! Compares warnings, infos and errors with the `expect` lines of a case.

use super::{
    expect::{Expected, Text},
    run::Mismatch,
};
use crate::engine::{Annotations, Level};

/// Compares all annotations; their places are counted in `query`.
pub(super) fn check(expected: &Expected, query: &str, found: &Annotations) -> Result<(), Mismatch> {
    let of = |level| found.iter().filter(|a| a.level == level).map(|a| a.text(query)).collect::<Vec<_>>();
    level("warn", &expected.warn, expected.no_warn, &of(Level::Warning))?;
    level("info", &expected.info, expected.no_info, &of(Level::Info))
}

fn level(name: &str, wanted: &[Text], none: bool, found: &[String]) -> Result<(), Mismatch> {
    let differs = |reason: String| {
        let wanted = if none { vec!["none".to_owned()] } else { wanted.iter().map(ToString::to_string).collect() };
        let got = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
        Err(Mismatch { reason, wanted: wanted.join(", "), got })
    };
    if none && !found.is_empty() {
        return differs(format!("unexpected {name} annotation"));
    }
    if wanted.iter().any(|w| !found.iter().any(|f| w.fits(f))) {
        return differs(format!("expected {name} annotation not found"));
    }
    // Once one is expected, all have to be.
    if !wanted.is_empty() && found.iter().any(|f| !wanted.iter().any(|w| w.fits(f))) {
        return differs(format!("unexpected {name} annotation beside the expected"));
    }
    Ok(())
}

/// Compares an error with what a failing case expects; also when none is expected.
pub(super) fn check_error(expected: &Expected, error: &str) -> Result<(), Mismatch> {
    let Some(unlike) = expected.fail.iter().find(|w| !w.fits(error)) else {
        return if expected.fail.is_empty() {
            Err(Mismatch {
                reason: "evaluation failed".to_owned(),
                wanted: "a value".to_owned(),
                got: error.to_owned(),
            })
        } else {
            Ok(())
        };
    };
    let reason = "evaluation failed with another error".to_owned();
    Err(Mismatch { reason, wanted: unlike.to_string(), got: error.to_owned() })
}
