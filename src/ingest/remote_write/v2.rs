//! `io.prometheus.write.v2.Request`: remote write 2.0.
//!
//! Labels are references into a table of symbols that every request brings along, so the bytes of the references name
//! no series beyond the request. [`Series::write_label_bytes`] spells the labels as remote write 1.0 does, into a
//! buffer that is used again: both versions share one cache of known series.

use chronolith_storage::{Exemplar, Labels, MetricKind, MetricMetadata};

use super::{
    Histograms, Samples,
    repeated::{Region, pass_message},
};
use crate::ingest::{
    label_rules::{LabelLimits, LabelsError, checked_labels, exemplar_labels},
    protobuf::{DecodeError, Message, PackedVarints, Problem, Reader, WireType},
};

/// How many symbols one request may have: 16 MiB of references to texts.
pub const MAX_SYMBOLS: usize = 1 << 20;

const SYMBOLS: u32 = 4;
const TIMESERIES: u32 = 5;

/// The decoded body of a remote write 2.0 request with its symbols.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    bytes: &'a [u8],
    symbols: Vec<&'a str>,
    /// Symbols that are not UTF-8, in order; each stands empty in the table.
    broken: Vec<(usize, DecodeError)>,
}

impl<'a> Request<'a> {
    /// Collects the symbols; series are read when they are asked for.
    ///
    /// # Errors
    /// When the message is broken or there are more than [`MAX_SYMBOLS`]. A symbol that is not UTF-8 is an error of the
    /// series that refer to it, see [`Series::broken_label`].
    pub fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (mut symbols, mut broken) = (Vec::new(), Vec::new());
        let mut reader = Reader::new(Message::Request, bytes, 0);
        while let Some((field, wire_type)) = reader.field()? {
            match field {
                SYMBOLS if symbols.len() == MAX_SYMBOLS => {
                    return Err(reader.error(Problem::TooMany { what: "symbols", limit: MAX_SYMBOLS }));
                }
                SYMBOLS => match reader.text(field, wire_type) {
                    Ok(symbol) => symbols.push(symbol),
                    Err(error) if error.is_text() => {
                        broken.push((symbols.len(), error));
                        symbols.push("");
                    }
                    Err(error) => return Err(error),
                },
                1 | 3 => return Err(reader.error(Problem::SentAsV2(field))),
                _ => reader.skip(field, wire_type)?,
            }
        }
        Ok(Self { bytes, symbols, broken })
    }

    /// The table of symbols.
    #[must_use]
    pub fn symbols(&self) -> &[&'a str] {
        &self.symbols
    }

    /// The series, in the order they were sent. After an error the iterator ends.
    #[must_use]
    pub fn series(&self) -> SeriesIter<'a, '_> {
        let reader = Reader::new(Message::Request, self.bytes, 0);
        SeriesIter { reader, symbols: &self.symbols, broken: &self.broken }
    }
}

/// The series of a request.
#[derive(Debug, Clone)]
pub struct SeriesIter<'a, 's> {
    reader: Reader<'a>,
    symbols: &'s [&'a str],
    broken: &'s [(usize, DecodeError)],
}

impl<'a, 's> SeriesIter<'a, 's> {
    fn advance(&mut self) -> Result<Option<Series<'a, 's>>, DecodeError> {
        while let Some((field, wire_type)) = self.reader.field()? {
            if field == TIMESERIES {
                let reader = self.reader.message(field, wire_type, Message::TimeSeries)?;
                return Series::read(reader, self.symbols, self.broken).map(Some);
            }
            self.reader.skip(field, wire_type)?;
        }
        Ok(None)
    }
}

impl<'a, 's> Iterator for SeriesIter<'a, 's> {
    type Item = Result<Series<'a, 's>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let series = self.advance();
        if series.is_err() {
            self.reader = self.reader.part(0, 0);
        }
        series.transpose()
    }
}

/// One series of a request. Its references were checked: they come in pairs and each is in the table.
#[derive(Debug, Clone)]
pub struct Series<'a, 's> {
    reader: Reader<'a>,
    symbols: &'s [&'a str],
    references: References<'a>,
    broken: &'s [(usize, DecodeError)],
    samples: Region,
    histograms: Region,
    exemplars: Region,
    metadata: Option<Metadata<'a>>,
}

