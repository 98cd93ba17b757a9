//! Decompression of a batch's messages, within a limit.

use std::io::Read;

use super::MAX_BATCH_BYTES;

/// What the Java library of snappy writes before its blocks, and most producers with it.
const XERIAL_HEAD: &[u8] = b"\x82SNAPPY\x00";
/// The head, a version and the oldest version that reads it.
const XERIAL_HEAD_BYTES: usize = 16;
/// The largest window that zstd may ask memory for, as a power of two; as the command `zstd` has it.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// The messages' bytes: the body itself when it is not compressed, else what `scratch` holds afterwards.
pub(super) fn decompress<'a>(compression: u16, body: &'a [u8], scratch: &'a mut Vec<u8>) -> Result<&'a [u8], String> {
    scratch.clear();
    match compression {
        0 => return Ok(body),
        1 => read("gzip", flate2::read::GzDecoder::new(body), scratch)?,
        2 => snappy(body, scratch)?,
        3 => read("lz4", lz4_flex::frame::FrameDecoder::new(body), scratch)?,
        4 => {
            let told = |e: std::io::Error| format!("zstd: {e}");
            let mut decoder = zstd::stream::read::Decoder::new(body).map_err(told)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(told)?;
            read("zstd", decoder, scratch)?;
        }
        other => return Err(format!("the compression {other} is not known")),
    }
    Ok(scratch)
}

fn read(codec: &str, decoder: impl Read, out: &mut Vec<u8>) -> Result<(), String> {
    decoder.take(MAX_BATCH_BYTES as u64 + 1).read_to_end(out).map_err(|e| format!("{codec}: {e}"))?;
    if out.len() > MAX_BATCH_BYTES { Err(too_large()) } else { Ok(()) }
}

fn too_large() -> String {
    format!("the batch is larger than {MAX_BATCH_BYTES} bytes once it is decompressed")
}

/// Blocks with their lengths behind a head, or one block alone.
fn snappy(body: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    if !body.starts_with(XERIAL_HEAD) {
        return snappy_block(body, out);
    }
    let cut_off = || "snappy: a block is cut off".to_owned();
    let mut rest = body.get(XERIAL_HEAD_BYTES..).ok_or_else(cut_off)?;
    while !rest.is_empty() {
        let (len, behind) = rest.split_first_chunk().ok_or_else(cut_off)?;
        let (block, behind) = behind.split_at_checked(u32::from_be_bytes(*len) as usize).ok_or_else(cut_off)?;
        snappy_block(block, out)?;
        rest = behind;
    }
    Ok(())
}

fn snappy_block(block: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let told = |e: snap::Error| format!("snappy: {e}");
    let len = snap::raw::decompress_len(block).map_err(told)?;
    let before = out.len();
    if len > MAX_BATCH_BYTES - before {
        return Err(too_large());
    }
    out.resize(before + len, 0);
    let written = snap::raw::Decoder::new().decompress(block, &mut out[before..]).map_err(told)?;
    out.truncate(before + written);
    Ok(())
}
