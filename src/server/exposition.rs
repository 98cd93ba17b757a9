//! The Prometheus text format: writes families of samples.

use super::json;

/// Writes samples in the text exposition format 0.0.4.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    out: Vec<u8>,
}

impl Exposition {
    /// The content type of what is written.
    pub(crate) const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Starts a family.
    pub(crate) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.out.extend_from_slice(b"# HELP ");
        self.name(name);
        self.out.push(b' ');
        escape(&mut self.out, help, false);
        self.kind(name, kind);
    }

    /// Starts a family of which nothing but the type is told.
    pub(crate) fn kind(&mut self, name: &str, kind: &str) {
        if !self.out.is_empty() && self.out.last() != Some(&b'\n') {
            self.out.push(b'\n');
        }
        self.out.extend_from_slice(b"# TYPE ");
        self.name(name);
        self.out.push(b' ');
        self.out.extend_from_slice(kind.as_bytes());
        self.out.push(b'\n');
    }

    /// Writes a sample with its labels and, if there is one, its timestamp in milliseconds.
    pub(crate) fn sample<'a>(
        &mut self,
        name: &str,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        value: f64,
        timestamp: Option<i64>,
    ) {
        let legacy = chronolith_storage::model::labels::is_legacy_metric_name(name);
        let mut labels = labels.into_iter().peekable();
        if legacy {
            self.out.extend_from_slice(name.as_bytes());
        }
        if !legacy || labels.peek().is_some() {
            self.out.push(b'{');
            let mut first = legacy;
            if !legacy {
                quoted(&mut self.out, name);
            }
            for (label, value) in labels {
                if !std::mem::take(&mut first) {
                    self.out.push(b',');
                }
                self.label(label, value);
            }
            self.out.push(b'}');
        }
        self.out.push(b' ');
        json::number(&mut self.out, value);
        if let Some(ms) = timestamp {
            self.out.push(b' ');
            json::signed(&mut self.out, ms);
        }
        self.out.push(b'\n');
    }

    /// A family of one gauge without labels.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, "gauge", help);
        self.sample(name, [], value, None);
    }

    /// A family of one counter without labels.
    pub(crate) fn counter(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, "counter", help);
        self.sample(name, [], value, None);
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }

    fn name(&mut self, name: &str) {
        if chronolith_storage::model::labels::is_legacy_metric_name(name) {
            self.out.extend_from_slice(name.as_bytes());
        } else {
            quoted(&mut self.out, name);
        }
    }

    fn label(&mut self, name: &str, value: &str) {
        if chronolith_storage::model::labels::is_legacy_label_name(name) {
            self.out.extend_from_slice(name.as_bytes());
        } else {
            quoted(&mut self.out, name);
        }
        self.out.push(b'=');
        quoted(&mut self.out, value);
    }
}

fn quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escape(out, text, true);
    out.push(b'"');
}

/// Backslashes and newlines are escaped everywhere, quotes inside quotes.
fn escape(out: &mut Vec<u8>, text: &str, quotes: bool) {
    for &byte in text.as_bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'"' if quotes => out.extend_from_slice(b"\\\""),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_text_format() {
        let mut text = Exposition::default();
        text.family("up", "gauge", "Is it \\ up?\nYes");
        text.sample("up", [("job", "a\"b\\c\nd"), ("a.b", "")], 1.5, Some(-7));
        text.kind("my.metric", "untyped");
        text.sample("my.metric", [("x", "y")], f64::INFINITY, None);
        text.sample("bare", [], 0.0, None);
        assert_eq!(
            String::from_utf8(text.finish()).unwrap(),
            "# HELP up Is it \\\\ up?\\nYes\n# TYPE up gauge\nup{job=\"a\\\"b\\\\c\\nd\",\"a.b\"=\"\"} 1.5 -7\n\
             # TYPE \"my.metric\" untyped\n{\"my.metric\",x=\"y\"} +Inf\nbare 0\n"
        );
    }
}
