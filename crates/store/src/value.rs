//! What both engines can bind and read.

use mainstay_domain::Timestamp;
use serde::Serialize;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgRow, PgTypeInfo};
use sqlx::sqlite::SqliteRow;
use sqlx::{Database, Decode, Encode, FromRow, Postgres, Sqlite, Type};
use uuid::Uuid;

use crate::error::{Error, Result};

/// A parameter.
pub(crate) trait Value:
    for<'q> Encode<'q, Sqlite> + Type<Sqlite> + for<'q> Encode<'q, Postgres> + Type<Postgres>
{
}
impl<T> Value for T where T: for<'q> Encode<'q, Sqlite> + Type<Sqlite> + for<'q> Encode<'q, Postgres> + Type<Postgres> {}

/// A row of an answer: `#[derive(sqlx::FromRow)]` makes a struct readable from both.
pub(crate) trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}
impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

/// A row of an organisation, by the two parts of its key.
#[derive(Clone, Serialize, FromRow)]
pub(crate) struct Place {
    pub(crate) id: Uuid,
    pub(crate) tenant_id: Uuid,
}

/// A row, by its id.
#[derive(Clone, Copy, Serialize, FromRow)]
pub(crate) struct Id {
    pub(crate) id: Uuid,
}

/// A row with one number.
#[derive(Clone, Copy, FromRow)]
pub(crate) struct Number {
    pub(crate) number: i64,
}

/// A number that a statement counted.
pub(crate) fn count(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

/// A number that is never negative, as it is stored.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The same, read again.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A number that is small, such as minutes of a day.
pub(crate) fn small(number: i64) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// Later than every moment that is stored: the year 9999.
pub(crate) const END_OF_TIME: Timestamp = Timestamp::from_millis(253_402_300_799_000);

/// A moment that may not be there, read again.
pub(crate) fn moment(at: Option<At>) -> Option<Timestamp> {
    at.map(|at| at.0)
}

/// The lowest id that can be made at a moment.
pub(crate) fn first_id_of(moment: Timestamp) -> Uuid {
    Uuid::from_u128(u128::from(unsigned(moment.as_millis())) << 80)
}

/// What is stored as JSON in a column of text.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Bug(error.to_string()))
}

/// A moment: INTEGER milliseconds since 1970 on SQLite (sorts and compares as such), `timestamptz` on PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At(pub(crate) Timestamp);

impl From<Timestamp> for At {
    fn from(moment: Timestamp) -> Self {
        Self(moment)
    }
}

impl Type<Sqlite> for At {
    fn type_info() -> <Sqlite as Database>::TypeInfo {
        <i64 as Type<Sqlite>>::type_info()
    }
    fn compatible(ty: &<Sqlite as Database>::TypeInfo) -> bool {
        <i64 as Type<Sqlite>>::compatible(ty)
    }
}

impl Encode<'_, Sqlite> for At {
    fn encode_by_ref(&self, buffer: &mut <Sqlite as Database>::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<Sqlite>>::encode_by_ref(&self.0.as_millis(), buffer)
    }
}

impl<'r> Decode<'r, Sqlite> for At {
    fn decode(value: <Sqlite as Database>::ValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(Timestamp::from_millis(<i64 as Decode<Sqlite>>::decode(value)?)))
    }
}

/// The object id of `timestamptz` in every PostgreSQL (`pg_type.dat`).
const TIMESTAMPTZ: Oid = Oid(1184);
/// On the wire a `timestamptz` is microseconds since 2000-01-01T00:00:00Z.
const POSTGRES_EPOCH_MILLIS: i64 = 946_684_800_000;

impl Type<Postgres> for At {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ)
    }
    fn compatible(ty: &PgTypeInfo) -> bool {
        ty.oid() == Some(TIMESTAMPTZ)
    }
}

impl Encode<'_, Postgres> for At {
    fn encode_by_ref(&self, buffer: &mut <Postgres as Database>::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let micros = (self.0.as_millis() - POSTGRES_EPOCH_MILLIS)
            .checked_mul(1000)
            .ok_or("the moment is outside what a timestamptz holds")?;
        <i64 as Encode<Postgres>>::encode_by_ref(&micros, buffer)
    }
}

impl<'r> Decode<'r, Postgres> for At {
    fn decode(value: <Postgres as Database>::ValueRef<'r>) -> Result<Self, BoxDynError> {
        let micros = <i64 as Decode<Postgres>>::decode(value)?;
        Ok(Self(Timestamp::from_millis(micros.div_euclid(1000) + POSTGRES_EPOCH_MILLIS)))
    }
}
