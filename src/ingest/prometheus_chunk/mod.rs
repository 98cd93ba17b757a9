//! Prometheus' chunks: runs of samples of one series as `tsdb/chunkenc` packs them. They come from TSDB blocks and go
//! out in remote read's streamed responses.

mod bits;
mod float_histogram;
mod histogram;
mod layout;
mod xor;

use chronolith_storage::{Buckets, SampleBuffer, read::HistogramSample};

/// How many samples an encoded chunk holds at most, as in Prometheus.
pub const SAMPLES_PER_CHUNK: usize = 120;

/// How a chunk is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Encoding {
    /// Floats.
    Xor = 1,
    /// Integer histograms.
    Histogram = 2,
    /// Float histograms.
    FloatHistogram = 3,
}

impl Encoding {
    /// The encoding with this number.
    ///
    /// # Errors
    /// Names an encoding that is known but not read.
    pub const fn from_number(n: u8) -> Result<Self, ChunkError> {
        Err(match n {
            1 => return Ok(Self::Xor),
            2 => return Ok(Self::Histogram),
            3 => return Ok(Self::FloatHistogram),
            4 => ChunkError::Unsupported("XOR2"),
            5 => ChunkError::Unsupported("histogram with start timestamps"),
            6 => ChunkError::Unsupported("float histogram with start timestamps"),
            _ => ChunkError::UnknownEncoding(n),
        })
    }
}

/// Why a chunk cannot be decoded or encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The chunk ends before its samples do.
    #[error("the chunk ends before its last sample")]
    Truncated,
    /// A number that no encoding has.
    #[error("chunk encoding {0} is not known")]
    UnknownEncoding(u8),
    /// An encoding of newer Prometheus versions.
    #[error("chunks of the {0} encoding are not read; take the data by remote read instead")]
    Unsupported(&'static str),
    /// Bits that no encoder writes.
    #[error("the chunk is damaged: {0}")]
    Damaged(&'static str),
}

/// One encoded chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedChunk {
    /// How it is packed.
    pub encoding: Encoding,
    /// The timestamp of its first sample.
    pub min_time: i64,
    /// The timestamp of its last sample.
    pub max_time: i64,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// Appends the samples of one chunk to `out`.
///
/// # Errors
/// When the chunk is damaged; the samples before the damage were appended then.
pub fn decode(encoding: Encoding, data: &[u8], out: &mut SampleBuffer) -> Result<(), ChunkError> {
    match encoding {
        Encoding::Xor => xor::decode(data, out),
        Encoding::Histogram => histogram::decode(data, out),
        Encoding::FloatHistogram => float_histogram::decode(data, out),
    }
}

/// Packs the samples of a series into chunks in order of time.
///
/// # Errors
/// When a histogram's buckets do not fit its spans.
pub fn encode(samples: &SampleBuffer) -> Result<Vec<EncodedChunk>, ChunkError> {
    let mut chunks = Chunks { done: Vec::new(), open: None };
    let mut histograms = samples.histograms.iter().peekable();
    for (timestamp, value) in samples.timestamps.iter().zip(&samples.values) {
        while let Some(histogram) = histograms.next_if(|h| h.timestamp < *timestamp) {
            chunks.push_histogram(histogram)?;
        }
        chunks.push_float(*timestamp, *value);
    }
    for histogram in histograms {
        chunks.push_histogram(histogram)?;
    }
    chunks.close();
    Ok(chunks.done)
}

/// A chunk that still takes samples.
enum Open {
    Xor(xor::Encoder),
    Histogram(Box<histogram::Encoder>),
    FloatHistogram(Box<float_histogram::Encoder>),
}

struct Chunks {
    done: Vec<EncodedChunk>,
    open: Option<(Open, i64, i64)>,
}

impl Chunks {
    fn close(&mut self) {
        if let Some((open, min_time, max_time)) = self.open.take() {
            let (encoding, data) = match open {
                Open::Xor(e) => (Encoding::Xor, e.finish()),
                Open::Histogram(e) => (Encoding::Histogram, e.finish()),
                Open::FloatHistogram(e) => (Encoding::FloatHistogram, e.finish()),
            };
            self.done.push(EncodedChunk { encoding, min_time, max_time, data });
        }
    }

    fn push_float(&mut self, timestamp: i64, value: f64) {
        if let Some((Open::Xor(encoder), _, max_time)) = &mut self.open
            && encoder.len() < SAMPLES_PER_CHUNK
        {
            encoder.push(timestamp, value);
            *max_time = timestamp;
            return;
        }
        self.close();
        let mut encoder = xor::Encoder::new();
        encoder.push(timestamp, value);
        self.open = Some((Open::Xor(encoder), timestamp, timestamp));
    }

    fn push_histogram(&mut self, sample: &HistogramSample) -> Result<(), ChunkError> {
        layout::check_counts(&sample.histogram)?;
        let fits = match &mut self.open {
            Some((Open::Histogram(encoder), ..)) => encoder.push(sample),
            Some((Open::FloatHistogram(encoder), ..)) => encoder.push(sample),
            _ => false,
        };
        if fits {
            if let Some((_, _, max_time)) = &mut self.open {
                *max_time = sample.timestamp;
            }
            return Ok(());
        }
        self.close();
        let open = match sample.histogram.buckets {
            Buckets::Integer { .. } => Open::Histogram(Box::new(histogram::Encoder::new(sample))),
            Buckets::Float { .. } => Open::FloatHistogram(Box::new(float_histogram::Encoder::new(sample))),
        };
        self.open = Some((open, sample.timestamp, sample.timestamp));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
