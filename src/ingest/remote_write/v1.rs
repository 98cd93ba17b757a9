//! `prometheus.WriteRequest`: remote write 1.0.
//!
//! The way of a known series through a server allocates nothing: [`Series::label_bytes`] is hashed and looked up in a
//! cache, and the samples are appended to the series that is found. Only an unknown series has its labels decoded.

use chronolith_storage::{Exemplar, Labels, MetricKind, MetricMetadata};

use super::{
    Histograms, Samples,
    repeated::{Region, Repeated, pass_message},
};
use crate::ingest::{
    label_rules::{LabelLimits, LabelsError, checked_labels, exemplar_labels},
    protobuf::{DecodeError, Message, Problem, Reader, WireType},
};

const TIMESERIES: u32 = 1;
const METADATA: u32 = 3;

/// The decoded body of a remote write 1.0 request.
#[derive(Debug, Clone, Copy)]
pub struct WriteRequest<'a> {
    bytes: &'a [u8],
}

impl<'a> WriteRequest<'a> {
    /// A view of the body; nothing is read yet.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The series, in the order they were sent. After an error the iterator ends.
    #[must_use]
    pub const fn series(&self) -> SeriesIter<'a> {
        SeriesIter { reader: Reader::new(Message::WriteRequest, self.bytes, 0) }
    }

    /// The metadata of metric families. After an error the iterator ends.
    pub fn metadata(&self) -> impl Iterator<Item = Result<Metadata<'a>, DecodeError>> + use<'a> {
        let reader = Reader::new(Message::WriteRequest, self.bytes, 0);
        Repeated::in_message(reader, METADATA, Message::Metadata).map(|reader| Metadata::read(reader?))
    }
}

/// The series of a request.
#[derive(Debug, Clone)]
pub struct SeriesIter<'a> {
    reader: Reader<'a>,
}

impl<'a> SeriesIter<'a> {
    #[inline]
    fn advance(&mut self) -> Result<Option<Series<'a>>, DecodeError> {
        while let Some((field, wire_type)) = self.reader.field()? {
            match field {
                TIMESERIES => {
                    return Series::read(self.reader.message(field, wire_type, Message::TimeSeries)?).map(Some);
                }
                4 | 5 => return Err(self.reader.error(Problem::SentAsV1(field))),
                _ => self.reader.skip(field, wire_type)?,
            }
        }
        Ok(None)
    }
}

impl<'a> Iterator for SeriesIter<'a> {
    type Item = Result<Series<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let series = self.advance();
        if series.is_err() {
            self.reader = self.reader.part(0, 0);
        }
        series.transpose()
    }
}

/// One series of a request: where its fields stand, not what is in them.
#[derive(Debug, Clone)]
pub struct Series<'a> {
    reader: Reader<'a>,
    labels: Region,
    samples: Region,
    exemplars: Region,
    histograms: Region,
}

impl<'a> Series<'a> {
    const LABELS: u32 = 1;
    const SAMPLES: u32 = 2;
    const EXEMPLARS: u32 = 3;
    const HISTOGRAMS: u32 = 4;

    #[inline]
    fn read(start: Reader<'a>) -> Result<Self, DecodeError> {
        let mut series = Self {
            reader: start,
            labels: Region::default(),
            samples: Region::default(),
            exemplars: Region::default(),
            histograms: Region::default(),
        };
        let mut reader = start;
        loop {
            let start = reader.at();
            if reader.take_tag(0x0a) {
                reader.bytes(Self::LABELS)?;
                series.labels.add(start, reader.at());
                continue;
            }
            let Some((field, wire_type)) = reader.field()? else { return Ok(series) };
            let (region, of) = match field {
                Self::LABELS => (&mut series.labels, Message::Label),
                Self::SAMPLES => (&mut series.samples, Message::Sample),
                Self::EXEMPLARS => (&mut series.exemplars, Message::Exemplar),
                Self::HISTOGRAMS => (&mut series.histograms, Message::Histogram),
                _ => {
                    reader.skip(field, wire_type)?;
                    continue;
                }
            };
            pass_message(&mut reader, region, start, (field, wire_type), of)?;
        }
    }

