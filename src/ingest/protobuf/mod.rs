//! Protocol Buffers on the wire, as far as Prometheus' messages need it: no reflection, no tree of objects.

mod error;
mod reader;
mod writer;

pub use error::{DecodeError, Message, Problem};
pub(crate) use reader::{PackedDoubles, PackedVarints, Reader, WireType, zigzag};
pub(crate) use writer::Writer;
