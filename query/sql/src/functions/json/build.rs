//! Functions that make JSON out of SQL's values, or change it.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, StringViewArray, StructArray},
    datatypes::{DataType, Field, FieldRef, Fields},
};
use datafusion::{
    common::{Result, exec_err},
    logical_expr::{
        ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    },
};

use super::{
    super::scalar::{Arg, Call, PG_TYPE, Scalar, Shape, exactly, many, with},
    canonical::written,
    operators::{paths, place},
    scan,
    value::{Json, embedded, from_arrow},
};

const ONE: &[Shape] = &[with(&[Arg::Any], &[Arg::Bool])];
const ANY: &[Shape] = &[many(&[], Arg::Any)];
const SET: &[Shape] =
    &[with(&[Arg::Text, Arg::Texts, Arg::Text], &[Arg::Bool]), with(&[Arg::Text, Arg::Text, Arg::Text], &[Arg::Bool])];

/// The type of a pair: its value, or the text of its value when that is JSON.
const VALUE: &str = "value";
const JSON: &str = "json";

fn text(_: &[DataType]) -> Result<DataType> {
    Ok(DataType::Utf8View)
}

/// The functions of this family.
pub(in super::super) fn scalars() -> Vec<ScalarUDF> {
    let of = [
        Scalar::new("to_jsonb", ONE, text, |call| rows(call, |row| value(call, 0, row))).typed("jsonb"),
        Scalar::new("to_json", ONE, text, |call| rows(call, |row| value(call, 0, row)))
            .alias(&["row_to_json", "array_to_json"])
            .typed("json"),
        Scalar::new("jsonb_build_array", ANY, text, build_array).typed("jsonb"),
        Scalar::new("json_build_array", ANY, text, build_array).typed("json"),
        Scalar::new("jsonb_build_object", ANY, text, build_object).typed("jsonb"),
        Scalar::new("json_build_object", ANY, text, build_object).typed("json"),
        Scalar::new("jsonb_set", SET, text, set).typed("jsonb"),
    ];
    of.into_iter().map(Scalar::udf).collect()
}

/// Makes a struct of a value, which remembers whether the value is JSON, so that aggregates can collect it.
pub(in super::super) fn pair() -> ScalarUDF {
    ScalarUDF::new_from_impl(Pair { signature: Signature::any(2, Volatility::Immutable) })
}

/// Makes an object of a list of pairs, which `jsonb_object_agg` collects.
pub(in super::super) fn of_pairs() -> ScalarUDF {
    Scalar::new("json_object_of_pairs", const { &[exactly(&[Arg::Any])] }, text, pairs_object).typed("json").udf()
}

