//! The report: one Markdown table of metrics by server, with ratios and goals, and one of the queries.

use std::fmt::Write;

use crate::server::Kind;

/// Values of the servers in the order of [`Kind::ALL`].
pub(crate) type Values = [Option<f64>; 3];

/// Which way is good.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Good {
    /// Less is better; a goal is the most that Chronolith may have.
    Low,
    /// More is better; a goal is the least that Chronolith must have.
    High,
}

/// What Chronolith is to reach; an empty goal means that the row only informs.
#[derive(Clone, Copy, Default)]
pub(crate) struct Goal {
    /// Chronolith's value over VictoriaMetrics'.
    pub(crate) victoria: Option<f64>,
    /// Chronolith's value over Prometheus'.
    pub(crate) prometheus: Option<f64>,
    /// Chronolith's value itself.
    pub(crate) absolute: Option<f64>,
}

/// One line of the table.
pub(crate) struct Row {
    /// What was measured, with its unit.
    pub(crate) metric: String,
    /// The figures.
    pub(crate) values: Values,
    /// Which way is good.
    pub(crate) good: Good,
    /// What is to be reached.
    pub(crate) goal: Goal,
}

impl Row {
    /// A row without a goal.
    pub(crate) fn new(metric: &str, good: Good, values: Values) -> Row {
        Row { metric: metric.to_owned(), values, good, goal: Goal::default() }
    }

    /// The same row with a goal relative to VictoriaMetrics and to Prometheus.
    pub(crate) fn goal(mut self, victoria: f64, prometheus: Option<f64>) -> Row {
        self.goal = Goal { victoria: Some(victoria), prometheus, absolute: None };
        self
    }

    /// The same row with a goal for Chronolith's own figure.
    pub(crate) fn absolute(mut self, limit: f64) -> Row {
        self.goal.absolute = Some(limit);
        self
    }

    fn ratio(&self, to: Kind) -> Option<f64> {
        Some(self.values[Kind::Chronolith as usize]? / self.values[to as usize]?)
    }

    /// Each goal's text, and whether it is met when Chronolith was measured.
    fn goals(&self) -> Vec<(String, Option<bool>)> {
        let sign = if self.good == Good::Low { "<=" } else { ">=" };
        let ours = self.values[Kind::Chronolith as usize];
        let parts = [
            (self.goal.victoria, self.ratio(Kind::Victoria), " x VM"),
            (self.goal.prometheus, self.ratio(Kind::Prometheus), " x Prometheus"),
            (self.goal.absolute, ours, ""),
        ];
        let met = |figure: f64, goal: f64| if self.good == Good::Low { figure <= goal } else { figure >= goal };
        let judge = |(goal, figure, of): (Option<f64>, Option<f64>, &str)| {
            let goal = goal?;
            Some((format!("{sign} {}{of}", figure3(goal)), figure.map(|f| met(f, goal))))
        };
        parts.into_iter().filter_map(judge).collect()
    }

    /// False when a goal was measured and missed.
    pub(crate) fn met(&self) -> bool {
        self.goals().iter().all(|(_, met)| *met != Some(false))
    }

    fn line(&self) -> String {
        let cell = |value: Option<f64>| value.map_or("-".to_owned(), figure3);
        let [prometheus, victoria, ours] = self.values.map(cell);
        let (to_victoria, to_prometheus) = (cell(self.ratio(Kind::Victoria)), cell(self.ratio(Kind::Prometheus)));
        let (goals, met): (Vec<String>, Vec<Option<bool>>) = self.goals().into_iter().unzip();
        let met = match met.as_slice() {
            [] => "",
            all if all.contains(&Some(false)) => "NO",
            all if all.contains(&None) => "-",
            _ => "yes",
        };
        let (metric, goals) = (&self.metric, goals.join(", "));
        format!(
            "| {metric} | {prometheus} | {victoria} | {ours} | {to_victoria} | {to_prometheus} | {goals} | {met} |\n"
        )
    }
}

/// The rows as a Markdown table.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut out = String::from(
        "| metric | Prometheus | VictoriaMetrics | Chronolith | C / VM | C / Prometheus | goal for Chronolith | met |\n\
         |---|---:|---:|---:|---:|---:|---|---|\n",
    );
    for row in rows {
        out.push_str(&row.line());
    }
    out
}

