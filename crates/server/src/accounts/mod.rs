//! Who is calling: the credentials of people and programs.
//!
//! Nothing here reads or writes the database. What a person may do and what is remembered of a sign-in is the business
//! of the accounts service; this is how the credentials themselves are made, checked, slowed down and withdrawn.

pub mod access_token;
pub mod api_key;
mod common_passwords;
pub mod issuers;
mod jwks;
pub mod keys;
pub mod passwords;
pub mod refresh_token;
pub mod revocations;
mod signatures;
#[cfg(test)]
mod testing;
pub mod throttle;
pub mod token_fault;