impl<'a, 's> Series<'a, 's> {
    const LABELS_REFS: u32 = 1;
    const SAMPLES: u32 = 2;
    const HISTOGRAMS: u32 = 3;
    const EXEMPLARS: u32 = 4;
    const METADATA: u32 = 5;

    fn read(
        start: Reader<'a>,
        symbols: &'s [&'a str],
        broken: &'s [(usize, DecodeError)],
    ) -> Result<Self, DecodeError> {
        let mut series = Self {
            reader: start,
            symbols,
            broken,
            references: References::none(start),
            samples: Region::default(),
            histograms: Region::default(),
            exemplars: Region::default(),
            metadata: None,
        };
        let mut references = Region::default();
        let mut reader = start;
        loop {
            let from = reader.at();
            let Some((field, wire_type)) = reader.field()? else { break };
            let (region, of) = match field {
                Self::LABELS_REFS => {
                    reader.skip(field, wire_type)?;
                    references.add(from, reader.at());
                    continue;
                }
                Self::SAMPLES => (&mut series.samples, Message::Sample),
                Self::HISTOGRAMS => (&mut series.histograms, Message::Histogram),
                Self::EXEMPLARS => (&mut series.exemplars, Message::Exemplar),
                Self::METADATA => {
                    let inner = reader.message(field, wire_type, Message::Metadata)?;
                    series.metadata = Some(Metadata::read(inner, symbols)?);
                    continue;
                }
                _ => {
                    reader.skip(field, wire_type)?;
                    continue;
                }
            };
            pass_message(&mut reader, region, from, (field, wire_type), of)?;
        }
        series.references = References::checked(start, references, symbols.len())?;
        Ok(series)
    }

    /// The first of the labels' texts that is not UTF-8; [`Self::labels`] has it empty.
    #[must_use]
    pub fn broken_label(&self) -> Option<DecodeError> {
        if self.broken.is_empty() {
            return None;
        }
        let broken = |reference: u64| {
            let at = self.broken.binary_search_by_key(&reference, |(symbol, _)| *symbol as u64).ok()?;
            self.broken.get(at).map(|(_, error)| *error)
        };
        self.references.clone().filter_map(Result::ok).find_map(broken)
    }

    /// The pairs of name and value as they were sent; no rule is checked.
    #[must_use]
    pub fn labels(&self) -> LabelPairs<'a, 's> {
        LabelPairs { references: self.references.clone(), symbols: self.symbols }
    }

    /// Appends the labels to `out` as remote write 1.0 spells them: the same bytes that the label fields of
    /// [`super::v1::Series::label_bytes`] have.
    pub fn write_label_bytes(&self, out: &mut Vec<u8>) {
        for (name, value) in self.labels() {
            super::encode::push_label(out, name, value);
        }
    }

    /// The labels as a set, checked.
    ///
    /// # Errors
    /// When a label is not UTF-8, or the labels break a rule.
    pub fn to_labels(&self, limits: &LabelLimits) -> Result<Labels, LabelsError> {
        if let Some(error) = self.broken_label() {
            return Err(error.into());
        }
        checked_labels(self.labels().map(Ok), limits)
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
    pub fn exemplars(&self) -> impl Iterator<Item = Result<Exemplar, LabelsError>> + use<'a, 's> {
        let symbols = self.symbols;
        self.exemplars
            .elements(&self.reader, Self::EXEMPLARS, Message::Exemplar)
            .map(move |reader| read_exemplar(reader?, symbols))
    }

    /// How many exemplars there are.
    #[must_use]
    pub const fn exemplar_count(&self) -> usize {
        self.exemplars.count()
    }

    /// The metadata of the series' metric family, if it was sent and says anything.
    #[must_use]
    pub fn metadata(&self) -> Option<Metadata<'a>> {
        self.metadata.filter(|m| m.kind != MetricKind::Unknown || !m.help.is_empty() || !m.unit.is_empty())
    }
}

fn read_exemplar(start: Reader<'_>, symbols: &[&str]) -> Result<Exemplar, LabelsError> {
    let mut reader = start;
    let (mut references, mut value, mut timestamp) = (Region::default(), 0.0, 0);
    loop {
        let from = reader.at();
        let Some((field, wire_type)) = reader.field()? else { break };
        match field {
            1 => {
                reader.skip(field, wire_type)?;
                references.add(from, reader.at());
            }
            2 => value = reader.double(field, wire_type)?,
            3 => timestamp = reader.number(field, wire_type)? as i64,
            _ => reader.skip(field, wire_type)?,
        }
    }
    let references = References::checked(start, references, symbols.len())?;
    let labels = exemplar_labels(LabelPairs { references, symbols }.map(Ok::<_, LabelsError>))?;
    Ok(Exemplar { labels, value, timestamp })
}

