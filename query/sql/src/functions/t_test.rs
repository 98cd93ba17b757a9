//! The two-sample t-test: statistic and p-value, as `scipy.stats.ttest_ind` computes them.

use std::fmt::Debug;

use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::{DataType, Float64Type},
    row::{RowConverter, SortField},
};
use datafusion::{
    common::{Result, ScalarValue, exec_err, plan_err},
    logical_expr::{AggregateUDF, function::AccumulatorArgs},
};

use super::{
    aggregate::{AggregateCall, Kernel, Saved, constant},
    json::Json,
    scalar::{Arg, Shape, with},
};

const SHAPES: &[Shape] = &[with(&[Arg::Float, Arg::Any], &[Arg::Text])];

const DOCUMENT: u8 = 0;
const STATISTIC: u8 = 1;
const P_VALUE: u8 = 2;

/// The aggregates of this family: `(sample, group [, 'student' | 'welch'])`. The group with the lesser value (false, 'a')
/// comes first: the statistic is positive when its mean is the greater one.
pub(super) fn aggregates() -> Vec<AggregateUDF> {
    let float = |_: &[DataType]| Ok(DataType::Float64);
    let document = AggregateCall {
        aliases: &["ttest"],
        pg_type: Some("jsonb"),
        ..AggregateCall::new("ttest_ind", SHAPES, |_| Ok(DataType::Utf8View))
    };
    vec![
        document.udaf::<TTest<DOCUMENT>>(),
        AggregateCall::new("ttest_statistic", SHAPES, float).udaf::<TTest<STATISTIC>>(),
        AggregateCall { aliases: &["ttest_pvalue"], ..AggregateCall::new("ttest_p_value", SHAPES, float) }
            .udaf::<TTest<P_VALUE>>(),
    ]
}

/// Count, mean and sum of squared differences from the mean of one group's sample.
#[derive(Debug, Clone, Default)]
struct Sample {
    /// The group's value, as bytes that sort.
    group: Vec<u8>,
    count: f64,
    mean: f64,
    squares: f64,
}

impl Sample {
    fn insert(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }

    fn merge(&mut self, other: &Self) {
        let count = self.count + other.count;
        if count > 0.0 {
            let delta = other.mean - self.mean;
            self.squares += other.squares + delta * delta * self.count * other.count / count;
            self.mean += delta * other.count / count;
            self.count = count;
        }
    }
}

#[derive(Debug)]
struct TTest<const RESULT: u8> {
    welch: bool,
    groups: RowConverter,
}

/// The sample of a group, made when there is none yet.
fn sample<'a>(samples: &'a mut Vec<Sample>, group: &[u8]) -> Result<&'a mut Sample> {
    let at = match samples.iter().position(|s| s.group == group) {
        Some(at) => at,
        None if samples.len() < 2 => {
            samples.push(Sample { group: group.to_vec(), ..Sample::default() });
            samples.len() - 1
        }
        None => return exec_err!("a t-test compares two groups, and there are more: filter to two"),
    };
    Ok(&mut samples[at])
}

impl<const RESULT: u8> Kernel for TTest<RESULT> {
    type State = Vec<Sample>;

    fn make(args: &AccumulatorArgs<'_>) -> Result<Self> {
        let welch = match args.exprs.len() {
            2 => false,
            _ => match constant(args, 2, "kind")? {
                ScalarValue::Utf8View(Some(kind)) if kind.eq_ignore_ascii_case("welch") => true,
                ScalarValue::Utf8View(Some(kind)) if kind.eq_ignore_ascii_case("student") => false,
                other => return plan_err!("a t-test is 'student' or 'welch', not {other}"),
            },
        };
        let of = args.expr_fields[1].data_type();
        match RowConverter::new(vec![SortField::new(of.clone())]) {
            Ok(groups) => Ok(Self { welch, groups }),
            Err(_) => plan_err!("{} cannot tell groups apart by values of type {of}", args.name),
        }
    }

    fn empty(&self) -> Vec<Sample> {
        Vec::new()
    }

    fn update(&self, values: &[ArrayRef], rows: &[(usize, usize)], states: &mut [Vec<Sample>]) -> Result<usize> {
        let Some(samples) = values[0].as_primitive_opt::<Float64Type>() else {
            return exec_err!("a t-test is of numbers");
        };
        let groups = self.groups.convert_columns(&values[1..2])?;
        let nulls = values[1].logical_nulls();
        for &(row, group) in rows {
            if samples.is_valid(row) && nulls.as_ref().is_none_or(|n| n.is_valid(row)) {
                sample(&mut states[group], groups.row(row).as_ref())?.insert(samples.value(row));
            }
        }
        Ok(0)
    }

    fn merge(&self, state: &mut Vec<Sample>, saved: &[u8]) -> Result<usize> {
        let mut rest = Saved(saved);
        while !rest.is_empty() {
            let length = rest.u32()? as usize;
            let group = rest.bytes(length)?.to_vec();
            let (count, mean, squares) = (rest.f64()?, rest.f64()?, rest.f64()?);
            let other = Sample { group, count, mean, squares };
            sample(state, &other.group)?.merge(&other);
        }
        Ok(saved.len())
    }

