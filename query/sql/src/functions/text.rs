//! Functions over text, arrays and numbers that DataFusion lacks or has otherwise than PostgreSQL.

use std::{borrow::Cow, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, Int32Array, Int32Builder, Int64Array, ListBuilder, StringViewArray, StringViewBuilder,
    },
    datatypes::{DataType, Field},
    util::display::{ArrayFormatter, FormatOptions},
};
use datafusion::{
    common::{Result, exec_err},
    logical_expr::ScalarUDF,
};
use regex::{Captures, Regex, RegexBuilder};

use super::scalar::{Arg, Call, Scalar, Shape, exactly, many, with};

const ONE: &[Shape] = &[exactly(&[Arg::Text])];
const REGEX: &[Shape] = &[with(&[Arg::Text, Arg::Text], &[Arg::Text])];
const DIMENSION: &[Shape] = &[exactly(&[Arg::Any, Arg::Int])];
const REPLACE: &[Shape] = &[with(&[Arg::Text, Arg::Text, Arg::Text], &[Arg::Text])];

fn text(_: &[DataType]) -> Result<DataType> {
    Ok(DataType::Utf8View)
}

fn list(of: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(of, true)))
}

/// The functions of this family.
pub(super) fn scalars() -> Vec<ScalarUDF> {
    let of = [
        Scalar::new("quote_ident", ONE, text, |call| each(call, quote_ident)),
        Scalar::new("quote_literal", const { &[exactly(&[Arg::Any])] }, text, |call| quoted(call, None)),
        Scalar::new("quote_nullable", const { &[exactly(&[Arg::Any])] }, text, |call| quoted(call, Some("NULL"))),
        Scalar::new("format", const { &[many(&[Arg::Text], Arg::Any)] }, text, format),
        Scalar::new("regexp_replace", REPLACE, text, regexp_replace),
        Scalar::new("regexp_matches_list", REGEX, |_| Ok(list(list(DataType::Utf8View))), regexp_matches),
        Scalar::new("regexp_split_to_array", REGEX, |_| Ok(list(DataType::Utf8View)), regexp_split),
        Scalar::new("array_upper", DIMENSION, |_| Ok(DataType::Int32), |call| bounds(call, |length| length)),
        Scalar::new("array_lower", DIMENSION, |_| Ok(DataType::Int32), |call| bounds(call, |_| 1)),
        Scalar::new("generate_subscripts_list", DIMENSION, |_| Ok(list(DataType::Int32)), subscripts),
        Scalar::new(
            "width_bucket",
            const { &[exactly(&[Arg::Float, Arg::Float, Arg::Float, Arg::Int])] },
            |_| Ok(DataType::Int32),
            width_bucket,
        ),
        Scalar::new(
            "div",
            const { &[exactly(&[Arg::Int, Arg::Int])] },
            |_| Ok(DataType::Int64),
            |call| divided(call, i64::checked_div),
        ),
    ];
    of.into_iter().map(Scalar::udf).collect()
}

fn each(call: &Call<'_>, of: impl Fn(&str) -> Cow<'_, str>) -> Result<ArrayRef> {
    let column = call.text(0)?;
    let mut builder = StringViewBuilder::with_capacity(column.len());
    column.iter().for_each(|text| builder.append_option(text.map(&of)));
    Ok(Arc::new(builder.finish()))
}

fn quote_ident(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_name = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') && text.chars().all(plain);
    // Words of SQL's own are names in quotes only.
    if is_name && !crate::catalog::is_reserved(text) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")))
}

fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

fn quoted(call: &Call<'_>, null: Option<&str>) -> Result<ArrayRef> {
    let array = call.array(0)?;
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array.as_ref(), &options)?;
    let row = |row: usize| {
        if array.is_null(row) || array.data_type().is_null() {
            return Ok(null.map(str::to_owned));
        }
        Ok(Some(quote_literal(&formatter.value(row).try_to_string()?)))
    };
    Ok(Arc::new((0..call.rows).map(row).collect::<Result<StringViewArray>>()?))
}

