//! `/api/v1/query` and `/api/v1/query_range`.

use std::time::{Duration, Instant};

use chronolith_promql::{
    ast::Expr,
    engine::{self, Deadline, ErrorKind, Level, QueryError, QueryOptions, QueryOutput, QueryStatistics},
    parse,
};

use super::{TRUNCATED, observed::Observed, result_json};
use crate::server::{
    json,
    params::duration,
    request::Request,
    respond::{ApiError, ErrorType, Reply, Success},
};

/// Most steps of one range query: a week at 60 s, a year at 1 h.
const MAX_STEPS: i128 = 11_000;
const NANOS_PER_MS: i64 = 1_000_000;

/// When an expression is evaluated, in milliseconds.
#[derive(Debug, Clone, Copy)]
enum Times {
    At(i64),
    Range { start: i64, end: i64, step: i64 },
}

/// Evaluates an expression at one time.
pub(crate) fn instant(request: &Request<'_>) -> Result<Reply, ApiError> {
    let limit = request.params.limit()?;
    let time = request.params.time_or("time", request.app.engine.options().clock.now_ms())?;
    answer(request, Times::At(time), limit)
}

/// Evaluates an expression at every step of a range.
pub(crate) fn range(request: &Request<'_>) -> Result<Reply, ApiError> {
    let params = request.params;
    let limit = params.limit()?;
    let (start, end) = (params.time("start")?, params.time("end")?);
    if end < start {
        return Err(ApiError::invalid("end", "end timestamp must not be before start time"));
    }
    let step = params.duration("step")?;
    // Times are counted in milliseconds, so a shorter step would be none.
    if step < NANOS_PER_MS {
        let reason = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(ApiError::invalid("step", reason));
    }
    if (i128::from(end) - i128::from(start)) * i128::from(NANOS_PER_MS) / i128::from(step) > MAX_STEPS {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    answer(request, Times::Range { start, end, step: step / NANOS_PER_MS }, limit)
}

fn answer(request: &Request<'_>, times: Times, limit: Option<usize>) -> Result<Reply, ApiError> {
    let deadline = request.deadline()?;
    let options = options(request, deadline)?;
    let query = request.params.get("query");
    let began = Instant::now();
    let expr = parse(query).map_err(|e| ApiError::invalid("query", e))?;
    let prepared = began.elapsed();
    let snapshot = request.app.engine.snapshot();
    let source = Observed::new(&snapshot);
    let output = evaluate(&source, &expr, times, &options).map_err(|error| api_error(&error))?;
    let evaluated = began.elapsed();

    let mut warnings = source.range_read().map_or_else(Vec::new, |range| snapshot.warnings(range));
    let mut infos = Vec::new();
    for annotation in output.annotations.iter() {
        match annotation.level {
            Level::Warning => warnings.push(annotation.text(query)),
            Level::Info => infos.push(annotation.text(query)),
        }
    }
    let mut success = Success::new();
    success.data().push(b'{');
    if result_json::write(success.data(), &output.value, limit) {
        warnings.push(TRUNCATED.to_owned());
    }
    let wanted = request.params.get("stats");
    if !wanted.is_empty() {
        if !matches!(wanted, "true" | "all") {
            warnings.push(format!(
                "value {wanted:?} for parameter \"stats\" is deprecated and will be rejected in the next major release, \
                 use \"true\" or \"all\""
            ));
        }
        let queued = began.duration_since(request.received);
        stats(success.data(), &output.statistics, prepared, evaluated, queued);
    }
    success.data().push(b'}');
    Ok(success.finish_with(&warnings, &infos))
}

fn options(request: &Request<'_>, deadline: Instant) -> Result<QueryOptions, ApiError> {
    let config = &request.app.config;
    let lookback = match request.params.get("lookback_delta") {
        "" => None,
        text => {
            let nanos = duration(text)
                .map_err(|e| ApiError::bad_data(format!("error parsing lookback delta duration: {e}")))?;
            // As in Prometheus, what is not positive stands for the configured value.
            (nanos / NANOS_PER_MS > 0).then_some(nanos / NANOS_PER_MS)
        }
    };
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(ApiError::new(ErrorType::Timeout, "query timed out in query queue"));
    }
    Ok(QueryOptions {
        lookback_ms: lookback.unwrap_or_else(|| i64::try_from(config.lookback.as_millis()).unwrap_or(i64::MAX)),
        max_samples: config.max_samples,
        delayed_name_removal: config.features.delayed_name_removal,
        type_and_unit_labels: config.features.type_and_unit_labels,
        use_start_timestamps: config.features.use_start_timestamps,
        deadline: Some(Deadline::after(std::sync::Arc::clone(&request.app.clock), left)),
        cancel: Some(std::sync::Arc::clone(request.cancel)),
        ..QueryOptions::default()
    })
}

fn evaluate(
    source: &Observed<'_>,
    expr: &Expr,
    times: Times,
    options: &QueryOptions,
) -> Result<QueryOutput, QueryError> {
    match times {
        Times::At(time) => engine::instant(source, expr, time, options),
        Times::Range { start, end, step } => engine::range(source, expr, start, end, step, options),
    }
}

fn api_error(error: &QueryError) -> ApiError {
    let kind = match error.kind() {
        ErrorKind::Execution => ErrorType::Execution,
        ErrorKind::Timeout => ErrorType::Timeout,
        ErrorKind::Canceled => ErrorType::Canceled,
        ErrorKind::Internal => ErrorType::Internal,
        ErrorKind::BadData => return ApiError::invalid("query", error),
    };
    ApiError::new(kind, error.to_string())
}

/// Appends `,"stats":{...}` with Prometheus' names.
fn stats(out: &mut Vec<u8>, statistics: &QueryStatistics, prepared: Duration, evaluated: Duration, queued: Duration) {
    let inner = evaluated.saturating_sub(prepared);
    let timings = [
        ("evalTotalTime", evaluated),
        ("resultSortTime", Duration::ZERO),
        ("queryPreparationTime", prepared),
        ("innerEvalTime", inner),
        ("execQueueTime", queued),
        ("execTotalTime", queued + evaluated),
    ];
    out.extend_from_slice(br#","stats":{"timings":"#);
    json::object(out, timings, |out, time| json::number(out, time.as_secs_f64()));
    let samples = [
        ("totalQueryableSamples", statistics.samples_read),
        ("samplesRead", statistics.samples_read),
        ("peakSamples", statistics.peak_samples as u64),
    ];
    out.extend_from_slice(br#","samples":"#);
    json::object(out, samples, json::unsigned);
    out.push(b'}');
}
