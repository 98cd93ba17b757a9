//! PostgreSQL's protocol: packets before the login, messages after it, COPY's binary format, arrays and numerics.
#![no_main]

use chronolith::ingest::postgres::{
    array_text,
    copy_binary::Tuples,
    frontend::{Message, Startup, message_frame, sasl_initial, startup_frame},
    numeric,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(Some(length)) = startup_frame(data) {
        let _ = Startup::decode(data.get(4..4 + length).unwrap_or_default());
    }
    let mut rest = data;
    while let Ok(Some((kind, length))) = message_frame(rest, 1 << 16) {
        let Some(body) = rest.get(5..5 + length) else { break };
        let _ = Message::decode(kind, body);
        rest = &rest[5 + length..];
    }
    let _ = sasl_initial(data);
    let mut tuples = Tuples::new(usize::from(data.first().copied().unwrap_or_default() % 4));
    for piece in data.chunks(7) {
        if tuples.push(piece).is_err() {
            break;
        }
        while let Ok(Some(values)) = tuples.next_tuple() {
            values.into_iter().flatten().for_each(|value| drop(tuples.value(value).to_vec()));
        }
    }
    let _ = tuples.finish();
    if let Ok(number) = numeric::read_binary(data) {
        let mut binary = Vec::new();
        numeric::write_binary(&mut binary, number.digits, number.scale.cast_signed());
        assert_eq!(numeric::read_binary(&binary), Ok(number));
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = numeric::read_text(text);
        if let Ok(elements) = array_text::read(text) {
            let mut written = Vec::new();
            array_text::write(&mut written, elements.iter().map(|e| e.as_ref().map(|e| e.as_bytes().into())));
            assert_eq!(array_text::read(&String::from_utf8_lossy(&written)), Ok(elements));
        }
    }
});