/// `format('%s %I %L', ...)` with positions (`%1$s`); widths are refused.
fn format(call: &Call<'_>) -> Result<ArrayRef> {
    let patterns = call.text(0)?;
    let args: Vec<ArrayRef> = (1..call.len()).map(|at| call.array(at)).collect::<Result<_>>()?;
    let row = |row: usize| {
        if patterns.is_null(row) {
            return Ok(None);
        }
        let mut out = String::new();
        let mut rest = patterns.value(row);
        let mut next = 0;
        while let Some(at) = rest.find('%') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            if let Some(after) = rest[digits..].strip_prefix('$')
                && let Ok(position @ 1..) = rest[..digits].parse::<usize>()
            {
                (next, rest) = (position - 1, after);
            }
            let Some(kind) = rest.chars().next() else { return exec_err!("unterminated format() type specifier") };
            rest = &rest[kind.len_utf8()..];
            if kind == '%' {
                out.push('%');
                continue;
            }
            let Some(arg) = args.get(next) else { return exec_err!("too few arguments for format()") };
            next += 1;
            let null = arg.is_null(row) || arg.data_type().is_null();
            let options = FormatOptions::default();
            let value = ArrayFormatter::try_new(arg.as_ref(), &options)?.value(row).try_to_string()?;
            match kind {
                's' => out.push_str(if null { "" } else { &value }),
                'I' if null => return exec_err!("null values cannot be formatted as an SQL identifier"),
                'I' => out.push_str(&quote_ident(&value)),
                'L' if null => out.push_str("NULL"),
                'L' => out.push_str(&quote_literal(&value)),
                other => return exec_err!("unrecognized format() type specifier \"{other}\"; there are s, I, L and %"),
            }
        }
        out.push_str(rest);
        Ok(Some(out))
    };
    Ok(Arc::new((0..call.rows).map(row).collect::<Result<StringViewArray>>()?))
}

/// A regular expression with flags; whether it is for all matches.
fn regex(pattern: &str, flags: &str) -> Result<(Regex, bool)> {
    let mut builder = RegexBuilder::new(pattern);
    builder.size_limit(1 << 20);
    let mut all = false;
    for flag in flags.chars() {
        match flag {
            'g' => all = true,
            'i' => drop(builder.case_insensitive(true)),
            'c' => drop(builder.case_insensitive(false)),
            'x' => drop(builder.ignore_whitespace(true)),
            'n' | 'm' => drop(builder.multi_line(true)),
            's' => drop(builder.dot_matches_new_line(true)),
            other => return exec_err!("invalid regular expression option: \"{other}\""),
        }
    }
    match builder.build() {
        Ok(regex) => Ok((regex, all)),
        Err(error) => exec_err!("invalid regular expression: {error}"),
    }
}

/// Calls `of` for each row with its text and the regular expression, which is made anew only when it changes.
fn matching(
    call: &Call<'_>,
    flags_at: usize,
    mut of: impl FnMut(usize, Option<(&str, &Regex, bool)>) -> Result<()>,
) -> Result<()> {
    let (texts, patterns) = (call.text(0)?, call.text(1)?);
    let flags = if call.len() > flags_at { Some(call.text(flags_at)?) } else { None };
    let mut known: Option<(&str, &str, Regex, bool)> = None;
    for row in 0..call.rows {
        let flag = flags.as_ref().map_or(Some(""), |f| f.is_valid(row).then(|| f.value(row)));
        let pattern = patterns.is_valid(row).then(|| patterns.value(row));
        let Some(((text, pattern), flag)) = texts.is_valid(row).then(|| texts.value(row)).zip(pattern).zip(flag) else {
            of(row, None)?;
            continue;
        };
        if known.as_ref().is_none_or(|k| (k.0, k.1) != (pattern, flag)) {
            let (made, all) = regex(pattern, flag)?;
            known = Some((pattern, flag, made, all));
        }
        if let Some((_, _, regex, all)) = &known {
            of(row, Some((text, regex, *all)))?;
        }
    }
    Ok(())
}

/// Writes what a replacement says: `\1` to `\9` are groups, `\&` is the match, `\\` a backslash.
fn replacement(captures: &Captures<'_>, with: &str, out: &mut String) {
    let mut chars = with.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (c, false) => out.push(c),
            (_, true) => match chars.next() {
                Some('&') => out.push_str(&captures[0]),
                Some(digit @ '1'..='9') => {
                    let group = captures.get(digit as usize - '0' as usize);
                    out.push_str(group.map_or("", |g| g.as_str()));
                }
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
        }
    }
}

fn regexp_replace(call: &Call<'_>) -> Result<ArrayRef> {
    let with = call.text(2)?;
    let mut builder = StringViewBuilder::with_capacity(call.rows);
    matching(call, 3, |row, found| {
        let Some((text, regex, all)) = found.filter(|_| with.is_valid(row)) else {
            builder.append_null();
            return Ok(());
        };
        let limit = usize::from(!all);
        let replaced = regex.replacen(text, limit, |captures: &Captures<'_>| {
            let mut out = String::new();
            replacement(captures, with.value(row), &mut out);
            out
        });
        builder.append_value(replaced);
        Ok(())
    })?;
    Ok(Arc::new(builder.finish()))
}

