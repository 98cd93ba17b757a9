//! Walks over statements. A walk of a visitor's own type would be compiled for each visitor: all nodes of the grammar, thousands
//! of functions, every time. Here they are compiled once and call the visitor through a pointer.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Query, Select, Statement, TableFactor, ValueWithSpan, Visit, VisitMut, Visitor, VisitorMut,
};

/// Takes a visitor through everything below a node.
pub(crate) fn walk<N: Visit, B>(node: &N, visitor: &mut dyn Visitor<Break = B>) -> ControlFlow<B> {
    let mut kept = Kept { visitor, broke: None };
    let _ = node.visit(&mut Walk(&mut kept));
    kept.broke.map_or(ControlFlow::Continue(()), ControlFlow::Break)
}

/// Takes a visitor that may change what it sees through everything below a node.
pub(crate) fn walk_mut<N: VisitMut, B>(node: &mut N, visitor: &mut dyn VisitorMut<Break = B>) -> ControlFlow<B> {
    let mut kept = KeptMut { visitor, broke: None };
    let _ = node.visit(&mut WalkMut(&mut kept));
    kept.broke.map_or(ControlFlow::Continue(()), ControlFlow::Break)
}

/// The one visitor that walks are compiled for.
struct Walk<'a>(&'a mut dyn Visitor<Break = ()>);

/// The one visitor that changing walks are compiled for.
struct WalkMut<'a>(&'a mut dyn VisitorMut<Break = ()>);

/// A visitor, and what it ended the walk with.
struct Kept<'a, B> {
    visitor: &'a mut dyn Visitor<Break = B>,
    broke: Option<B>,
}

/// A changing visitor, and what it ended the walk with.
struct KeptMut<'a, B> {
    visitor: &'a mut dyn VisitorMut<Break = B>,
    broke: Option<B>,
}

fn keep<B>(flow: ControlFlow<B>, broke: &mut Option<B>) -> ControlFlow<()> {
    match flow {
        ControlFlow::Continue(()) => ControlFlow::Continue(()),
        ControlFlow::Break(value) => {
            *broke = Some(value);
            ControlFlow::Break(())
        }
    }
}

macro_rules! visits {
    ($($method:ident($node:ty);)*) => {
        impl Visitor for Walk<'_> {
            type Break = ();
            $(fn $method(&mut self, node: &$node) -> ControlFlow<()> { self.0.$method(node) })*
        }

        impl VisitorMut for WalkMut<'_> {
            type Break = ();
            $(fn $method(&mut self, node: &mut $node) -> ControlFlow<()> { self.0.$method(node) })*
        }

        impl<B> Visitor for Kept<'_, B> {
            type Break = ();
            $(fn $method(&mut self, node: &$node) -> ControlFlow<()> {
                keep(self.visitor.$method(node), &mut self.broke)
            })*
        }

        impl<B> VisitorMut for KeptMut<'_, B> {
            type Break = ();
            $(fn $method(&mut self, node: &mut $node) -> ControlFlow<()> {
                keep(self.visitor.$method(node), &mut self.broke)
            })*
        }
    };
}

visits! {
    pre_visit_query(Query);
    post_visit_query(Query);
    pre_visit_select(Select);
    post_visit_select(Select);
    pre_visit_relation(ObjectName);
    post_visit_relation(ObjectName);
    pre_visit_table_factor(TableFactor);
    post_visit_table_factor(TableFactor);
    pre_visit_expr(Expr);
    post_visit_expr(Expr);
    pre_visit_statement(Statement);
    post_visit_statement(Statement);
    pre_visit_value(ValueWithSpan);
    post_visit_value(ValueWithSpan);
}
