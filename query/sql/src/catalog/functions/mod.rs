//! Functions that read the catalog or the session: a table of small functions over single values.

mod access;
mod arrays;
mod definitions;
mod names;
mod session;
mod sizes;

use std::{
    cell::OnceCell,
    hash::{Hash, Hasher},
    sync::Arc,
};

use arrow::{
    array::ArrayRef,
    datatypes::{DataType, Field, FieldRef},
};
use datafusion::{
    error::{DataFusionError, Result},
    execution::FunctionRegistry,
    logical_expr::{
        ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    },
    prelude::SessionContext,
    scalar::ScalarValue,
};

use super::{
    cell::{self, Cell},
    entries::{Entries, Entry},
    scope::Scope,
    shape::{PG_TYPE, arrow},
};
use crate::error::SqlError;

/// A call for one row.
struct Call<'a> {
    scope: &'a Scope,
    /// The entries of `pg_class`, made once for all rows of a batch.
    entries: &'a OnceCell<Entries>,
    args: &'a [Cell],
    fields: &'a [FieldRef],
}

impl Call<'_> {
    /// An argument; null when it was not given.
    fn arg(&self, at: usize) -> &Cell {
        self.args.get(at).unwrap_or(&Cell::Null)
    }

    /// The entries of `pg_class`.
    fn entries(&self) -> Result<&Entries> {
        if let Some(entries) = self.entries.get() {
            return Ok(entries);
        }
        let entries = self.scope.entries()?;
        Ok(self.entries.get_or_init(|| entries))
    }

    /// The entry that an argument names or numbers.
    fn entry(&self, at: usize) -> Result<Option<&Entry>> {
        let Some(text) = self.arg(at).printed() else { return Ok(None) };
        Ok(self.entries()?.resolve(&text))
    }

    /// An argument as text.
    fn text(&self, at: usize) -> Option<&str> {
        self.arg(at).text()
    }
}

/// What a function gives.
#[derive(Debug, Clone, Copy)]
enum Returns {
    /// A value of this type of PostgreSQL.
    Type(&'static str),
    /// An array of pairs of an element and its place.
    Pairs,
}

/// A function.
struct Spec {
    name: &'static str,
    /// The fewest and the most arguments.
    args: (usize, usize),
    returns: Returns,
    /// Whether a null among the arguments gives null.
    strict: bool,
    /// Whether each call counts, because it writes or may give another value.
    volatile: bool,
    run: fn(&Call<'_>) -> Result<Cell>,
}

impl Spec {
    const fn new(
        name: &'static str,
        args: (usize, usize),
        returns: &'static str,
        run: fn(&Call<'_>) -> Result<Cell>,
    ) -> Self {
        Self { name, args, returns: Returns::Type(returns), strict: true, volatile: false, run }
    }

    /// The same, called for nulls too.
    const fn lenient(mut self) -> Self {
        self.strict = false;
        self
    }

    /// The same, called each time.
    const fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// The same, giving pairs.
    const fn pairs(mut self) -> Self {
        self.returns = Returns::Pairs;
        self
    }
}

/// An error with PostgreSQL's code.
fn refuse(error: SqlError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// A [`Spec`] in a session's scope.
#[derive(Clone)]
struct CatalogFunction {
    spec: &'static Spec,
    scope: Arc<Scope>,
    signature: Signature,
}

impl std::fmt::Debug for CatalogFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.spec.name)
    }
}

impl PartialEq for CatalogFunction {
    fn eq(&self, other: &Self) -> bool {
        self.spec.name == other.spec.name && Arc::ptr_eq(&self.scope, &other.scope)
    }
}

impl Eq for CatalogFunction {}

impl Hash for CatalogFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.spec.name.hash(state);
    }
}

impl CatalogFunction {
    fn new(spec: &'static Spec, scope: &Arc<Scope>) -> Self {
        let volatility = if spec.volatile { Volatility::Volatile } else { Volatility::Stable };
        let signature = match spec.args {
            (0, 0) => Signature::nullary(volatility),
            _ => Signature::user_defined(volatility),
        };
        Self { spec, scope: Arc::clone(scope), signature }
    }

