//! Signing in (RFC 4954): PLAIN, LOGIN, XOAUTH2.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_domain::Secret;

use super::session::Capabilities;
use super::wire::Wire;
use super::{Cause, SignIn};

/// The longest user and secret, in bytes: longer ones are no credentials, and a line has an end.
const LONGEST: usize = 6_000;

/// Signs in over a line that may carry a secret.
pub(super) async fn sign_in(
    wire: &mut Wire,
    offered: &Capabilities,
    who: &SignIn,
    limit: Duration,
) -> Result<(), Cause> {
    let reply = match who {
        SignIn::None => return Ok(()),
        SignIn::Password { user, password } => {
            check(user, password)?;
            if offered.has_auth("PLAIN") {
                let text = Secret::new(format!("\0{user}\0{}", password.expose()));
                ask(wire, "AUTH PLAIN ", &text, limit).await?
            } else if offered.has_auth("LOGIN") {
                expect(ask(wire, "AUTH LOGIN", &Secret::default(), limit).await?)?;
                expect(ask(wire, "", &Secret::new(user.clone()), limit).await?)?;
                ask(wire, "", password, limit).await?
            } else {
                return Err(Cause::Unsuitable("The server offers no way to sign in with a password (PLAIN, LOGIN)."));
            }
        }
        SignIn::OAuth { user, token } => {
            check(user, token)?;
            if user.contains('\u{1}') || token.expose().contains('\u{1}') {
                return Err(Cause::Unsuitable("The user or the token holds a character that cannot be sent."));
            }
            if !offered.has_auth("XOAUTH2") {
                return Err(Cause::Unsuitable("The server offers no way to sign in with a token (XOAUTH2)."));
            }
            let text = Secret::new(format!("user={user}\u{1}auth=Bearer {}\u{1}\u{1}", token.expose()));
            let reply = ask(wire, "AUTH XOAUTH2 ", &text, limit).await?;
            // A refusal comes as a challenge that says why; an empty line asks for the refusal itself.
            if reply.code == 334 { ask(wire, "", &Secret::default(), limit).await? } else { reply }
        }
    };
    match reply.class() {
        2 => Ok(()),
        4 | 5 => Err(Cause::Answer(reply)),
        _ => Err(Cause::Garbage("a further question after the credentials")),
    }
}

fn check(user: &str, secret: &Secret) -> Result<(), Cause> {
    if user.is_empty() || secret.is_empty() {
        return Err(Cause::Unsuitable("The user or the secret is empty."));
    }
    if user.len() + secret.expose().len() > LONGEST || user.contains('\0') || secret.expose().contains('\0') {
        return Err(Cause::Unsuitable("The user or the secret is too long or holds NUL."));
    }
    Ok(())
}

/// Sends a word and, in base64, what may not be read by others.
async fn ask(wire: &mut Wire, word: &str, text: &Secret, limit: Duration) -> Result<super::Reply, Cause> {
    let line = Secret::new(format!("{word}{}\r\n", STANDARD.encode(text.expose())));
    wire.write(line.expose().as_bytes(), limit).await.map_err(|(cause, _)| cause)?;
    wire.answer(limit).await
}

fn expect(reply: super::Reply) -> Result<(), Cause> {
    match reply.code {
        334 => Ok(()),
        400..=599 => Err(Cause::Answer(reply)),
        _ => Err(Cause::Garbage("no question for the credentials")),
    }
}
