//! How deep the columns of a Parquet file are nested, found in its footer without recursion, before a tree is made of it.
//!
//! The footer is a struct in Thrift's compact form. Its field 2 is the list of schema elements, each of which says in its
//! field 5 how many of those behind it are its children.

/// The deepest that structs and lists of the footer itself may be in each other; the format's own are not half as deep.
const MAX_NESTED: usize = 32;
const SCHEMA: i16 = 2;
const CHILDREN: i16 = 5;

const STOP: u8 = 0;
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCT: u8 = 12;
const UUID: u8 = 13;

/// Why columns are not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// A column is nested deeper than it may be.
    #[error("a column is nested more than {0} deep")]
    Deep(usize),
    /// The footer is not what it should be.
    #[error("its footer is damaged")]
    Damaged,
}

/// Refuses a footer, without its length and the magic bytes behind it, in which a column is nested more than `most` deep.
///
/// # Errors
/// When one is, or the bytes are no footer.
pub fn check_depth(footer: &[u8], most: usize) -> Result<(), SchemaError> {
    let mut reader = Reader { rest: footer };
    let mut id = 0;
    while let Some(kind) = reader.field(&mut id)? {
        if id == SCHEMA && kind == LIST {
            reader.schema(most)?;
        } else {
            reader.skip(kind, 0)?;
        }
    }
    Ok(())
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    /// Looks at the list of schema elements, which stand in the order of a walk from the root down.
    fn schema(&mut self, most: usize) -> Result<(), SchemaError> {
        let (kind, count) = self.list()?;
        if kind != STRUCT {
            return Err(SchemaError::Damaged);
        }
        // Of each element above the next one, how many children are still to come.
        let mut above: Vec<u64> = Vec::new();
        for _ in 0..count {
            while above.last() == Some(&0) {
                above.pop();
            }
            if let Some(left) = above.last_mut() {
                *left -= 1;
            }
            let children = self.children()?;
            if children > 0 {
                above.push(children);
            }
            // The root is no column.
            if above.len() > most {
                return Err(SchemaError::Deep(most));
            }
        }
        Ok(())
    }

    /// How many children a schema element has.
    fn children(&mut self) -> Result<u64, SchemaError> {
        let (mut id, mut children) = (0, 0);
        while let Some(kind) = self.field(&mut id)? {
            if id == CHILDREN && (I16..=I64).contains(&kind) {
                // Zigzag: what is negative is none.
                let number = self.varint()?;
                children = if number % 2 == 0 { number / 2 } else { 0 };
            } else {
                self.skip(kind, 0)?;
            }
        }
        Ok(children)
    }

    /// The type of the next field of a struct, whose number is told from the one before; `None` at its end.
    fn field(&mut self, id: &mut i16) -> Result<Option<u8>, SchemaError> {
        let head = self.byte()?;
        let (delta, kind) = (head >> 4, head & 0x0f);
        if kind == STOP {
            return Ok(None);
        }
        *id = if delta == 0 {
            let number = self.varint()?;
            let id = (number >> 1) as i64 ^ -((number & 1) as i64);
            i16::try_from(id).map_err(|_| SchemaError::Damaged)?
        } else {
            id.checked_add(i16::from(delta)).ok_or(SchemaError::Damaged)?
        };
        Ok(Some(kind))
    }

    /// The type and number of a list's elements.
    fn list(&mut self) -> Result<(u8, u64), SchemaError> {
        let head = self.byte()?;
        let short = u64::from(head >> 4);
        let count = if short == 15 { self.varint()? } else { short };
        Ok((head & 0x0f, count))
    }

    /// Passes over a value.
    fn skip(&mut self, kind: u8, nested: usize) -> Result<(), SchemaError> {
        if nested > MAX_NESTED {
            return Err(SchemaError::Damaged);
        }
        match kind {
            // In a struct, the type is the value.
            TRUE | FALSE => Ok(()),
            _ => self.skip_stored(kind, nested),
        }
    }

    fn skip_stored(&mut self, kind: u8, nested: usize) -> Result<(), SchemaError> {
        match kind {
            TRUE | FALSE | BYTE => self.bytes(1),
            I16..=I64 => self.varint().map(|_| ()),
            DOUBLE => self.bytes(8),
            UUID => self.bytes(16),
            BINARY => {
                let length = self.varint()?;
                self.bytes(length)
            }
            LIST | SET => {
                let (kind, count) = self.list()?;
                self.elements(&[kind], count, nested)
            }
            MAP => {
                let count = self.varint()?;
                if count == 0 {
                    return Ok(());
                }
                let kinds = self.byte()?;
                self.elements(&[kinds >> 4, kinds & 0x0f], count, nested)
            }
            STRUCT => {
                let mut id = 0;
                while let Some(kind) = self.field(&mut id)? {
                    self.skip(kind, nested + 1)?;
                }
                Ok(())
            }
            _ => Err(SchemaError::Damaged),
        }
    }

    /// Passes over elements, of which each takes a byte at least.
    fn elements(&mut self, kinds: &[u8], count: u64, nested: usize) -> Result<(), SchemaError> {
        if nested > MAX_NESTED {
            return Err(SchemaError::Damaged);
        }
        for _ in 0..count {
            kinds.iter().try_for_each(|kind| self.skip_stored(*kind, nested + 1))?;
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, SchemaError> {
        let (first, rest) = self.rest.split_first().ok_or(SchemaError::Damaged)?;
        self.rest = rest;
        Ok(*first)
    }

    fn bytes(&mut self, length: u64) -> Result<(), SchemaError> {
        let length = usize::try_from(length).map_err(|_| SchemaError::Damaged)?;
        self.rest = self.rest.get(length..).ok_or(SchemaError::Damaged)?;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, SchemaError> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(SchemaError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A footer with only a schema: the elements' numbers of children.
    fn footer(children: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x15, 2, 0x19, 0xfc];
        let mut count = children.len();
        while count >= 0x80 {
            bytes.push(count as u8 | 0x80);
            count >>= 7;
        }
        bytes.push(count as u8);
        for n in children {
            // A name of one letter, then the number of children.
            bytes.extend([0x48, 1, b'c', 0x15, n * 2, 0]);
        }
        bytes.push(0);
        bytes
    }

    #[test]
    fn depth_is_that_of_the_deepest_column() {
        // A root of two columns: one plain, one a struct of a plain one.
        let flat = footer(&[2, 0, 1, 0]);
        assert_eq!(check_depth(&flat, 2), Ok(()));
        assert_eq!(check_depth(&flat, 1), Err(SchemaError::Deep(1)));
        // Many columns side by side are not deep.
        let mut wide = vec![60];
        wide.extend([1, 0].repeat(60));
        assert_eq!(check_depth(&footer(&wide), 2), Ok(()));
        let mut deep = vec![1; 100_000];
        deep.push(0);
        assert_eq!(check_depth(&footer(&deep), 300), Err(SchemaError::Deep(300)));
    }

    #[test]
    fn broken_footers_are_told() {
        let whole = footer(&[2, 0, 1, 0]);
        for end in 0..whole.len() {
            assert_eq!(check_depth(&whole[..end], 9), Err(SchemaError::Damaged), "{end}");
        }
        // Structs in structs, as deep as the bytes go.
        assert_eq!(check_depth(&[0x1c; 100_000], 9), Err(SchemaError::Damaged));
        // Lists in lists, and a list that says it has more elements than there are bytes.
        assert_eq!(check_depth(&[&[0x19][..], &[0x19; 100_000]].concat(), 9), Err(SchemaError::Damaged));
        assert_eq!(check_depth(&[0x19, 0xf3, 0xff, 0xff, 0xff, 0xff, 0x0f], 9), Err(SchemaError::Damaged));
    }
}
