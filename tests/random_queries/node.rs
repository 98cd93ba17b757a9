//! A generated expression: text with typed parts, so that a smaller expression of the same type can take a part's place.

use chronolith_promql::ast::ValueType;

/// An expression or what stands in it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: ValueType,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Child(Node),
    /// May be left out.
    Optional(String),
}

impl Node {
    pub(crate) fn new(kind: ValueType) -> Self {
        Self { kind, parts: Vec::new() }
    }

    pub(crate) fn leaf(kind: ValueType, text: impl Into<String>) -> Self {
        Self::new(kind).text(text)
    }

    /// The same with more behind it that makes it another type.
    pub(crate) fn turned(self, kind: ValueType) -> Self {
        Self { kind, ..self }
    }

    pub(crate) fn text(mut self, text: impl Into<String>) -> Self {
        self.parts.push(Part::Text(text.into()));
        self
    }

    pub(crate) fn optional(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        if !text.is_empty() {
            self.parts.push(Part::Optional(text));
        }
        self
    }

    pub(crate) fn child(mut self, child: Node) -> Self {
        self.parts.push(Part::Child(child));
        self
    }

    pub(crate) fn render(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        for part in &self.parts {
            match part {
                Part::Text(text) | Part::Optional(text) => out.push_str(text),
                Part::Child(child) => child.write(out),
            }
        }
    }

    fn size(&self) -> usize {
        self.render().len()
    }

    /// Every expression that is this one with one thing taken away or made plain, the smallest first.
    pub(crate) fn smaller(&self) -> Vec<Node> {
        let size = self.size();
        let mut found: Vec<(usize, Node)> =
            self.variants().into_iter().map(|n| (n.size(), n)).filter(|(s, _)| *s < size).collect();
        found.sort_by_key(|(size, _)| *size);
        found.dedup();
        found.into_iter().map(|(_, node)| node).collect()
    }

    fn variants(&self) -> Vec<Node> {
        let mut found = Vec::new();
        self.descendants(&mut |node| {
            if node.kind == self.kind {
                found.push(node.clone());
            }
        });
        if self.kind == ValueType::Scalar {
            found.push(Node::leaf(ValueType::Scalar, "1"));
        }
        for (i, part) in self.parts.iter().enumerate() {
            match part {
                Part::Text(_) => {}
                Part::Optional(_) => {
                    let mut without = self.clone();
                    without.parts.remove(i);
                    found.push(without);
                }
                Part::Child(child) => found.extend(child.variants().into_iter().map(|variant| {
                    let mut with = self.clone();
                    with.parts[i] = Part::Child(variant);
                    with
                })),
            }
        }
        found
    }

    fn descendants(&self, see: &mut impl FnMut(&Node)) {
        for part in &self.parts {
            if let Part::Child(child) = part {
                see(child);
                child.descendants(see);
            }
        }
    }
}

#[test]
fn smaller_expressions_have_the_same_type() {
    let metric = |name: &str| Node::leaf(ValueType::Vector, name);
    let sum = Node::new(ValueType::Vector).text("sum").optional(" by (job)").text("(").child(metric("m")).text(")");
    let tree = Node::new(ValueType::Vector).child(sum).text(" + ").child(metric("other"));
    let texts: Vec<String> = tree.smaller().iter().map(Node::render).collect();
    assert_eq!(texts, ["m", "other", "m + other", "sum(m) + other", "sum by (job)(m)"]);
}
