//! JSON operators and the functions that read JSON.

use std::{borrow::Cow, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array, ListBuilder, StringViewArray, StringViewBuilder},
    datatypes::{DataType, Field, Int64Type},
};
use datafusion::{
    common::{Result, exec_err},
    logical_expr::ScalarUDF,
    sql::sqlparser::ast::BinaryOperator,
};

use super::{
    super::scalar::{Arg, Call, Scalar, Shape, exactly, many},
    canonical::{self, written},
    scan::{self, Step},
    value::Json,
};
use crate::error::SqlError;

const GET: &[Shape] = &[exactly(&[Arg::Text, Arg::Text]), exactly(&[Arg::Text, Arg::Int])];
const PATH: &[Shape] = &[exactly(&[Arg::Text, Arg::Texts]), exactly(&[Arg::Text, Arg::Text])];
const STEPS: &[Shape] = &[many(&[Arg::Text], Arg::Text)];
const TWO: &[Shape] = &[exactly(&[Arg::Text, Arg::Text])];
const KEYS: &[Shape] = &[exactly(&[Arg::Text, Arg::Texts]), exactly(&[Arg::Text, Arg::Text])];
const ONE: &[Shape] = &[exactly(&[Arg::Text])];

fn text(_: &[DataType]) -> Result<DataType> {
    Ok(DataType::Utf8View)
}

fn boolean(_: &[DataType]) -> Result<DataType> {
    Ok(DataType::Boolean)
}

fn list(of: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(of, true)))
}

/// The function that an operator calls.
pub(in super::super) fn operator(of: &BinaryOperator) -> Option<ScalarUDF> {
    let function = match of {
        BinaryOperator::Arrow => get(),
        BinaryOperator::LongArrow => get_text(),
        BinaryOperator::HashArrow => path(),
        BinaryOperator::HashLongArrow => path_text(),
        BinaryOperator::AtArrow => contains(),
        BinaryOperator::ArrowAt => contained(),
        BinaryOperator::Question => exists(),
        BinaryOperator::QuestionPipe => exists_any(),
        BinaryOperator::QuestionAnd => exists_all(),
        BinaryOperator::HashMinus => delete_path(),
        BinaryOperator::Minus => delete(),
        BinaryOperator::StringConcat => concat(),
        _ => return None,
    };
    Some(function.udf())
}

/// The functions of this family.
pub(in super::super) fn scalars() -> Vec<ScalarUDF> {
    let of = [
        get(),
        get_text(),
        path(),
        path_text(),
        contains(),
        contained(),
        exists(),
        exists_any(),
        exists_all(),
        delete(),
        delete_path(),
        concat(),
        jsonb_in(),
        Scalar::new("json_in", ONE, text, |call| {
            texts(call, |t| Ok(Some(valid(scan::check(t).map(|_| t))?.to_owned().into())))
        })
        .typed("json"),
        Scalar::new("jsonb_extract_path", STEPS, text, |call| along(call, false))
            .alias(&["json_extract_path"])
            .typed("jsonb"),
        Scalar::new("jsonb_extract_path_text", STEPS, text, |call| along(call, true))
            .alias(&["json_extract_path_text"]),
        Scalar::new("jsonb_typeof", ONE, text, |call| texts(call, |t| Ok(Some(scan::parse(t)?.type_name().into()))))
            .alias(&["json_typeof"]),
        Scalar::new("jsonb_array_length", ONE, |_| Ok(DataType::Int32), array_length).alias(&["json_array_length"]),
        Scalar::new("jsonb_pretty", ONE, text, |call| {
            texts(call, |text| {
                let mut out = String::new();
                scan::parse(text)?.pretty(&mut out, 0);
                Ok(Some(out.into()))
            })
        }),
        Scalar::new("jsonb_strip_nulls", ONE, text, |call| {
            texts(call, |t| Ok(Some(written(strip_nulls(scan::parse(t)?)).into())))
        })
        .alias(&["json_strip_nulls"])
        .typed("jsonb"),
        Scalar::new("json_elements_list", ONE, |_| Ok(list(DataType::Utf8View)), |call| elements(call, false)),
        Scalar::new("json_elements_text_list", ONE, |_| Ok(list(DataType::Utf8View)), |call| elements(call, true)),
        Scalar::new("json_values_list", ONE, |_| Ok(list(DataType::Utf8View)), |call| values(call, false)),
        Scalar::new("json_values_text_list", ONE, |_| Ok(list(DataType::Utf8View)), |call| values(call, true)),
        Scalar::new("json_keys_list", ONE, |_| Ok(list(DataType::Utf8View)), keys),
    ];
    of.into_iter().map(Scalar::udf).collect()
}

