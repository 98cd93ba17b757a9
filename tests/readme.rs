//! The code of README, compiled and run as it stands there; a test below holds the two together.

use chronolith::Db;

#[test]
fn the_api_serves_two_requests_a_second() -> chronolith::Result<()> {
    let db = Db::in_memory()?;
    db.load_series("load 60s\n  http_requests_total{job=\"api\"} 0+120x10")?;
    let rate = db.query("sum by (job) (rate(http_requests_total[5m]))", 600_000)?;
    assert_eq!(rate.value(), Some(2.0));
    Ok(())
}

#[test]
fn readme_shows_this_file() {
    let readme = include_str!("../README.md");
    let this = include_str!("readme.rs");
    let start = "use chronolith::Db;";
    let end = "    Ok(())\n}\n";
    let shown = |text: &str| {
        let from = text.find(start).expect("the code begins with its import");
        let to = text[from..].find(end).expect("the code ends with Ok") + from + end.len();
        text[from..to].to_owned()
    };
    assert_eq!(shown(readme), shown(this));
}