    fn save(&self, state: &Vec<Sample>, out: &mut Vec<u8>) {
        for sample in state {
            out.extend((sample.group.len() as u32).to_le_bytes());
            out.extend(&sample.group);
            for value in [sample.count, sample.mean, sample.squares] {
                out.extend(value.to_bits().to_le_bytes());
            }
        }
    }

    fn finish(&self, state: &mut Vec<Sample>) -> Result<ScalarValue> {
        state.sort_by(|a, b| a.group.cmp(&b.group));
        let test = match state.as_slice() {
            [a, b] => compare(a, b, self.welch),
            _ => None,
        };
        Ok(match RESULT {
            STATISTIC => ScalarValue::Float64(test.map(|t| t.statistic)),
            P_VALUE => ScalarValue::Float64(test.map(|t| t.p_value)),
            _ => ScalarValue::Utf8View(test.map(|t| t.document())),
        })
    }
}

#[derive(Debug, Clone, Copy)]
struct Compared {
    statistic: f64,
    p_value: f64,
    freedom: f64,
    counts: [f64; 2],
    means: [f64; 2],
}

impl Compared {
    fn document(&self) -> String {
        let [n1, n2] = self.counts.map(Json::from_float);
        let [mean1, mean2] = self.means.map(Json::from_float);
        let fields = [
            ("statistic", Json::from_float(self.statistic)),
            ("p_value", Json::from_float(self.p_value)),
            ("df", Json::from_float(self.freedom)),
            ("n1", n1),
            ("n2", n2),
            ("mean1", mean1),
            ("mean2", mean2),
        ];
        Json::Object(fields.into_iter().map(|(key, value)| (key.into(), value)).collect()).to_string()
    }
}

/// The test, or none when a sample is too small for a variance.
fn compare(a: &Sample, b: &Sample, welch: bool) -> Option<Compared> {
    let freedom = a.count + b.count - 2.0;
    if a.count < 1.0 || b.count < 1.0 || freedom <= 0.0 || (welch && (a.count < 2.0 || b.count < 2.0)) {
        return None;
    }
    let (freedom, error) = if welch {
        let (va, vb) = (a.squares / (a.count - 1.0) / a.count, b.squares / (b.count - 1.0) / b.count);
        let freedom = (va + vb).powi(2) / (va * va / (a.count - 1.0) + vb * vb / (b.count - 1.0));
        (freedom, (va + vb).sqrt())
    } else {
        let pooled = (a.squares + b.squares) / freedom;
        (freedom, (pooled * (1.0 / a.count + 1.0 / b.count)).sqrt())
    };
    let statistic = (a.mean - b.mean) / error;
    Some(Compared {
        statistic,
        p_value: two_sided(statistic, freedom),
        freedom,
        counts: [a.count, b.count],
        means: [a.mean, b.mean],
    })
}

/// The probability that a value of Student's distribution is at least as far from zero as `t`.
fn two_sided(t: f64, freedom: f64) -> f64 {
    if t.is_nan() || freedom.is_nan() {
        return f64::NAN;
    }
    if t.is_infinite() {
        return 0.0;
    }
    let square = t * t / freedom;
    // I_x(freedom/2, 1/2) with x = 1/(1 + square). Its logarithm and 1 - x are taken without cancellation.
    let (a, log_x, log_rest) = (freedom / 2.0, -square.ln_1p(), (square / (1.0 + square)).ln());
    let (x, rest) = (1.0 / (1.0 + square), square / (1.0 + square));
    if rest == 0.0 {
        return 1.0;
    }
    let front = (a * log_x + 0.5 * log_rest + log_gamma_ratio(a) - 0.5 * std::f64::consts::PI.ln()).exp();
    if x < (a + 1.0) / (a + 2.5) {
        front * beta_fraction(a, 0.5, x) / a
    } else {
        1.0 - front * beta_fraction(0.5, a, rest) / 0.5
    }
}

/// The logarithm of Gamma(a + 1/2) / Gamma(a), for a > 0.
fn log_gamma_ratio(mut a: f64) -> f64 {
    // The recurrence lifts a to where the asymptotic series is exact to the last digits.
    let mut lifted = 0.0;
    while a < 30.0 {
        lifted += (a / (a + 0.5)).ln();
        a += 1.0;
    }
    let inverse = 1.0 / a;
    let square = inverse * inverse;
    let series = inverse * (-1.0 / 8.0 + square * (1.0 / 192.0 + square * (-1.0 / 640.0 + square * 17.0 / 14336.0)));
    lifted + 0.5 * a.ln() + series
}

/// The continued fraction of the incomplete beta function (modified Lentz's method).
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    const STEPS: u32 = 100_000;
    let guard = |v: f64| if v.abs() < TINY { TINY } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / guard(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for step in 1..STEPS {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / guard(1.0 + even * d);
        c = guard(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / guard(1.0 + odd * d);
        c = guard(1.0 + odd / c);
        let change = d * c;
        fraction *= change;
        if (change - 1.0).abs() < 1e-16 {
            break;
        }
    }
    fraction
}
