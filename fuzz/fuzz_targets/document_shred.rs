//! JSON documents: what is taken comes back, and taken apart again gives the same text.
#![no_main]

use chronolith_storage::document::{DocumentBuilder, DocumentOptions, Rebuilder};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let builder = || DocumentBuilder::new(&DocumentOptions { time_fields: Vec::new(), ..Default::default() });
    let Ok(mut builder_of_all) = builder() else { return };
    let mut at = 0;
    let mut taken = 0;
    while let Ok(end) = builder_of_all.push_from(text, at) {
        at = end;
        taken += 1;
    }
    let rows = builder_of_all.take_rows(None).expect("what was taken fits");
    assert_eq!(rows.len(), taken);
    for row in 0..rows.len() {
        let document = Rebuilder::rebuild(&rows, row).expect("fields are paths");
        let mut again = builder().expect("the field's name is short");
        again.push(document.as_bytes()).expect("a document that was written is one");
        let again = again.take_rows(None).expect("it fits");
        assert_eq!(Rebuilder::rebuild(&again, 0).expect("fields are paths"), document);
    }
});