/// What a cast to jsonb calls.
pub(in super::super) fn jsonb_in() -> Scalar {
    Scalar::new("jsonb_in", ONE, text, |call| texts(call, |t| Ok(Some(valid(canonical::jsonb(t))?.into()))))
        .typed("jsonb")
}

/// What a cast read, or PostgreSQL's error for what is no JSON.
fn valid<T>(read: Result<T>) -> Result<T> {
    read.map_err(|e| {
        SqlError::new(b"22P02", "invalid input syntax for type json").with_detail(e.message().into_owned()).into()
    })
}

fn get() -> Scalar {
    Scalar::new("json_get", GET, text, |call| get_each(call, false)).typed("jsonb")
}

fn get_text() -> Scalar {
    Scalar::new("json_get_text", GET, text, |call| get_each(call, true))
}

fn path() -> Scalar {
    Scalar::new("json_path", PATH, text, |call| path_each(call, false)).typed("jsonb")
}

fn path_text() -> Scalar {
    Scalar::new("json_path_text", PATH, text, |call| path_each(call, true))
}

fn contains() -> Scalar {
    Scalar::new("jsonb_contains", TWO, boolean, |call| both(call, |a, b| a.contains(b)))
}

fn contained() -> Scalar {
    Scalar::new("jsonb_contained", TWO, boolean, |call| both(call, |a, b| b.contains(a)))
}

fn exists() -> Scalar {
    Scalar::new("jsonb_exists", TWO, boolean, |call| {
        let (left, right) = (call.text(0)?, call.text(1)?);
        let row = |(json, key): (Option<&str>, Option<&str>)| {
            json.zip(key).map(|(json, key)| Ok(has(&scan::parse(json)?, key))).transpose()
        };
        Ok(Arc::new(left.iter().zip(&right).map(row).collect::<Result<BooleanArray>>()?))
    })
}

fn exists_any() -> Scalar {
    Scalar::new("jsonb_exists_any", KEYS, boolean, |call| {
        exists_keys(call, |json, keys| keys.iter().any(|k| has(json, k)))
    })
}

fn exists_all() -> Scalar {
    Scalar::new("jsonb_exists_all", KEYS, boolean, |call| {
        exists_keys(call, |json, keys| keys.iter().all(|k| has(json, k)))
    })
}

fn delete() -> Scalar {
    Scalar::new("jsonb_delete", GET, text, |call| {
        let index = call.array(1)?;
        let left = call.text(0)?;
        let row = |(row, json): (usize, Option<&str>)| {
            if json.is_none() || index.is_null(row) {
                return Ok(None);
            }
            let json = scan::parse(json.unwrap_or_default())?;
            let removed = match index.as_string_view_opt() {
                Some(keys) => remove(json, Step::Key(keys.value(row))),
                None => remove(json, Step::Index(index.as_primitive::<Int64Type>().value(row))),
            };
            Ok(Some(written(removed)))
        };
        Ok(Arc::new(left.iter().enumerate().map(row).collect::<Result<StringViewArray>>()?))
    })
    .typed("jsonb")
}

fn delete_path() -> Scalar {
    Scalar::new("jsonb_delete_path", PATH, text, |call| {
        let (left, paths) = (call.text(0)?, paths(call, 1)?);
        let row = |(json, path): (Option<&str>, &Option<Vec<String>>)| {
            json.zip(path.as_ref()).map(|(json, path)| Ok(written(remove_path(scan::parse(json)?, path)))).transpose()
        };
        Ok(Arc::new(left.iter().zip(&paths).map(row).collect::<Result<StringViewArray>>()?))
    })
    .typed("jsonb")
}

