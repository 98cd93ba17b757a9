//! `label_replace` and `label_join`: they change labels and never look at samples.

use chronolith_storage::{LabelsBuilder, model::labels::METRIC_NAME};
use regex::RegexBuilder;

use crate::{
    ast::StringLiteral,
    engine::{
        error::{QueryError, Result},
        evaluate::Evaluator,
        grid::{Grid, Series},
        labels::merge_same_labels,
        plan::{Kind, Node},
    },
};

/// Largest compiled regular expression, in bytes.
const REGEX_SIZE_LIMIT: usize = 4 << 20;

/// `label_replace(v, dst, replacement, src, regex)`
pub(in crate::engine) fn replace<'q>(
    evaluator: &Evaluator<'q>,
    args: &'q [Node<'q>],
    grid: Grid,
) -> Result<Vec<Series>> {
    let [vector, dst, replacement, src, pattern] = args else {
        return Err(QueryError::BadData("label_replace takes 5 arguments".to_owned()));
    };
    let text = |node| evaluator.text(node);
    let (replacement, src, pattern) = (text(replacement)?, text(src)?, text(pattern)?);
    let regex = RegexBuilder::new(&format!("^(?s:{pattern})$"))
        .size_limit(REGEX_SIZE_LIMIT)
        .build()
        .map_err(|_| QueryError::Execution(format!("invalid regular expression in label_replace(): {pattern}")))?;
    let dst = label_name(evaluator, dst, "destination label name in label_replace()")?;
    let mut series = evaluator.vector(vector, grid)?;
    let mut value = String::new();
    for s in &mut series {
        let Some(captures) = regex.captures(s.labels.get(src).unwrap_or_default()) else { continue };
        value.clear();
        captures.expand(replacement, &mut value);
        set(s, dst, &value);
    }
    merge_same_labels(series)
}

/// `label_join(v, dst, separator, src...)`
pub(in crate::engine) fn join<'q>(evaluator: &Evaluator<'q>, args: &'q [Node<'q>], grid: Grid) -> Result<Vec<Series>> {
    let [vector, dst, separator, sources @ ..] = args else {
        return Err(QueryError::BadData("label_join takes at least 3 arguments".to_owned()));
    };
    let separator = evaluator.text(separator)?;
    let source = |node| label_name(evaluator, node, "source label name in label_join()");
    let sources = sources.iter().map(source).collect::<Result<Vec<_>>>()?;
    let dst = label_name(evaluator, dst, "destination label name in label_join()")?;
    let mut series = evaluator.vector(vector, grid)?;
    for s in &mut series {
        let values: Vec<&str> = sources.iter().map(|l| s.labels.get(l).unwrap_or_default()).collect();
        let value = values.join(separator);
        set(s, dst, &value);
    }
    merge_same_labels(series)
}

/// The text of a string literal that names a label.
fn label_name<'q>(evaluator: &Evaluator<'q>, node: &Node<'q>, what: &str) -> Result<&'q str> {
    let name = evaluator.text(node)?;
    let valid = !name.is_empty() && !matches!(&node.kind, Kind::Text(StringLiteral { invalid_utf8: Some(_), .. }));
    // Prometheus writes the name as it is, without quotes.
    if valid { Ok(name) } else { Err(QueryError::Execution(format!("invalid {what}: {name}"))) }
}

fn set(s: &mut Series, name: &str, value: &str) {
    let mut labels = LabelsBuilder::from_labels(&s.labels);
    labels.set(name, value);
    s.labels = labels.build();
    // A name that was given on purpose stays.
    if name == METRIC_NAME {
        s.drop_name = false;
    }
}
