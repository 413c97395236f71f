use sea_orm::DbBackend;

use super::{dialect, translate};
use crate::Fault;

fn both(sql: &str) -> (String, String) {
    let one = |backend| translate(sql, backend).unwrap().sql;
    (one(DbBackend::Sqlite), one(DbBackend::Postgres))
}

#[test]
fn each_database_gets_its_own_words() {
    let (sqlite, postgres) =
        both("select top 3 [A b], N'ü' from DPMDB.dbo.[T x] t where t.a LIKE '%\\%' and dbo.t.b like N'x' escape '!'");
    assert_eq!(sqlite, "SELECT [A b], 'ü' FROM [T x] t WHERE t.a LIKE '%\\%' AND t.b LIKE 'x' ESCAPE '!' LIMIT 3");
    assert_eq!(
        postgres,
        "SELECT \"a b\", 'ü' FROM \"t x\" t WHERE t.a ILIKE '%\\%' ESCAPE '' AND t.b ILIKE 'x' ESCAPE '!' LIMIT 3"
    );
}

#[test]
fn columns_are_called_as_the_query_calls_them() {
    let columns = |sql| translate(sql, DbBackend::Postgres).unwrap().columns;
    assert_eq!(columns("SELECT A, b.C AS D, e.F FROM x"), Some(vec!["A".into(), "D".into(), "F".into()]));
    assert_eq!(columns("SELECT A, count(*) FROM x"), None);
    assert_eq!(columns("SELECT * FROM x"), None);
}

/// Whatever is typed, the answer is a SELECT or an error, never a panic; and what was let through once is let through
/// again in its own words.
#[test]
fn whatever_is_typed_is_answered() {
    let words = [
        "SELECT",
        "TOP",
        "5",
        "(",
        ")",
        "*",
        "FROM",
        "dbo.",
        "[a]",
        "'x'",
        "N'",
        "LIKE",
        ";",
        "--",
        "/*",
        "UNION",
        "WITH",
        "INTO",
        "DELETE",
        ",",
        "a",
        ".",
        "\0",
        "\u{1f980}",
        "\n",
        "ORDER BY",
        "\"",
        "FOR",
        "AS",
        "=",
        "NOT",
        "EXEC",
    ];
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..3000 {
        let mut sql = "SELECT ".to_owned();
        for _ in 0..12 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            sql.push_str(words[(state % words.len() as u64) as usize]);
            sql.push(' ');
        }
        for backend in [DbBackend::Sqlite, DbBackend::Postgres] {
            match dialect::translate(&sql, backend) {
                Ok(translated) => assert!(
                    translated.sql.starts_with("SELECT")
                        || translated.sql.starts_with('(')
                        || translated.sql.starts_with("WITH"),
                    "{sql}: {}",
                    translated.sql
                ),
                Err(fault) => assert!(matches!(fault, Fault::Refused(_)), "{sql}: {fault}"),
            }
        }
    }
}