fn concat() -> Scalar {
    Scalar::new("jsonb_concat", TWO, text, |call| {
        let (left, right) = (call.text(0)?, call.text(1)?);
        let row = |(a, b): (Option<&str>, Option<&str>)| {
            a.zip(b).map(|(a, b)| Ok(written(join(scan::parse(a)?, scan::parse(b)?)))).transpose()
        };
        Ok(Arc::new(left.iter().zip(&right).map(row).collect::<Result<StringViewArray>>()?))
    })
    .typed("jsonb")
}

fn join(a: Json, b: Json) -> Json {
    match (a, b) {
        (Json::Object(mut a), Json::Object(b)) => {
            for (key, value) in b {
                match a.iter_mut().find(|(name, _)| *name == key) {
                    Some(field) => field.1 = value,
                    None => a.push((key, value)),
                }
            }
            Json::Object(a)
        }
        (a, b) => {
            let values = |json| if let Json::Array(values) = json { values } else { vec![json] };
            Json::Array(values(a).into_iter().chain(values(b)).collect())
        }
    }
}

fn strip_nulls(json: Json) -> Json {
    match json {
        Json::Object(fields) => {
            let kept = fields.into_iter().filter(|(_, value)| *value != Json::Null);
            Json::Object(kept.map(|(key, value)| (key, strip_nulls(value))).collect())
        }
        Json::Array(values) => Json::Array(values.into_iter().map(strip_nulls).collect()),
        scalar => scalar,
    }
}

fn remove(json: Json, what: Step<'_>) -> Json {
    match (json, what) {
        (Json::Object(mut fields), Step::Key(key) | Step::Any(key)) => {
            fields.retain(|(name, _)| **name != *key);
            Json::Object(fields)
        }
        (Json::Array(mut values), Step::Key(key)) => {
            values.retain(|v| !matches!(v, Json::String(text) if **text == *key));
            Json::Array(values)
        }
        (Json::Array(mut values), Step::Index(index)) => {
            if let Some(at) = place(values.len(), index) {
                values.remove(at);
            }
            Json::Array(values)
        }
        (Json::Array(values), Step::Any(key)) => match key.parse() {
            Ok(index) => remove(Json::Array(values), Step::Index(index)),
            Err(_) => Json::Array(values),
        },
        (json, _) => json,
    }
}

/// Where an element is that is counted from the start, or when negative from the end.
pub(super) fn place(length: usize, index: i64) -> Option<usize> {
    let at = if index < 0 { i64::try_from(length).ok()?.checked_add(index)? } else { index };
    usize::try_from(at).ok().filter(|&at| at < length)
}

fn remove_path(mut json: Json, path: &[String]) -> Json {
    match path {
        [] => json,
        [last] => remove(json, Step::Any(last)),
        [first, rest @ ..] => {
            let inner = match &mut json {
                Json::Object(fields) => fields.iter_mut().find(|(name, _)| **name == **first).map(|(_, value)| value),
                Json::Array(values) => {
                    let at = first.parse().ok().and_then(|index| place(values.len(), index));
                    at.and_then(|at| values.get_mut(at))
                }
                _ => None,
            };
            if let Some(inner) = inner {
                *inner = remove_path(std::mem::replace(inner, Json::Null), rest);
            }
            json
        }
    }
}

fn has(json: &Json, key: &str) -> bool {
    match json {
        Json::Object(_) => json.field(key).is_some(),
        Json::Array(values) => values.iter().any(|v| matches!(v, Json::String(text) if **text == *key)),
        Json::String(text) => **text == *key,
        _ => false,
    }
}

