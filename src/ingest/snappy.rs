//! Snappy's block format with the declared length checked before anything is allocated.

/// The decoded size that is accepted when nothing else is said: 32 MiB, as Prometheus' receiver has it.
pub const DEFAULT_DECODED_LIMIT: usize = 32 << 20;

/// Why a compressed body is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnappyError {
    /// The body declares more than the limit.
    #[error(
        "the snappy body declares {declared} bytes when decoded, the limit is {limit} bytes: send smaller requests"
    )]
    TooLarge {
        /// What the header says.
        declared: u64,
        /// What is accepted.
        limit: usize,
    },
    /// The body declares more than its bytes can decode to.
    #[error(
        "the snappy body declares {declared} bytes when decoded, but its {input} bytes can decode to {possible} at most"
    )]
    Implausible {
        /// What the header says.
        declared: u64,
        /// Bytes of the body.
        input: usize,
        /// The most that they can decode to.
        possible: u64,
    },
    /// The body is not in snappy's block format.
    #[error("the body is not snappy's block format: {0}")]
    Broken(String),
}

/// Decodes `input` into `buffer` and returns the decoded part of it. The buffer only grows, so one that is used again
/// is neither allocated nor cleared again; what is behind the returned part is left from earlier calls.
///
/// # Errors
/// When the declared length is over `limit` or not plausible (nothing is allocated then), or the body is broken.
pub fn decode<'b>(input: &[u8], limit: usize, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], SnappyError> {
    let (declared, header) = declared_len(input)?;
    let len = match usize::try_from(declared) {
        Ok(len) if len <= limit => len,
        _ => return Err(SnappyError::TooLarge { declared, limit }),
    };
    // The densest element is a copy of 64 bytes in three.
    let possible = (input.len() - header) as u64 * 64 / 3;
    if declared > possible {
        return Err(SnappyError::Implausible { declared, input: input.len(), possible });
    }
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    let out = &mut buffer[..len];
    snap::raw::Decoder::new().decompress(input, out).map_err(|e| SnappyError::Broken(e.to_string()))?;
    Ok(out)
}

/// Compresses `input` to snappy's block format.
///
/// # Errors
/// When `input` is over 4 GiB, which the format cannot say.
pub fn encode(input: &[u8]) -> Result<Vec<u8>, SnappyError> {
    snap::raw::Encoder::new().compress_vec(input).map_err(|e| SnappyError::Broken(e.to_string()))
}

/// The length that the header declares, and the header's own length.
fn declared_len(input: &[u8]) -> Result<(u64, usize), SnappyError> {
    let mut declared = 0u64;
    for (i, byte) in input.iter().take(5).enumerate() {
        declared |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Ok((declared, i + 1));
        }
    }
    Err(SnappyError::Broken("its header, a length of at most five bytes, does not end".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_uses_the_buffer_again() {
        let mut buffer = Vec::new();
        for input in [&b""[..], b"a", &[7; 100_000], b"not so many repeats here"] {
            let packed = encode(input).unwrap();
            assert_eq!(decode(&packed, DEFAULT_DECODED_LIMIT, &mut buffer).unwrap(), input);
        }
        assert_eq!(buffer.len(), 100_000);
    }

    #[test]
    fn declared_lengths_are_refused_before_anything_is_allocated() {
        let mut buffer = Vec::new();
        let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0];
        assert_eq!(
            decode(&bomb, DEFAULT_DECODED_LIMIT, &mut buffer),
            Err(SnappyError::TooLarge { declared: 0xffff_ffff, limit: DEFAULT_DECODED_LIMIT })
        );
        let ten_mib = [0x80, 0x80, 0x80, 0x05, 0, 0, 0];
        assert!(matches!(
            decode(&ten_mib, DEFAULT_DECODED_LIMIT, &mut buffer),
            Err(SnappyError::Implausible { declared: 10_485_760, possible: 64, .. })
        ));
        for broken in [&b""[..], &[0x80], &[0xff; 9], &[5, 0], b"plain text"] {
            assert!(decode(broken, DEFAULT_DECODED_LIMIT, &mut buffer).is_err());
        }
        assert!(buffer.capacity() < 2_500);
        let packed = encode(&[1; 4096]).unwrap();
        assert!(decode(&packed, 4095, &mut buffer).is_err());
        // The bound lets the densest real body pass.
        assert!(decode(&encode(&vec![0; 1 << 20]).unwrap(), 1 << 20, &mut buffer).is_ok());
    }
}