    /// The labels' bytes as they were sent, to be the key of a cache of known series: equal bytes are equal labels.
    /// `None` when something stands between the labels; then only [`Self::labels`] tells the series.
    #[must_use]
    #[inline]
    pub fn label_bytes(&self) -> Option<&'a [u8]> {
        self.labels.contiguous(self.reader.whole())
    }

    /// The pairs of name and value as they were sent; no rule is checked but that they are UTF-8.
    #[must_use]
    pub fn labels(&self) -> LabelPairs<'a> {
        LabelPairs(self.labels.elements(&self.reader, Self::LABELS, Message::Label))
    }

    /// The labels as a set, checked.
    ///
    /// # Errors
    /// When the message is broken or the labels break a rule.
    pub fn to_labels(&self, limits: &LabelLimits) -> Result<Labels, LabelsError> {
        checked_labels(self.labels(), limits)
    }

    /// The float samples.
    #[must_use]
    #[inline]
    pub fn samples(&self) -> Samples<'a> {
        Samples(self.samples.elements(&self.reader, Self::SAMPLES, Message::Sample))
    }

    /// How many float samples there are.
    #[must_use]
    pub const fn sample_count(&self) -> usize {
        self.samples.count()
    }

    /// The histogram samples.
    #[must_use]
    pub fn histograms(&self) -> Histograms<'a> {
        Histograms::new(self.histograms.elements(&self.reader, Self::HISTOGRAMS, Message::Histogram))
    }

    /// How many histogram samples there are.
    #[must_use]
    pub const fn histogram_count(&self) -> usize {
        self.histograms.count()
    }

    /// The exemplars; one that breaks a rule is no reason to refuse the series.
    pub fn exemplars(&self) -> impl Iterator<Item = Result<Exemplar, LabelsError>> + use<'a> {
        self.exemplars.elements(&self.reader, Self::EXEMPLARS, Message::Exemplar).map(|reader| read_exemplar(reader?))
    }

    /// How many exemplars there are.
    #[must_use]
    pub const fn exemplar_count(&self) -> usize {
        self.exemplars.count()
    }
}

/// Pairs of label name and value in the order they were sent.
#[derive(Debug, Clone)]
pub struct LabelPairs<'a>(Repeated<'a>);

impl<'a> Iterator for LabelPairs<'a> {
    type Item = Result<(&'a str, &'a str), DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.and_then(read_label))
    }
}

fn read_label(mut reader: Reader<'_>) -> Result<(&str, &str), DecodeError> {
    let (mut name, mut value) = ("", "");
    if reader.take_tag(0x0a) {
        name = reader.text(1, WireType::Bytes)?;
        if reader.take_tag(0x12) {
            value = reader.text(2, WireType::Bytes)?;
        }
    }
    while let Some((field, wire_type)) = reader.field()? {
        match field {
            1 => name = reader.text(field, wire_type)?,
            2 => value = reader.text(field, wire_type)?,
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok((name, value))
}

fn read_exemplar(start: Reader<'_>) -> Result<Exemplar, LabelsError> {
    let mut reader = start;
    let (mut labels, mut value, mut timestamp) = (Region::default(), 0.0, 0);
    loop {
        let from = reader.at();
        let Some((field, wire_type)) = reader.field()? else { break };
        match field {
            1 => pass_message(&mut reader, &mut labels, from, (field, wire_type), Message::Label)?,
            2 => value = reader.double(field, wire_type)?,
            3 => timestamp = reader.number(field, wire_type)? as i64,
            _ => reader.skip(field, wire_type)?,
        }
    }
    let labels =
        exemplar_labels(LabelPairs(labels.elements(&start, 1, Message::Label)).map(|l| l.map_err(LabelsError::from)))?;
    Ok(Exemplar { labels, value, timestamp })
}

/// The metadata of one metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata<'a> {
    /// The family's name.
    pub family: &'a str,
    /// Its type; a number that is not known counts as unknown.
    pub kind: MetricKind,
    /// Its help text; may be empty.
    pub help: &'a str,
    /// Its unit; may be empty.
    pub unit: &'a str,
}

impl<'a> Metadata<'a> {
    fn read(mut reader: Reader<'a>) -> Result<Self, DecodeError> {
        let mut metadata = Self { family: "", kind: MetricKind::Unknown, help: "", unit: "" };
        while let Some((field, wire_type)) = reader.field()? {
            match field {
                1 => metadata.kind = MetricKind::from_number(reader.number(field, wire_type)?).unwrap_or_default(),
                2 => metadata.family = reader.text(field, wire_type)?,
                4 => metadata.help = reader.text(field, wire_type)?,
                5 => metadata.unit = reader.text(field, wire_type)?,
                _ => reader.skip(field, wire_type)?,
            }
        }
        Ok(metadata)
    }

    /// The same with owned texts.
    #[must_use]
    pub fn to_metadata(&self) -> MetricMetadata {
        MetricMetadata { kind: self.kind, help: self.help.to_owned(), unit: self.unit.to_owned() }
    }
}
