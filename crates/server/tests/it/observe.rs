//! How it is known how it goes: health.

mod health;
