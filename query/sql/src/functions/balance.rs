//! Long chains of AND or OR: types are found from each operator down, which takes the square of a chain's length.
//!
//! They give the same in any order of pairs, so a chain becomes a tree of little depth.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Value};

/// Links of a chain that are left as they are.
const LONG: usize = 32;

/// Makes a tree of a long chain of AND or OR.
pub(super) fn balance(expr: &mut Expr) {
    let Expr::BinaryOp { op: chained @ (BinaryOperator::And | BinaryOperator::Or), .. } = &*expr else { return };
    let chained = chained.clone();
    let mut links = 0;
    let mut at = &*expr;
    while let Expr::BinaryOp { left, op, .. } = at
        && *op == chained
    {
        links += 1;
        at = left;
    }
    if links < LONG {
        return;
    }
    let mut operands = Vec::with_capacity(links + 1);
    let mut at = std::mem::replace(expr, Expr::Value(Value::Null.into()));
    loop {
        match at {
            Expr::BinaryOp { left, op, right } if op == chained => {
                operands.push(*right);
                at = *left;
            }
            first => {
                operands.push(first);
                break;
            }
        }
    }
    operands.reverse();
    while operands.len() > 1 {
        let mut pairs = Vec::with_capacity(operands.len().div_ceil(2));
        let mut rest = operands.into_iter();
        while let Some(left) = rest.next() {
            pairs.push(match rest.next() {
                Some(right) => Expr::BinaryOp { left: Box::new(left), op: chained.clone(), right: Box::new(right) },
                None => left,
            });
        }
        operands = pairs;
    }
    if let Some(tree) = operands.pop() {
        *expr = tree;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse_expr;

    fn depth(expr: &Expr) -> usize {
        match expr {
            Expr::BinaryOp { left, right, .. } => 1 + depth(left).max(depth(right)),
            _ => 0,
        }
    }

    #[test]
    fn long_chains_become_trees_in_the_same_order() {
        let chain: Vec<String> = (0..1_000).map(|n| format!("c{n}")).collect();
        for op in [" OR ", " AND "] {
            let text = chain.join(op);
            let mut expr = parse_expr(&text).expect("it is an expression");
            assert_eq!(depth(&expr), 999);
            balance(&mut expr);
            assert_eq!((depth(&expr), expr.to_string()), (10, text));
        }
        // Other operators are not for any order.
        let mut sum = parse_expr(&chain.join(" - ")).expect("it is an expression");
        balance(&mut sum);
        assert_eq!(depth(&sum), 999);
    }
}