/// Pairs of label name and value in the order they were sent.
#[derive(Debug, Clone)]
pub struct LabelPairs<'a, 's> {
    references: References<'a>,
    symbols: &'s [&'a str],
}

impl<'a> Iterator for LabelPairs<'a, '_> {
    type Item = (&'a str, &'a str);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let mut symbol = || self.symbols.get(usize::try_from(self.references.next()?.ok()?).ok()?).copied();
        Some((symbol()?, symbol()?))
    }
}

/// The references of a field that is nearly always one packed list, but may be several, or single numbers.
#[derive(Debug, Clone)]
struct References<'a> {
    list: PackedVarints<'a>,
    rest: Reader<'a>,
}

impl<'a> References<'a> {
    const FIELD: u32 = 1;

    fn none(reader: Reader<'a>) -> Self {
        let rest = reader.part(0, 0);
        Self { list: PackedVarints::none(rest), rest }
    }

    fn checked(reader: Reader<'a>, region: Region, symbols: usize) -> Result<Self, DecodeError> {
        let references = Self { rest: region.part(&reader), ..Self::none(reader) };
        let mut count = 0;
        for reference in references.clone() {
            let reference = reference?;
            if reference >= symbols as u64 {
                return Err(reader.error(Problem::Reference { reference, symbols }));
            }
            count += 1;
        }
        if count % 2 == 1 {
            return Err(reader.error(Problem::OddReferences(count)));
        }
        Ok(references)
    }

    #[cold]
    fn next_list(&mut self) -> Result<Option<PackedVarints<'a>>, DecodeError> {
        while let Some((field, wire_type)) = self.rest.field()? {
            if field == Self::FIELD {
                return self.rest.packed_varints(field, wire_type).map(Some);
            }
            self.rest.skip(field, wire_type)?;
        }
        Ok(None)
    }
}

impl Iterator for References<'_> {
    type Item = Result<u64, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(reference) = self.list.next() {
                return Some(reference);
            }
            match self.next_list() {
                Ok(Some(list)) => self.list = list,
                Ok(None) => return None,
                Err(error) => {
                    self.rest = self.rest.part(0, 0);
                    return Some(Err(error));
                }
            }
        }
    }
}

/// The metadata of a series' metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata<'a> {
    /// Its type; a number that is not known counts as unknown.
    pub kind: MetricKind,
    /// Its help text; may be empty.
    pub help: &'a str,
    /// Its unit; may be empty.
    pub unit: &'a str,
}

impl<'a> Metadata<'a> {
    fn read(mut reader: Reader<'a>, symbols: &[&'a str]) -> Result<Self, DecodeError> {
        let mut metadata = Self { kind: MetricKind::Unknown, help: "", unit: "" };
        while let Some((field, wire_type)) = reader.field()? {
            match field {
                1 => metadata.kind = MetricKind::from_number(reader.number(field, wire_type)?).unwrap_or_default(),
                3 => metadata.help = Self::symbol(&mut reader, field, wire_type, symbols)?,
                4 => metadata.unit = Self::symbol(&mut reader, field, wire_type, symbols)?,
                _ => reader.skip(field, wire_type)?,
            }
        }
        Ok(metadata)
    }

    fn symbol(
        reader: &mut Reader<'a>,
        field: u32,
        wire_type: WireType,
        symbols: &[&'a str],
    ) -> Result<&'a str, DecodeError> {
        let reference = reader.number(field, wire_type)?;
        match usize::try_from(reference).ok().and_then(|i| symbols.get(i)) {
            Some(symbol) => Ok(symbol),
            None => Err(reader.error(Problem::Reference { reference, symbols: symbols.len() })),
        }
    }

    /// The same with owned texts.
    #[must_use]
    pub fn to_metadata(&self) -> MetricMetadata {
        MetricMetadata { kind: self.kind, help: self.help.to_owned(), unit: self.unit.to_owned() }
    }
}