/// Makes an array of a list of pairs, which `jsonb_agg` collects.
pub(in super::super) fn of_list() -> ScalarUDF {
    Scalar::new("json_array_of_pairs", const { &[exactly(&[Arg::Any])] }, text, pairs_array).typed("json").udf()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Pair {
    signature: Signature,
}

impl ScalarUDFImpl for Pair {
    fn name(&self) -> &str {
        "json_pair"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        exec_err!("json_pair is typed by its arguments' fields")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let [key, value] = args.arg_fields else { return exec_err!("json_pair takes a key and a value") };
        let json = value.metadata().get(PG_TYPE).is_some_and(|t| matches!(t.as_str(), "json" | "jsonb"));
        let fields = Fields::from(vec![
            Field::new("key", key.data_type().clone(), true),
            Field::new(if json { JSON } else { VALUE }, value.data_type().clone(), true),
        ]);
        Ok(Arc::new(Field::new(self.name(), DataType::Struct(fields), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let DataType::Struct(fields) = args.return_field.data_type() else {
            return exec_err!("json_pair is a struct");
        };
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        Ok(ColumnarValue::Array(Arc::new(StructArray::try_new(fields.clone(), columns, None)?)))
    }
}

/// An argument of a row as JSON. One that is JSON itself is taken as such.
fn value(call: &Call<'_>, at: usize, row: usize) -> Result<Json> {
    let array = call.array(at)?;
    if is_json(call, at) { embedded(&array.slice(row, 1), 0) } else { from_arrow(&array, row) }
}

fn is_json(call: &Call<'_>, at: usize) -> bool {
    let of = call.fields.get(at).and_then(|field| field.metadata().get(PG_TYPE));
    of.is_some_and(|pg_type| matches!(pg_type.as_str(), "json" | "jsonb"))
}

fn rows(call: &Call<'_>, of: impl Fn(usize) -> Result<Json>) -> Result<ArrayRef> {
    // The functions of json keep the order that they are given, those of jsonb have their own.
    let is_json = call.name.contains("json_");
    let text = |json: Json| if is_json || call.name == "to_json" { json.to_string() } else { written(json) };
    let rows = (0..call.rows).map(|row| of(row).map(|json| Some(text(json))));
    // What is null to SQL stays null, and is not JSON's null.
    let first = if call.name.starts_with("to_json") { Some(call.array(0)?) } else { None };
    let known = |row: usize| first.as_ref().is_none_or(|a| a.is_valid(row) && a.data_type() != &DataType::Null);
    let rows = rows.enumerate().map(|(row, json)| if known(row) { json } else { Ok(None) });
    Ok(Arc::new(rows.collect::<Result<StringViewArray>>()?))
}

/// The text that a value is as a key.
fn key(json: Json) -> Result<Box<str>> {
    match json {
        Json::String(text) => Ok(text),
        Json::Null => exec_err!("the key of a JSON object cannot be null"),
        other => Ok(other.to_string().into()),
    }
}

fn build_array(call: &Call<'_>) -> Result<ArrayRef> {
    rows(call, |row| (0..call.len()).map(|at| value(call, at, row)).collect::<Result<_>>().map(Json::Array))
}

fn build_object(call: &Call<'_>) -> Result<ArrayRef> {
    if !call.len().is_multiple_of(2) {
        return exec_err!("the argument list of {} must have an even number of elements: keys and values", call.name);
    }
    rows(call, |row| {
        let field = |at: usize| Ok((key(value(call, 2 * at, row)?)?, value(call, 2 * at + 1, row)?));
        (0..call.len() / 2).map(field).collect::<Result<_>>().map(Json::Object)
    })
}

/// The pairs of a list of them.
fn pairs(call: &Call<'_>, list: &ArrayRef) -> Result<Vec<(Json, Json)>> {
    let Some(pairs) = list.as_struct_opt() else { return call.wrong(0) };
    let json = pairs.fields().get(1).is_some_and(|f| f.name() == JSON);
    let pair = |row: usize| {
        let value = if json { embedded(&pairs.column(1).slice(row, 1), 0)? } else { from_arrow(pairs.column(1), row)? };
        Ok((from_arrow(pairs.column(0), row)?, value))
    };
    (0..pairs.len()).map(pair).collect()
}

fn of_lists(call: &Call<'_>, of: impl Fn(Vec<(Json, Json)>) -> Result<Json>) -> Result<ArrayRef> {
    let array = call.array(0)?;
    let Some(lists) = array.as_list_opt::<i32>() else { return call.wrong(0) };
    let row = |list: Option<ArrayRef>| list.map(|list| Ok(of(pairs(call, &list)?)?.to_string())).transpose();
    Ok(Arc::new(lists.iter().map(row).collect::<Result<StringViewArray>>()?))
}

fn pairs_object(call: &Call<'_>) -> Result<ArrayRef> {
    of_lists(call, |pairs| {
        pairs.into_iter().map(|(name, value)| Ok((key(name)?, value))).collect::<Result<_>>().map(Json::Object)
    })
}

fn pairs_array(call: &Call<'_>) -> Result<ArrayRef> {
    of_lists(call, |pairs| Ok(Json::Array(pairs.into_iter().map(|(_, value)| value).collect())))
}

fn set(call: &Call<'_>) -> Result<ArrayRef> {
    let (column, paths, values) = (call.text(0)?, paths(call, 1)?, call.text(2)?);
    let create = if call.len() > 3 { Some(call.bool(3)?) } else { None };
    let row = |(row, json): (usize, Option<&str>)| {
        let known = json.zip(paths[row].as_ref()).filter(|_| values.is_valid(row));
        let Some((json, path)) = known else { return Ok(None) };
        let create = match &create {
            Some(create) if create.is_null(row) => return Ok(None),
            Some(create) => create.value(row),
            None => true,
        };
        let mut json = scan::parse(json)?;
        set_path(&mut json, path, scan::parse(values.value(row))?, create);
        Ok(Some(written(json)))
    };
    Ok(Arc::new(column.iter().enumerate().map(row).collect::<Result<StringViewArray>>()?))
}

/// Sets the value at the end of a path; what is before the end must be there.
fn set_path(json: &mut Json, path: &[String], value: Json, create: bool) {
    let [first, rest @ ..] = path else { return };
    match json {
        Json::Object(fields) => match fields.iter_mut().find(|(name, _)| **name == **first) {
            Some((_, own)) if rest.is_empty() => *own = value,
            Some((_, own)) => set_path(own, rest, value, create),
            None if rest.is_empty() && create => fields.push((first.as_str().into(), value)),
            None => {}
        },
        Json::Array(values) => {
            let Ok(index) = first.parse::<i64>() else { return };
            match place(values.len(), index) {
                Some(at) if rest.is_empty() => values[at] = value,
                Some(at) => set_path(&mut values[at], rest, value, create),
                None if rest.is_empty() && create && index < 0 => values.insert(0, value),
                None if rest.is_empty() && create => values.push(value),
                None => {}
            }
        }
        _ => {}
    }
}
