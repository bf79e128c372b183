//! The rows of a batch as SQLite gets them: one blob, which its statements cut up with `substr`.
//!
//! It replaces JSON, whose parsing was a quarter of the time of a busy writer. A row is a cell of 20 bytes for each column:
//! the 16 bytes of a UUID; a number in decimal digits; or where a text begins and how long it is, ten digits each. Texts
//! stand behind the rows. A cell of spaces is NULL.

use serde::Serialize;
use serde::ser::{Error as _, Impossible, SerializeStruct, Serializer};

/// Bytes of a cell.
pub(crate) const CELL: usize = 20;

/// What a column of a batch holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A UUID; never NULL.
    Uuid,
    /// A text.
    Text,
    /// A whole number, or a moment in milliseconds since 1970.
    Number,
    /// A number with a fraction; it stands where texts do.
    Real,
}

/// A column of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// Its name, which is also that of the field.
    pub(crate) name: &'static str,
    /// What it holds.
    pub(crate) kind: Kind,
}

/// Rows in the form of the blob.
#[derive(Debug)]
pub(crate) struct Packed {
    /// How many there are.
    pub(crate) rows: usize,
    /// The rows, and behind them the texts.
    pub(crate) blob: Vec<u8>,
}

impl Packed {
    /// A JSON array that is as long as there are rows.
    pub(crate) fn list(&self) -> String {
        let mut list = String::with_capacity(self.rows * 2 + 2);
        list.push('[');
        for row in 0..self.rows {
            list.push_str(if row == 0 { "0" } else { ",0" });
        }
        list.push(']');
        list
    }
}

/// Why rows are not what their statement expects: a bug.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Fault(String);

impl serde::ser::Error for Fault {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// Packs rows for the columns of a statement. Fields that it does not name are left out; columns without a field are NULL.
pub(crate) fn pack<T: Serialize>(columns: &[Column], rows: &[T]) -> Result<Packed, Fault> {
    let fixed = rows.len() * columns.len() * CELL;
    let mut blob = Vec::with_capacity(fixed * 2);
    blob.resize(fixed, b' ');
    for (position, row) in rows.iter().enumerate() {
        let start = position * columns.len() * CELL;
        row.serialize(Packer { columns, blob: &mut blob, start, cell: None })?;
    }
    Ok(Packed { rows: rows.len(), blob })
}

struct RowPacker<'a> {
    columns: &'a [Column],
    blob: &'a mut Vec<u8>,
    /// Where the row begins.
    start: usize,
    /// The column that the next field is expected to be.
    next: usize,
    /// UUIDs that have been packed.
    uuids: usize,
}

impl RowPacker<'_> {
    fn find(&mut self, field: &str) -> Option<usize> {
        let count = self.columns.len();
        let found = (0..count).map(|step| (self.next + step) % count).find(|at| self.columns[*at].name == field)?;
        self.next = found + 1;
        Some(found)
    }
}

impl SerializeStruct for RowPacker<'_> {
    type Ok = ();
    type Error = Fault;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, field: &'static str, value: &T) -> Result<(), Fault> {
        let Some(found) = self.find(field) else { return Ok(()) };
        let kind = self.columns[found].kind;
        self.uuids += usize::from(kind == Kind::Uuid);
        let start = self.start + found * CELL;
        value.serialize(Packer { columns: self.columns, blob: self.blob, start, cell: Some((field, kind)) })
    }

    fn end(self) -> Result<(), Fault> {
        let wanted = self.columns.iter().filter(|column| column.kind == Kind::Uuid).count();
        if self.uuids == wanted { Ok(()) } else { Err(Fault("a row of a batch lacks a UUID".to_owned())) }
    }
}

/// Packs one row, or one cell of it.
struct Packer<'a> {
    columns: &'a [Column],
    blob: &'a mut Vec<u8>,
    /// Where the row or the cell begins.
    start: usize,
    /// The field and what its column holds; nothing for a row.
    cell: Option<(&'static str, Kind)>,
}

impl Packer<'_> {
    fn expect(&self, kind: Kind) -> Result<(), Fault> {
        match self.cell {
            Some((_, wanted)) if wanted == kind => Ok(()),
            _ => self.refuse(&format!("{kind:?}")),
        }
    }

    fn number(self, number: i64) -> Result<(), Fault> {
        self.expect(Kind::Number)?;
        let mut cell = &mut self.blob[self.start..self.start + CELL];
        if number < 0 {
            cell[0] = b'-';
            cell = &mut cell[1..];
        }
        digits(cell, number.unsigned_abs())
    }

    fn text(self, text: &str) -> Result<(), Fault> {
        // SQLite counts from 1.
        let begins = self.blob.len() + 1;
        for (part, number) in
            self.blob[self.start..self.start + CELL].chunks_exact_mut(CELL / 2).zip([begins, text.len()])
        {
            digits(part, number as u64)?;
        }
        self.blob.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn refuse<T>(&self, given: &str) -> Result<T, Fault> {
        Err(Fault(format!("{:?} was given {given}", self.cell)))
    }
}

/// Writes a number from the left. (The formatting of the standard library takes several times as long.)
fn digits(into: &mut [u8], mut number: u64) -> Result<(), Fault> {
    let count = number.checked_ilog10().unwrap_or(0) as usize + 1;
    let places = into.get_mut(..count).ok_or_else(|| Fault(format!("{number} is too large for its cell")))?;
    for place in places.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
    Ok(())
}