fn both(call: &Call<'_>, of: impl Fn(&Json, &Json) -> bool) -> Result<ArrayRef> {
    let (left, right) = (call.text(0)?, call.text(1)?);
    // One side is most often a constant, which is parsed once.
    let fixed = |at: usize, column: &StringViewArray| match call.constant(at) {
        Some(_) if !column.is_empty() && column.is_valid(0) => scan::parse(column.value(0)).map(Some),
        _ => Ok(None),
    };
    let (fixed_left, fixed_right) = (fixed(0, &left)?, fixed(1, &right)?);
    let tree = |fixed: &Option<Json>, text: &str| match fixed {
        Some(json) => Ok(Cow::<Json>::Owned(json.clone())),
        None => scan::parse(text).map(Cow::Owned),
    };
    let row = |(a, b): (Option<&str>, Option<&str>)| {
        a.zip(b).map(|(a, b)| Ok(of(&*tree(&fixed_left, a)?, &*tree(&fixed_right, b)?))).transpose()
    };
    Ok(Arc::new(left.iter().zip(&right).map(row).collect::<Result<BooleanArray>>()?))
}

fn exists_keys(call: &Call<'_>, of: impl Fn(&Json, &[String]) -> bool) -> Result<ArrayRef> {
    let (left, keys) = (call.text(0)?, paths(call, 1)?);
    let row = |(json, keys): (Option<&str>, &Option<Vec<String>>)| {
        json.zip(keys.as_ref()).map(|(json, keys)| Ok(of(&scan::parse(json)?, keys))).transpose()
    };
    Ok(Arc::new(left.iter().zip(&keys).map(row).collect::<Result<BooleanArray>>()?))
}

fn texts<'a>(call: &Call<'_>, of: impl Fn(&str) -> Result<Option<Cow<'a, str>>>) -> Result<ArrayRef> {
    let column = call.text(0)?;
    let row = |json: Option<&str>| json.map_or(Ok(None), &of);
    Ok(Arc::new(column.iter().map(row).collect::<Result<StringViewArray>>()?))
}

fn appended(builder: &mut StringViewBuilder, found: Option<&str>, text: bool) -> Result<()> {
    match found {
        Some(raw) if text => builder.append_option(scan::as_text(raw)?),
        other => builder.append_option(other),
    }
    Ok(())
}

fn get_each(call: &Call<'_>, text: bool) -> Result<ArrayRef> {
    let (column, steps) = (call.text(0)?, call.array(1)?);
    let mut builder = StringViewBuilder::with_capacity(column.len());
    for (row, json) in column.iter().enumerate() {
        let found = match json {
            Some(json) if steps.is_valid(row) => {
                let to = match steps.as_string_view_opt() {
                    Some(keys) => Step::Key(keys.value(row)),
                    None => Step::Index(steps.as_primitive::<Int64Type>().value(row)),
                };
                scan::step(json, to)?
            }
            _ => None,
        };
        appended(&mut builder, found, text)?;
    }
    Ok(Arc::new(builder.finish()))
}

/// Paths given as arrays, or as the text of arrays.
pub(super) fn paths(call: &Call<'_>, at: usize) -> Result<Vec<Option<Vec<String>>>> {
    let column = call.array(at)?;
    if let Some(texts) = column.as_string_view_opt() {
        return texts.iter().map(|t| t.map(array_text).transpose()).collect();
    }
    let Some(lists) = column.as_list_opt::<i32>() else { return call.wrong(at) };
    let row =
        |list: Option<ArrayRef>| list.map(|list| list.as_string_view().iter().flatten().map(str::to_owned).collect());
    Ok(lists.iter().map(row).collect())
}

/// The elements of an array written as PostgreSQL writes them: `{a,"b c",0}`.
fn array_text(text: &str) -> Result<Vec<String>> {
    let Some(inner) = text.trim().strip_prefix('{').and_then(|t| t.strip_suffix('}')) else {
        return exec_err!("malformed array literal: \"{text}\"");
    };
    let (mut elements, mut element) = (Vec::new(), String::new());
    let (mut quoted, mut was_quoted, mut chars) = (false, false, inner.chars());
    if inner.trim().is_empty() {
        return Ok(elements);
    }
    while let Some(c) = chars.next() {
        match c {
            '\\' => element.extend(chars.next()),
            '"' => {
                quoted = !quoted;
                was_quoted = true;
            }
            ',' if !quoted => {
                elements.push(if was_quoted { element.clone() } else { element.trim().to_owned() });
                element.clear();
                was_quoted = false;
            }
            c => element.push(c),
        }
    }
    if quoted {
        return exec_err!("malformed array literal: \"{text}\"");
    }
    elements.push(if was_quoted { element } else { element.trim().to_owned() });
    Ok(elements)
}

