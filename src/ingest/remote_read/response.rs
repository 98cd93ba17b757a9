//! The two kinds of response: one message of samples, or a stream of frames with encoded chunks.

use chronolith_storage::{Labels, SampleBuffer};

use crate::ingest::{
    prometheus_chunk::{self, ChunkError, EncodedChunk},
    protobuf::Writer,
    remote_write::{write_histogram, write_labels, write_samples},
};

/// The size at which a frame is closed, as in Prometheus: 1 MiB. A frame holds one chunk at least.
pub const FRAME_TARGET: usize = 1 << 20;

/// Builds a `prometheus.ReadResponse`, uncompressed.
#[derive(Debug, Default)]
pub struct ResponseEncoder {
    out: Writer,
    query: Writer,
}

impl ResponseEncoder {
    /// An empty response.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a series to the result of the present query. Series come sorted by labels.
    pub fn push_series(&mut self, labels: &Labels, samples: &SampleBuffer) {
        self.query.message(1, |w| {
            write_labels(w, 1, labels);
            write_samples(w, 2, samples.timestamps.iter().copied().zip(samples.values.iter().copied()));
            for histogram in &samples.histograms {
                w.message(4, |w| write_histogram(w, histogram));
            }
        });
    }

    /// Bytes of the response so far, to keep a limit.
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.as_bytes().len() + self.query.as_bytes().len()
    }

    /// Whether nothing was added yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends the result of the present query; called once for every query of the request, in order.
    pub fn end_query(&mut self) {
        self.out.bytes_or_empty(1, self.query.as_bytes());
        self.query.clear();
    }

    /// The response's bytes; they are to be compressed by snappy.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.out.into_bytes()
    }
}

/// Appends one series to a stream of `prometheus.ChunkedReadResponse` frames. `query` is the position of its query in
/// the request. A series without samples makes no frame.
///
/// # Errors
/// When a histogram's buckets do not fit its spans.
pub fn write_series_frames(
    query: usize,
    labels: &Labels,
    samples: &SampleBuffer,
    out: &mut Vec<u8>,
) -> Result<(), ChunkError> {
    let chunks = prometheus_chunk::encode(samples)?;
    let mut rest = chunks.as_slice();
    while !rest.is_empty() {
        let mut size = 0;
        let take = rest
            .iter()
            .take_while(|chunk| {
                let fits = size < FRAME_TARGET;
                size += chunk.data.len() + 24;
                fits
            })
            .count();
        let (frame, later) = rest.split_at(take);
        write_frame(query, labels, frame, out);
        rest = later;
    }
    Ok(())
}

/// A frame is the message's length as a varint, its CRC-32C in big-endian order, and the message.
fn write_frame(query: usize, labels: &Labels, chunks: &[EncodedChunk], out: &mut Vec<u8>) {
    let mut message = Writer::default();
    message.message(1, |w| {
        write_labels(w, 1, labels);
        for chunk in chunks {
            w.message(2, |w| {
                w.int64(1, chunk.min_time);
                w.int64(2, chunk.max_time);
                w.number(3, chunk.encoding as u64);
                w.bytes(4, &chunk.data);
            });
        }
    });
    message.number(2, query as u64);
    let message = message.into_bytes();
    let mut header = Writer::default();
    header.varint(message.len() as u64);
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(&crc32c::crc32c(&message).to_be_bytes());
    out.extend_from_slice(&message);
}
