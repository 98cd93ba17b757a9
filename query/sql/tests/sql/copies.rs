//! COPY in both directions.

use chronolith_sql::{Outcome, Result, Session, TransactionStatus};
use futures::StreamExt;

use crate::harness::{database, run, wait};

fn session() -> Session {
    let (_engine, sql) = database();
    let mut session = sql.session("a", "chronolith");
    run(&mut session, "CREATE TABLE t (id INT PRIMARY KEY, name TEXT DEFAULT 'none', n INT)")
        .expect("the table is made");
    session
}

fn copy_in(session: &mut Session, statement: &str, data: &[u8]) -> Result<String> {
    wait(async {
        let Outcome::CopyIn(mut copy) = session.run(statement).await? else { panic!("it is a COPY FROM STDIN") };
        for piece in data.chunks(3) {
            copy.feed(piece).await?;
        }
        copy.finish().await
    })
}

#[test]
fn rows_come_in_as_text_and_csv() {
    let mut session = session();
    assert_eq!(copy_in(&mut session, "COPY t (id, n) FROM STDIN", b"1\t10\n2\t\\N\n").expect("the rows fit"), "COPY 2");
    let csv = b"id,name,n\n3,\"a, b\",\n4,,7\n";
    assert_eq!(
        copy_in(&mut session, "COPY t FROM STDIN WITH (FORMAT csv, HEADER)", csv).expect("the rows fit"),
        "COPY 2"
    );
    let rows = run(&mut session, "SELECT id, name, n FROM t ORDER BY id").expect("they are there").rows;
    assert_eq!(rows, [["1", "none", "10"], ["2", "none", "NULL"], ["3", "a, b", "NULL"], ["4", "NULL", "7"]]);
}

#[test]
fn a_wrong_row_takes_all_back() {
    let mut session = session();
    for (data, state) in [(&b"1\ta\t1\nx\ta\t1\n"[..], "22P02"), (b"1\ta\n", "22P04"), (b"1\ta\t1\n1\tb\t1\n", "23505")]
    {
        assert_eq!(
            copy_in(&mut session, "COPY t FROM STDIN", data).expect_err("it does not fit").state.as_str(),
            state
        );
    }
    assert_eq!(run(&mut session, "SELECT count(*) FROM t").expect("it is empty").rows, [["0"]]);
    run(&mut session, "BEGIN").expect("it begins");
    copy_in(&mut session, "COPY t FROM STDIN", b"1\n").expect_err("it does not fit");
    assert_eq!(session.transaction_status(), TransactionStatus::Failed);
}

#[test]
fn a_copy_belongs_to_its_transaction() {
    let mut session = session();
    run(&mut session, "BEGIN").expect("it begins");
    copy_in(&mut session, "COPY t FROM STDIN", b"1\ta\t1\n").expect("it fits");
    assert_eq!(run(&mut session, "SELECT count(*) FROM t").expect("it is seen").rows, [["1"]]);
    run(&mut session, "ROLLBACK").expect("it ends");
    assert_eq!(run(&mut session, "SELECT count(*) FROM t").expect("it is gone").rows, [["0"]]);
}

#[test]
fn rows_go_out_with_the_format_that_was_asked() {
    let mut session = session();
    copy_in(&mut session, "COPY t FROM STDIN", b"1\ta\t1\n2\tb\t2\n").expect("it fits");
    wait(async {
        let statement = "COPY (SELECT id FROM t WHERE n > 1) TO STDOUT WITH (FORMAT csv, DELIMITER ';', NULL 'x')";
        let Outcome::CopyOut { schema, mut rows, options } = session.run(statement).await.expect("it runs") else {
            panic!("it is a COPY TO STDOUT")
        };
        assert!(options.csv && options.delimiter == b';' && options.null == "x");
        assert_eq!(schema.fields().len(), 1);
        let mut count = 0;
        while let Some(batch) = rows.next().await {
            count += batch.expect("rows come").num_rows();
        }
        assert_eq!(count, 1);
    });
}
