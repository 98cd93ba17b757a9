//! Long chains of operators. DataFusion finds the type, and makes the name, of an operator from its operands down, and does
//! so for every operator: that takes the square or the cube of a chain's length.
//!
//! A long chain of `||` between texts becomes one call with all operands. Chains of other operators are refused from a
//! length on that no one writes by hand.

use std::hash::{Hash, Hasher};

use arrow::{
    array::{Array, AsArray, StringViewArray, StringViewBuilder},
    datatypes::{DataType, Field},
};
use datafusion::{
    common::{DFSchema, Result, ScalarValue, exec_datafusion_err, exec_err},
    logical_expr::{
        BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
        Signature, Volatility, expr::Placeholder,
    },
    sql::sqlparser::ast::BinaryOperator,
};

use crate::{error::to_plan, parse::too_deep};

/// Links from which on a chain of `||` is one call; shorter ones are DataFusion's.
const LONG: usize = 16;
/// Most links of other chains.
const MOST: usize = 200;

/// What became of an operator.
pub(super) enum Outcome {
    /// It ends a chain, which is one call now.
    Joined(Expr),
    /// Its operands, as they were.
    Apart(Expr, Expr),
}

/// The chain of `||` that an operator ends, as one call.
pub(super) fn joined(op: &BinaryOperator, left: Expr, right: Expr, schema: &DFSchema) -> Outcome {
    if *op != BinaryOperator::StringConcat || !is_plain(&right, schema) {
        return Outcome::Apart(left, right);
    }
    if let Expr::ScalarFunction(mut call) = left {
        if call.func.inner().downcast_ref::<Concatenation>().is_none() {
            return Outcome::Apart(Expr::ScalarFunction(call), right);
        }
        call.args.push(as_text(right));
        return Outcome::Joined(Expr::ScalarFunction(call));
    }
    let is_text = |expr: &Expr| matches!(expr.get_type(schema), Ok(of) if of.is_string());
    if links(&left, |op| op == Operator::StringConcat) < LONG || !is_text(&left) {
        return Outcome::Apart(left, right);
    }
    if !operands(&left).iter().all(|operand| is_plain(operand, schema)) {
        return Outcome::Apart(left, right);
    }
    let mut args: Vec<Expr> = operands(&left).into_iter().cloned().map(as_text).collect();
    args.push(as_text(right));
    Outcome::Joined(
        ScalarUDF::new_from_impl(Concatenation { signature: Signature::user_defined(Volatility::Immutable) })
            .call(args),
    )
}

/// Refuses an operator whose left side is a chain of too many. AND and OR are no chains here: they are balanced before.
///
/// # Errors
/// `54001`.
pub(super) fn check(left: &Expr) -> Result<()> {
    if links(left, |op| !matches!(op, Operator::And | Operator::Or)) < MOST { Ok(()) } else { Err(to_plan(too_deep())) }
}

/// The operators, or functions in their place, one in the left side of the other, counted up to [`MOST`].
fn links(expr: &Expr, counts: impl Fn(Operator) -> bool) -> usize {
    let mut links = 0;
    let mut at = expr;
    while links < MOST {
        at = match at {
            Expr::BinaryExpr(BinaryExpr { left, op, .. }) if counts(*op) => left,
            Expr::ScalarFunction(call) => match call.args.first() {
                Some(first) => first,
                None => break,
            },
            _ => break,
        };
        links += 1;
    }
    links
}

/// The operands of a chain of `||`, in their order.
fn operands(expr: &Expr) -> Vec<&Expr> {
    let mut operands = Vec::new();
    let mut at = expr;
    while let Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) = at {
        operands.push(&**right);
        at = left;
    }
    operands.push(at);
    operands.reverse();
    operands
}

/// Whether `||` joins the text of a value to another text.
fn is_plain(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|of| {
        of.is_string() || of.is_numeric() || of.is_temporal() || matches!(of, DataType::Boolean | DataType::Null)
    })
}

/// An operand; a parameter of no type is a text.
fn as_text(expr: Expr) -> Expr {
    match expr {
        Expr::Placeholder(Placeholder { id, field: None }) => {
            let field = Field::new("", DataType::Utf8View, true);
            Expr::Placeholder(Placeholder::new_with_field(id, Some(field.into())))
        }
        other => other,
    }
}

/// What `||` gives of all its operands: null when one is.
#[derive(Debug, PartialEq, Eq)]
struct Concatenation {
    signature: Signature,
}

impl Hash for Concatenation {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

/// An operand's texts.
enum Texts<'a> {
    Same(&'a str),
    Each(&'a StringViewArray),
}

impl ScalarUDFImpl for Concatenation {
    fn name(&self) -> &str {
        "||"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, args: &[DataType]) -> Result<Vec<DataType>> {
        Ok(vec![DataType::Utf8View; args.len()])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut operands = Vec::with_capacity(args.args.len());
        for arg in &args.args {
            operands.push(match arg {
                ColumnarValue::Scalar(text) => match text.try_as_str() {
                    Some(Some(text)) => Texts::Same(text),
                    Some(None) => return Ok(ColumnarValue::Scalar(ScalarValue::Utf8View(None))),
                    None => return exec_err!("|| of {}", text.data_type()),
                },
                ColumnarValue::Array(texts) => match texts.as_string_view_opt() {
                    Some(texts) => Texts::Each(texts),
                    None => return exec_err!("|| of {}", texts.data_type()),
                },
            });
        }
        let same = operands.iter().all(|texts| matches!(texts, Texts::Same(_)));
        let rows = if same { 1 } else { args.number_rows };
        let mut out = StringViewBuilder::with_capacity(rows);
        let mut text = String::new();
        for row in 0..rows {
            if operands.iter().any(|texts| matches!(texts, Texts::Each(texts) if texts.is_null(row))) {
                out.append_null();
                continue;
            }
            text.clear();
            operands.iter().for_each(|texts| match texts {
                Texts::Same(same) => text.push_str(same),
                Texts::Each(texts) => text.push_str(texts.value(row)),
            });
            out.try_append_value(&text).map_err(|e| exec_datafusion_err!("a text that is too long: {e}"))?;
        }
        let array = out.finish();
        if same {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(std::sync::Arc::new(array)))
    }
}