    fn data_type(&self) -> DataType {
        match self.spec.returns {
            Returns::Type(pg_type) => arrow(pg_type),
            Returns::Pairs => {
                let fields = vec![Field::new("x", DataType::Int64, true), Field::new("n", DataType::Int32, true)];
                DataType::List(Arc::new(Field::new_list_field(DataType::Struct(fields.into()), true)))
            }
        }
    }

    fn value(&self, args: &[Cell], fields: &[FieldRef], entries: &OnceCell<Entries>) -> Result<Cell> {
        if self.spec.strict && args.contains(&Cell::Null) {
            return Ok(Cell::Null);
        }
        (self.spec.run)(&Call { scope: &self.scope, entries, args, fields })
    }
}

impl ScalarUDFImpl for CatalogFunction {
    fn name(&self) -> &str {
        self.spec.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let (least, most) = self.spec.args;
        if (least..=most).contains(&types.len()) {
            return Ok(types.to_vec());
        }
        let wanted = if least == most { least.to_string() } else { format!("{least} to {most}") };
        let message = format!("{} takes {wanted} arguments, not {}", self.spec.name, types.len());
        Err(refuse(SqlError::new(b"42883", message)))
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.data_type())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = Field::new(self.spec.name, self.data_type(), true);
        Ok(Arc::new(match self.spec.returns {
            Returns::Type(pg_type) => {
                field.with_metadata([(PG_TYPE.to_owned(), pg_type.to_owned())].into_iter().collect())
            }
            Returns::Pairs => field,
        }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let data_type = self.data_type();
        let fixed = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if fixed && !self.spec.volatile { 1 } else { args.number_rows };
        let arrays: Vec<ArrayRef> = args.args.iter().map(|a| a.to_array(rows)).collect::<Result<_>>()?;
        let mut values = Vec::with_capacity(rows);
        let entries = OnceCell::new();
        let mut row_args = Vec::with_capacity(arrays.len());
        for row in 0..rows {
            row_args.clear();
            row_args.extend(arrays.iter().map(|a| Cell::at(a, row)));
            values.push(self.value(&row_args, &args.arg_fields, &entries)?);
        }
        let array = cell::array(&data_type, &values)?;
        if fixed && !self.spec.volatile {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(array))
    }
}

/// The tables of functions.
const FAMILIES: [&[Spec]; 6] = [
    &access::FUNCTIONS,
    &arrays::FUNCTIONS,
    &definitions::FUNCTIONS,
    &names::FUNCTIONS,
    &session::FUNCTIONS,
    &sizes::FUNCTIONS,
];

/// Makes the functions known to a session's context.
pub(super) fn register(ctx: &SessionContext, scope: &Arc<Scope>) {
    for spec in FAMILIES.iter().copied().flatten() {
        ctx.register_udf(ScalarUDF::new_from_impl(CatalogFunction::new(spec, scope)));
    }
    for spec in &arrays::SHARED {
        // Another family of functions may have it already, for more types.
        if ctx.udf(spec.name).is_err() {
            ctx.register_udf(ScalarUDF::new_from_impl(CatalogFunction::new(spec, scope)));
        }
    }
}

/// Whether a function gives a list that stands for a set of rows.
pub(super) fn gives_set(name: &str) -> bool {
    matches!(name, "generate_subscripts" | "pg_partition_ancestors" | "_pg_expandarray" | "pg_listening_channels")
}

/// Whether a function gives one value, so that in FROM it is a relation of one row.
pub(super) fn gives_value(name: &str) -> bool {
    const OTHERS: [&str; 6] = ["string_to_array", "regexp_split_to_array", "now", "lower", "upper", "coalesce"];
    OTHERS.contains(&name) || FAMILIES.iter().copied().flatten().any(|spec| spec.name == name)
}
