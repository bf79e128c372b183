//! What Mainstay remembers, and how: the only SQL in the house, on SQLite and PostgreSQL.

mod call;

pub use call::Call;
