//! Similarity of vectors.

use crate::{check, fails, near};

#[tokio::test]
async fn operators_and_functions() {
    near("SELECT cosine_similarity(ARRAY[1.0, 2.0], ARRAY[2.0, 1.0])", 0.8, 1e-12).await;
    near("SELECT ARRAY[1, 2] <=> ARRAY[2, 1]", 0.2, 1e-12).await;
    near("SELECT ARRAY[1, 2] <-> ARRAY[4, 6]", 5.0, 1e-12).await;
    near("SELECT ARRAY[1, 2] <#> ARRAY[4, 6]", -16.0, 1e-12).await;
}

#[tokio::test]
async fn text_vectors_nulls_and_errors() {
    near("SELECT ARRAY[3.0, 4.0] <-> '[0,0]'", 5.0, 1e-12).await;
    check("SELECT cosine_similarity(ARRAY[0.0, 0.0], ARRAY[1.0, 1.0])", &["NULL"]).await;
    check(
        "SELECT cosine_similarity(NULL, ARRAY[1.0]), cosine_distance(ARRAY[NULL, 1.0], ARRAY[1.0, 2.0])",
        &["NULL|NULL"],
    )
    .await;
    fails("SELECT ARRAY[1.0] <=> ARRAY[1.0, 2.0]", "1 and 2 dimensions").await;
    fails("SELECT ARRAY[1.0] <=> 'x'", "invalid input syntax for a vector").await;
    fails("SELECT cosine_similarity(1, 2)", "number[]").await;
}

#[tokio::test]
async fn nearest_rows() {
    check(
        "SELECT i FROM (SELECT i, ARRAY[cos(i::float), sin(i::float)] v FROM numbers WHERE i < 100) t \
         ORDER BY v <=> ARRAY[1.0, 0.0], i LIMIT 3",
        &["0", "44", "88"],
    )
    .await;
}
