//! A worker on a real database: what its jobs do, and what happens when they or it misbehave.

#![expect(clippy::expect_used, reason = "a test that cannot go on should stop")]

mod misbehaviour;
mod schedules;
mod stage;
mod working;

/// Makes a test of an async function for each engine: `both!(name)` runs `name(engine)`.
macro_rules! both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { Box::pin(super::$name(crate::stage::Engine::Sqlite)).await; })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { Box::pin(super::$name(crate::stage::Engine::Postgres)).await; })+
        }
    };
}
pub(crate) use both;