/// For each match the texts of its groups, or of the match when there are none.
fn regexp_matches(call: &Call<'_>) -> Result<ArrayRef> {
    let mut builder = ListBuilder::new(ListBuilder::new(StringViewBuilder::new()));
    matching(call, 2, |_, found| {
        let Some((text, regex, all)) = found else {
            builder.append(false);
            return Ok(());
        };
        let matches = regex.captures_iter(text).take(if all { usize::MAX } else { 1 });
        for captures in matches {
            let from = usize::from(captures.len() > 1);
            for group in captures.iter().skip(from) {
                builder.values().values().append_option(group.map(|g| g.as_str()));
            }
            builder.values().append(true);
        }
        builder.append(true);
        Ok(())
    })?;
    Ok(Arc::new(builder.finish()))
}

fn regexp_split(call: &Call<'_>) -> Result<ArrayRef> {
    let mut builder = ListBuilder::new(StringViewBuilder::new());
    matching(call, 2, |_, found| {
        if let Some((text, regex, _)) = found {
            regex.split(text).for_each(|part| builder.values().append_value(part));
        }
        builder.append(found.is_some());
        Ok(())
    })?;
    Ok(Arc::new(builder.finish()))
}

/// The lengths of arrays; none of what is empty or null, or asked for beyond the first dimension.
fn lengths(call: &Call<'_>) -> Result<Vec<Option<i32>>> {
    let (array, dimensions) = (call.array(0)?, call.int(1)?);
    if array.data_type().is_null() {
        return Ok(vec![None; call.rows]);
    }
    let Some(lists) = array.as_list_opt::<i32>() else {
        return exec_err!("{} is of arrays, not of {}", call.name, array.data_type());
    };
    if dimensions.iter().flatten().any(|d| d > 1) {
        return exec_err!("{} of more than one dimension", call.name);
    }
    let length = |row: usize| {
        let length = (lists.is_valid(row) && dimensions.is_valid(row)).then(|| lists.value_length(row));
        length.filter(|&length| length > 0 && dimensions.value(row) == 1)
    };
    Ok((0..call.rows).map(length).collect())
}

fn bounds(call: &Call<'_>, of: impl Fn(i32) -> i32) -> Result<ArrayRef> {
    Ok(Arc::new(lengths(call)?.into_iter().map(|length| length.map(&of)).collect::<Int32Array>()))
}

fn subscripts(call: &Call<'_>) -> Result<ArrayRef> {
    let mut builder = ListBuilder::new(Int32Builder::new());
    for length in lengths(call)? {
        (1..=length.unwrap_or(0)).for_each(|at| builder.values().append_value(at));
        builder.append(true);
    }
    Ok(Arc::new(builder.finish()))
}

fn width_bucket(call: &Call<'_>) -> Result<ArrayRef> {
    let [values, lows, highs] = [call.float(0)?, call.float(1)?, call.float(2)?];
    let counts = call.int(3)?;
    let row = |row: usize| {
        if [&values, &lows, &highs].iter().any(|v| v.is_null(row)) || counts.is_null(row) {
            return Ok(None);
        }
        let (value, low, high, count) = (values.value(row), lows.value(row), highs.value(row), counts.value(row));
        if count <= 0 || count > i64::from(i32::MAX) - 1 {
            return exec_err!("count of width_bucket must be greater than zero");
        }
        if low == high || !low.is_finite() || !high.is_finite() {
            return exec_err!("the bounds of width_bucket must be finite, and not equal");
        }
        let part = (value - low) / (high - low);
        let bucket = if part < 0.0 {
            0
        } else if part >= 1.0 {
            count + 1
        } else {
            (part * count as f64) as i64 + 1
        };
        Ok(Some(bucket as i32))
    };
    Ok(Arc::new((0..call.rows).map(row).collect::<Result<Int32Array>>()?))
}

fn divided(call: &Call<'_>, of: impl Fn(i64, i64) -> Option<i64>) -> Result<ArrayRef> {
    let (left, right) = (call.int(0)?, call.int(1)?);
    let row = |(a, b): (Option<i64>, Option<i64>)| {
        let Some((a, b)) = a.zip(b) else { return Ok(None) };
        match of(a, b) {
            Some(found) => Ok(Some(found)),
            None if b == 0 => exec_err!("division by zero"),
            None => exec_err!("bigint out of range"),
        }
    };
    Ok(Arc::new(left.iter().zip(&right).map(row).collect::<Result<Int64Array>>()?))
}
