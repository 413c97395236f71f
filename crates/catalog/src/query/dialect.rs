//! From the dialect of SQL Server to that of our databases.
//!
//! | as printed | SQLite | PostgreSQL |
//! |---|---|---|
//! | `N'text'` | `'text'` | `'text'` |
//! | `dbo.name`, `DPMDB.dbo.name`, `DPMDB..name` | `name` | `name` |
//! | `[name]`, `"name"` | `[name]` | `"name"`, in small letters |
//! | `LIKE` | `LIKE`: ignores the case of ASCII letters | `ILIKE … ESCAPE ''`: there a backslash would escape |
//! | `SELECT TOP n` | `LIMIT n` | `LIMIT n` |

use std::ops::ControlFlow;

use sea_orm::DbBackend;
use sqlparser::{
    ast::{
        Expr, Ident, LimitClause, ObjectName, Query, Select, SelectItem, SetExpr, Statement, TopQuantity, Value,
        ValueWithSpan, VisitMut, VisitorMut,
    },
    dialect::MsSqlDialect,
    parser::{Parser, ParserError},
    tokenizer::Span,
};

use crate::{Fault, location::DATABASE_NAME};

/// A query in the database's own dialect.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Translated {
    pub(super) sql: String,
    /// What the query calls its columns; `None` where the database has to be asked (`*`).
    pub(super) columns: Option<Vec<String>>,
}

/// Translates exactly one SELECT.
pub(super) fn translate(sql: &str, backend: DbBackend) -> Result<Translated, Fault> {
    let refused = |why: String| Fault::Refused(why);
    let parsed = Parser::parse_sql(&MsSqlDialect {}, sql).map_err(|e| match e {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => {
            refused(format!("the query cannot be understood: {text}"))
        }
        ParserError::RecursionLimitExceeded => refused("the query is nested too deeply".to_owned()),
    })?;
    let count = parsed.len();
    let Ok([Statement::Query(mut query)]) = <[Statement; 1]>::try_from(parsed) else {
        return Err(refused(match count {
            0 => "there is no query".to_owned(),
            1 => "only a SELECT is let through".to_owned(),
            _ => format!("there are {count} statements, and one query is run at a time"),
        }));
    };
    let columns = columns(&query.body);
    match query.visit(&mut Translator { backend }) {
        ControlFlow::Continue(()) => Ok(Translated { sql: query.to_string(), columns }),
        ControlFlow::Break(why) => Err(refused(why)),
    }
}

/// What the projection calls its columns.
fn columns(body: &SetExpr) -> Option<Vec<String>> {
    let SetExpr::Select(select) = body else { return None };
    let name = |item: &SelectItem| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(name.value.clone()),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(names)) => names.last().map(|name| name.value.clone()),
        _ => None,
    };
    select.projection.iter().map(name).collect()
}

struct Translator {
    backend: DbBackend,
}

impl VisitorMut for Translator {
    type Break = String;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
        if !query.locks.is_empty() || query.for_clause.is_some() {
            return ControlFlow::Break("FOR is not let through: only a SELECT without it".to_owned());
        }
        match query.body.as_mut() {
            SetExpr::Select(select) => match limit(select) {
                Ok(Some(limit)) if query.limit_clause.is_none() => {
                    query.limit_clause =
                        Some(LimitClause::LimitOffset { limit: Some(limit), offset: None, limit_by: Vec::new() });
                    ControlFlow::Continue(())
                }
                Ok(None) => ControlFlow::Continue(()),
                Ok(Some(_)) => ControlFlow::Break("TOP and LIMIT cannot stand in one SELECT".to_owned()),
                Err(why) => ControlFlow::Break(why),
            },
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                ControlFlow::Break("only a SELECT is let through".to_owned())
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<String> {
        if select.into.is_some() {
            return ControlFlow::Break("SELECT INTO makes a table: only a plain SELECT is let through".to_owned());
        }
        if select.top.is_some() {
            return ControlFlow::Break("TOP can stand only in a SELECT by itself, not in one of a UNION".to_owned());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<String> {
        let parts: Vec<&str> =
            relation.0.iter().map(|part| part.as_ident().map_or("", |name| name.value.as_str())).collect();
        let ours = owned(&parts);
        relation.0.drain(..ours);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        match expr {
            Expr::CompoundIdentifier(names) => {
                let parts: Vec<&str> = names.iter().map(|name| name.value.as_str()).collect();
                // `dbo.table.column`: a table's own name may be `dbo`, so what is left must name one.
                let ours = owned(&parts);
                if names.len() - ours >= 2 {
                    names.drain(..ours);
                }
            }
            Expr::Like { negated, any, expr: subject, pattern, escape_char } if self.backend == DbBackend::Postgres => {
                let none = || Box::new(Expr::Value(plain(Value::SingleQuotedString(String::new()))));
                *expr = Expr::ILike {
                    negated: *negated,
                    any: *any,
                    escape_char: Some(escape_char.take().unwrap_or_else(none)),
                    expr: subject.clone(),
                    pattern: pattern.clone(),
                };
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<String> {
        if let Value::NationalStringLiteral(text) = &mut value.value {
            value.value = Value::SingleQuotedString(std::mem::take(text));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_ident(&mut self, name: &mut Ident) -> ControlFlow<String> {
        if name.quote_style.is_none() {
            return ControlFlow::Continue(());
        }
        if self.backend == DbBackend::Postgres {
            // Names made without quotes are kept in small letters there.
            name.quote_style = Some('"');
            name.value = name.value.to_ascii_lowercase();
        } else if !name.value.contains(']') {
            // In double quotes SQLite would take an unknown name for text.
            name.quote_style = Some('[');
        }
        ControlFlow::Continue(())
    }
}

fn plain(value: Value) -> ValueWithSpan {
    value.with_span(Span::empty())
}

/// How many of the first parts of a name say no more than where SQL Server keeps its tables.
fn owned(parts: &[&str]) -> usize {
    let is = |at: usize, name: &str| parts.get(at).is_some_and(|part| part.eq_ignore_ascii_case(name));
    let owners = if is(0, DATABASE_NAME) && (is(1, "dbo") || is(1, "")) { 2 } else { usize::from(is(0, "dbo")) };
    owners.min(parts.len().saturating_sub(1))
}

/// Takes a TOP away and answers it as the expression of a LIMIT.
fn limit(select: &mut Select) -> Result<Option<Expr>, String> {
    let Some(top) = select.top.take() else { return Ok(None) };
    if top.percent || top.with_ties {
        return Err("TOP is understood with a number alone, without PERCENT and WITH TIES".to_owned());
    }
    Ok(top.quantity.map(|quantity| match quantity {
        TopQuantity::Expr(expr) => expr,
        TopQuantity::Constant(count) => Expr::Value(plain(Value::Number(count.to_string(), false))),
    }))
}