/// The methods of a serializer that refuse.
macro_rules! refuse {
    ($what:literal: $($method:ident($($argument:ty),*) -> $answer:ty;)+) => {
        $(fn $method(self, $(_: $argument),*) -> Result<$answer, Fault> {
            self.refuse($what)
        })+
    };
    ($what:literal of T: $($method:ident($($argument:ty),*);)+) => {
        $(fn $method<T: Serialize + ?Sized>(self, $(_: $argument,)* _: &T) -> Result<(), Fault> {
            self.refuse($what)
        })+
    };
}

type Never = Impossible<(), Fault>;

impl<'a> Serializer for Packer<'a> {
    type Ok = ();
    type Error = Fault;
    type SerializeSeq = Never;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Never;
    type SerializeStruct = RowPacker<'a>;
    type SerializeStructVariant = Never;

    fn is_human_readable(&self) -> bool {
        // UUIDs come as their bytes.
        false
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<RowPacker<'a>, Fault> {
        match self.cell {
            None => Ok(RowPacker { columns: self.columns, blob: self.blob, start: self.start, next: 0, uuids: 0 }),
            Some(_) => self.refuse("a structure"),
        }
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Fault> {
        self.expect(Kind::Uuid)?;
        match self.blob[self.start..self.start + CELL].first_chunk_mut::<16>() {
            Some(cell) if bytes.len() == cell.len() => cell.copy_from_slice(bytes),
            _ => return self.refuse("bytes that are no UUID"),
        }
        Ok(())
    }

    fn serialize_i64(self, number: i64) -> Result<(), Fault> {
        self.number(number)
    }

    fn serialize_u32(self, number: u32) -> Result<(), Fault> {
        self.number(number.into())
    }

    fn serialize_f64(self, number: f64) -> Result<(), Fault> {
        self.expect(Kind::Real)?;
        self.text(&number.to_string())
    }

    fn serialize_u64(self, number: u64) -> Result<(), Fault> {
        i64::try_from(number).map_err(Fault::custom).and_then(|number| self.number(number))
    }

    fn serialize_str(self, text: &str) -> Result<(), Fault> {
        self.expect(Kind::Text)?;
        self.text(text)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Fault> {
        self.serialize_str(variant)
    }

    fn serialize_none(self) -> Result<(), Fault> {
        match self.cell {
            Some((_, Kind::Uuid)) | None => self.refuse("NULL"),
            Some(_) => Ok(()),
        }
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Fault> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Fault> {
        value.serialize(self)
    }

    refuse! { "a number of this size":
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_f32(f32) -> ();
    }
    refuse! { "this":
        serialize_bool(bool) -> ();
        serialize_char(char) -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_seq(Option<usize>) -> Never;
        serialize_tuple(usize) -> Never;
        serialize_tuple_struct(&'static str, usize) -> Never;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Never;
        serialize_map(Option<usize>) -> Never;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Never;
    }
    refuse! { "this" of T:
        serialize_newtype_variant(&'static str, u32, &'static str);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const COLUMNS: &[Column] = &[
        Column { name: "id", kind: Kind::Uuid },
        Column { name: "count", kind: Kind::Number },
        Column { name: "text", kind: Kind::Text },
        Column { name: "share", kind: Kind::Real },
    ];

    #[derive(Serialize)]
    struct Row {
        text: Option<&'static str>,
        id: Uuid,
        elsewhere: bool,
        count: Option<i64>,
        share: Option<f64>,
    }

    fn row(text: Option<&'static str>, count: Option<i64>, share: Option<f64>) -> Row {
        Row { text, id: Uuid::from_u128(7), elsewhere: true, count, share }
    }

    #[test]
    fn rows_stand_in_cells_and_texts_behind_them() {
        let rows =
            [row(Some("naïve"), Some(i64::MIN), Some(0.1)), row(None, None, None), row(Some(""), Some(42), None)];
        let packed = pack(COLUMNS, &rows).expect("packed");
        let cell = |row: usize, column: usize| &packed.blob[(row * 4 + column) * CELL..][..CELL];
        assert_eq!((packed.rows, packed.list().as_str()), (3, "[0,0,0]"));
        assert_eq!(&cell(0, 0)[..16], Uuid::from_u128(7).as_bytes());
        assert_eq!(cell(0, 1), b"-9223372036854775808");
        assert_eq!(cell(0, 2), b"241       6         ");
        assert_eq!(cell(0, 3), b"247       3         ");
        assert!((1..4).all(|column| cell(1, column) == [b' '; CELL]), "NULL is a cell of spaces");
        assert_eq!((cell(2, 1), cell(2, 2)), (&b"42                  "[..], &b"250       0         "[..]));
        assert_eq!(&packed.blob[240..], "naïve0.1".as_bytes());
    }

    #[test]
    fn what_is_not_in_its_place_is_a_fault() {
        #[derive(Serialize)]
        struct Nameless {
            count: i64,
        }
        #[derive(Serialize)]
        struct Wrong {
            id: &'static str,
        }
        #[derive(Serialize)]
        struct Absent {
            id: Option<Uuid>,
        }
        assert!(pack(COLUMNS, &[Nameless { count: 1 }]).is_err_and(|fault| fault.to_string().contains("lacks a UUID")));
        let wrong = pack(COLUMNS, &[Wrong { id: "x" }]).expect_err("a text");
        assert_eq!(wrong.to_string(), r#"Some(("id", Uuid)) was given Text"#);
        assert!(pack(COLUMNS, &[Absent { id: None }]).is_err());
        assert!(pack(COLUMNS, &["no row"]).is_err());
    }
}
