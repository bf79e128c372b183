//! Who is calling: the credentials of people and programs.
//!
//! The credentials themselves (tokens, keys, passwords, the throttle, the view of what is revoked) know no database;
//! [`Accounts`] holds the rules and is the only one here that speaks to the store; `api` is its wire.

pub mod access_token;
pub mod api;
pub mod api_key;
mod authority;
mod common_passwords;
pub mod issuers;
mod jwks;
pub mod keys;
pub mod passwords;
mod plans;
pub mod refresh_token;
pub mod revocations;
mod service;
mod signatures;
pub mod signed;
#[cfg(test)]
mod testing;
pub mod throttle;
pub mod token_fault;

pub(crate) use authority::challenge;
pub use authority::{Administrator, BearerToken, Credential, Member, Operator, Reader, SignedIn, Standing, Writer};
pub use service::{Accounts, Guest, LONGEST_TOKEN, PasswordChange, SignInRequest, SignUpRequest, SignedInPerson};