/// Three significant digits, whole numbers in full with separators.
pub(crate) fn figure3(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    if value.abs() >= 100.0 {
        let digits = format!("{value:.0}");
        let mut out = String::new();
        for (n, digit) in digits.chars().enumerate() {
            if n > 0 && (digits.len() - n).is_multiple_of(3) && out != "-" {
                out.push(',');
            }
            out.push(digit);
        }
        return out;
    }
    let decimals = if value == 0.0 { 0 } else { (2 - value.abs().log10().floor() as i32).clamp(0, 6) };
    let text = format!("{value:.*}", decimals as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// One query's median latencies and mean CPU time, in milliseconds.
pub(crate) struct QueryLine {
    /// The query's name.
    pub(crate) name: &'static str,
    /// Median wall time.
    pub(crate) latency: Values,
    /// Mean CPU time of the server: /proc counts it in 10 ms, so only sums say something.
    pub(crate) cpu: Values,
    /// Whether Chronolith's answer equals Prometheus'.
    pub(crate) equal: Option<bool>,
}

/// The queries as a Markdown table.
pub(crate) fn query_table(lines: &[QueryLine]) -> String {
    let mut out = String::from(
        "| query | Prometheus ms | VictoriaMetrics ms | Chronolith ms | C / VM | C / Prometheus | equals Prometheus |\n\
         |---|---:|---:|---:|---:|---:|---|\n",
    );
    for line in lines {
        let row = Row::new(line.name, Good::Low, line.latency);
        let cell = |value: Option<f64>| value.map_or("-".to_owned(), figure3);
        let [prometheus, victoria, ours] = line.latency.map(cell);
        let (to_victoria, to_prometheus) = (cell(row.ratio(Kind::Victoria)), cell(row.ratio(Kind::Prometheus)));
        let equal = line.equal.map_or("-", |equal| if equal { "yes" } else { "NO" });
        let name = line.name;
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "| {name} | {prometheus} | {victoria} | {ours} | {to_victoria} | {to_prometheus} | {equal} |"
        );
    }
    out
}

/// Summary rows of the queries: geometric means, and the worst ratios.
pub(crate) fn query_rows(lines: &[QueryLine]) -> Vec<Row> {
    let ratios = |to: Kind| -> Vec<f64> {
        lines.iter().filter_map(|l| Row::new(l.name, Good::Low, l.latency).ratio(to)).collect()
    };
    let mean = |of: usize| geometric_mean(&lines.iter().filter_map(|l| l.latency[of]).collect::<Vec<f64>>());
    let worst = |to: Kind| ratios(to).into_iter().reduce(f64::max);
    let total = |of: usize| lines.iter().map(|l| l.cpu[of]).sum::<Option<f64>>();
    let ours = Kind::Chronolith as usize;
    let mut at_worst = [None; 3];
    at_worst[ours] = worst(Kind::Victoria);
    let mut at_worst_of_prometheus = [None; 3];
    at_worst_of_prometheus[ours] = worst(Kind::Prometheus);
    vec![
        Row::new("query latency, geometric mean, ms", Good::Low, [mean(0), mean(1), mean(2)]).goal(1.0, Some(0.5)),
        Row::new("slowest query relative to VictoriaMetrics", Good::Low, at_worst).absolute(2.0),
        Row::new("slowest query relative to Prometheus", Good::Low, at_worst_of_prometheus),
        Row::new("all queries once, CPU ms", Good::Low, [total(0), total(1), total(2)]),
    ]
}

fn geometric_mean(values: &[f64]) -> Option<f64> {
    let count = values.len() as f64;
    (!values.is_empty()).then(|| (values.iter().map(|v| v.ln()).sum::<f64>() / count).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        let shown = [0.0, 0.0123, 0.8, 2.345, 12.34, 99.96, 268_123.4, -1234.0].map(figure3);
        assert_eq!(shown, ["0", "0.0123", "0.8", "2.35", "12.3", "100", "268,123", "-1,234"]);
    }

    #[test]
    fn goals_are_judged_by_direction() {
        let row = Row::new("x", Good::High, [Some(1.0), Some(4.0), Some(4.0)]).goal(1.0, Some(3.0));
        assert!(
            row.met() && row.line().ends_with("| 1 | 4 | >= 1 x VM, >= 3 x Prometheus | yes |\n"),
            "{}",
            row.line()
        );
        assert!(!Row::new("x", Good::Low, [Some(1.0), Some(4.0), Some(4.1)]).goal(1.0, None).met());
        let unmeasured = Row::new("x", Good::Low, [Some(1.0), Some(4.0), None]).goal(1.0, None);
        assert!(unmeasured.met() && unmeasured.line().ends_with("| - |\n"));
    }
}