fn follow<'a, 'p>(json: &'a str, path: impl IntoIterator<Item = &'p str>) -> Result<Option<&'a str>> {
    let mut at = scan::check(json)?;
    for to in path {
        match scan::step(at, Step::Any(to))? {
            Some(next) => at = next,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

fn path_each(call: &Call<'_>, text: bool) -> Result<ArrayRef> {
    let (column, paths) = (call.text(0)?, paths(call, 1)?);
    let mut builder = StringViewBuilder::with_capacity(column.len());
    for (json, path) in column.iter().zip(&paths) {
        let found = match json.zip(path.as_ref()) {
            Some((json, path)) => follow(json, path.iter().map(String::as_str))?,
            None => None,
        };
        appended(&mut builder, found, text)?;
    }
    Ok(Arc::new(builder.finish()))
}

fn along(call: &Call<'_>, text: bool) -> Result<ArrayRef> {
    let column = call.text(0)?;
    let steps: Vec<StringViewArray> = (1..call.len()).map(|at| call.text(at)).collect::<Result<_>>()?;
    let mut builder = StringViewBuilder::with_capacity(column.len());
    for (row, json) in column.iter().enumerate() {
        let path: Option<Vec<&str>> = steps.iter().map(|s| s.is_valid(row).then(|| s.value(row))).collect();
        let found = match json.zip(path) {
            Some((json, path)) => follow(json, path)?,
            None => None,
        };
        appended(&mut builder, found, text)?;
    }
    Ok(Arc::new(builder.finish()))
}

fn array_length(call: &Call<'_>) -> Result<ArrayRef> {
    let row = |json: Option<&str>| {
        json.map(|json| match scan::elements(json)? {
            Some(elements) => Ok(i32::try_from(elements.len()).unwrap_or(i32::MAX)),
            None => exec_err!("cannot get array length of a JSON value that is no array"),
        })
        .transpose()
    };
    Ok(Arc::new(call.text(0)?.iter().map(row).collect::<Result<Int32Array>>()?))
}

fn elements(call: &Call<'_>, text: bool) -> Result<ArrayRef> {
    let mut builder = ListBuilder::new(StringViewBuilder::new());
    for json in &call.text(0)? {
        let Some(json) = json else {
            builder.append(false);
            continue;
        };
        let Some(values) = scan::elements(json)? else {
            return exec_err!("cannot extract elements from a JSON value that is no array");
        };
        for value in values {
            appended(builder.values(), Some(value), text)?;
        }
        builder.append(true);
    }
    Ok(Arc::new(builder.finish()))
}

fn object<'a>(json: &'a str) -> Result<Vec<(Cow<'a, str>, &'a str)>> {
    match scan::fields(json)? {
        Some(fields) => Ok(fields),
        None => exec_err!("cannot take the fields of a JSON value that is no object"),
    }
}

fn keys(call: &Call<'_>) -> Result<ArrayRef> {
    let mut builder = ListBuilder::new(StringViewBuilder::new());
    for json in &call.text(0)? {
        if let Some(json) = json {
            object(json)?.into_iter().for_each(|(key, _)| builder.values().append_value(key));
        }
        builder.append(json.is_some());
    }
    Ok(Arc::new(builder.finish()))
}

fn values(call: &Call<'_>, text: bool) -> Result<ArrayRef> {
    let mut builder = ListBuilder::new(StringViewBuilder::new());
    for json in &call.text(0)? {
        for (_, value) in json.map(object).transpose()?.unwrap_or_default() {
            appended(builder.values(), Some(value), text)?;
        }
        builder.append(json.is_some());
    }
    Ok(Arc::new(builder.finish()))
}
