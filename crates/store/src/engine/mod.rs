//! The two engines: how connections are opened, lent, stopped in time and thrown away.

pub(crate) mod postgres;
pub(crate) mod room;
pub(crate) mod sqlite;
