//! Expressions as trees that are written as SQL and made smaller.

/// A type, as far as the grammar tells types apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Int,
    Big,
    Numeric,
    Float,
    Text,
    Bool,
    Date,
    Time,
    Span,
}

impl Type {
    /// What a cast calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Big => "bigint",
            Self::Numeric => "numeric",
            Self::Float => "float8",
            Self::Text => "text",
            Self::Bool => "boolean",
            Self::Date => "date",
            Self::Time => "timestamp",
            Self::Span => "interval",
        }
    }
}

/// An expression: a text with `{}` for each of its operands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) of: Type,
    text: String,
    operands: Vec<Self>,
}

impl Node {
    pub(crate) fn leaf(of: Type, text: impl Into<String>) -> Self {
        Self { of, text: text.into(), operands: Vec::new() }
    }

    pub(crate) fn new(of: Type, text: impl Into<String>, operands: Vec<Self>) -> Self {
        Self { of, text: text.into(), operands }
    }

    /// As SQL.
    pub(crate) fn text(&self) -> String {
        let mut parts = self.text.split("{}");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for (part, operand) in parts.zip(&self.operands) {
            text.push_str(&operand.text());
            text.push_str(part);
        }
        text
    }

    /// Trees with less: an operand in the place of the whole, or one of the operands made smaller.
    pub(crate) fn smaller(&self) -> Vec<Self> {
        let mut smaller: Vec<Self> = self.operands.iter().filter(|operand| operand.of == self.of).cloned().collect();
        if !self.operands.is_empty() {
            smaller.push(Self::leaf(self.of, format!("CAST(NULL AS {})", self.of.name())));
        }
        for (at, operand) in self.operands.iter().enumerate() {
            smaller.extend(operand.smaller().into_iter().map(|less| {
                let mut whole = self.clone();
                whole.operands[at] = less;
                whole
            }));
        }
        smaller
    }
}
