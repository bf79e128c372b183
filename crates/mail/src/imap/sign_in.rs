//! Signing in (RFC 3501, 6.2): PLAIN, LOGIN, XOAUTH2.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_domain::Secret;

use super::session::Talk;
use super::wire::Bounds;
use super::{Cause, SignIn};

/// The longest user and secret, in bytes: longer ones are no credentials, and a line has an end.
const LONGEST: usize = 6_000;

/// Signs in over a line that may carry a secret.
pub(super) async fn sign_in(talk: &mut Talk, who: &SignIn, limit: Duration) -> Result<(), Cause> {
    match who {
        SignIn::None => Ok(()),
        SignIn::Password { user, password } => {
            check(user, password)?;
            if talk.offers("AUTH=PLAIN") {
                let text = Secret::new(format!("\0{user}\0{}", password.expose()));
                authenticate(talk, "PLAIN", &text, limit).await
            } else if talk.offers("LOGINDISABLED") {
                Err(Cause::Unsuitable("The server offers no way to sign in with a password (PLAIN, LOGIN)."))
            } else {
                login(talk, user, password, limit).await.map_err(|cause| without(cause, password))
            }
        }
        SignIn::OAuth { user, token } => {
            check(user, token)?;
            if user.contains('\u{1}') || token.expose().contains('\u{1}') {
                return Err(Cause::Unsuitable("The user or the token holds a character that cannot be sent."));
            }
            if !talk.offers("AUTH=XOAUTH2") {
                return Err(Cause::Unsuitable("The server offers no way to sign in with a token (XOAUTH2)."));
            }
            let text = Secret::new(format!("user={user}\u{1}auth=Bearer {}\u{1}\u{1}", token.expose()));
            authenticate(talk, "XOAUTH2", &text, limit).await
        }
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

/// `AUTHENTICATE`, with the text in the command where the server takes it there (RFC 4959).
async fn authenticate(talk: &mut Talk, way: &str, text: &Secret, limit: Duration) -> Result<(), Cause> {
    let encoded = Secret::new(STANDARD.encode(text.expose()));
    let at_once = talk.offers("SASL-IR");
    talk.forget_offers();
    let mut bounds = Bounds::new(limit);
    let tag = if at_once {
        let command = Secret::new(format!("AUTHENTICATE {way} {}", encoded.expose()));
        talk.begin(command.expose(), &bounds).await?
    } else {
        let tag = talk.begin(&format!("AUTHENTICATE {way}"), &bounds).await?;
        wanted(talk, &tag, &mut bounds).await?;
        bounds = Bounds::new(limit);
        let line = Secret::new(format!("{}\r\n", encoded.expose()));
        talk.go_on(line.expose().as_bytes(), &bounds).await?;
        tag
    };
    let hide = |cause| without(cause, &encoded);
    if talk.until(&tag, &mut bounds, |_| {}).await.map_err(hide)? {
        return Ok(());
    }
    // A refusal may come as a challenge that says why; an empty line asks for the refusal itself.
    talk.go_on(b"\r\n", &bounds).await?;
    finished(talk, &tag, &mut bounds).await.map_err(hide)
}

/// `LOGIN`, with user and password as literals: these hold any character, and nothing in them ends the line.
async fn login(talk: &mut Talk, user: &str, password: &Secret, limit: Duration) -> Result<(), Cause> {
    talk.forget_offers();
    let mut bounds = Bounds::new(limit);
    let tag = talk.begin(&format!("LOGIN {{{}}}", user.len()), &bounds).await?;
    let rest = [format!("{user} {{{}}}\r\n", password.expose().len()), format!("{}\r\n", password.expose())];
    for part in rest.map(Secret::new) {
        wanted(talk, &tag, &mut bounds).await?;
        bounds = Bounds::new(limit);
        talk.go_on(part.expose().as_bytes(), &bounds).await?;
    }
    finished(talk, &tag, &mut bounds).await
}

/// Waits for the word to go on.
async fn wanted(talk: &mut Talk, tag: &str, bounds: &mut Bounds) -> Result<(), Cause> {
    if talk.until(tag, bounds, |_| {}).await? {
        return Err(Cause::Garbage("a sign-in that ended before the credentials were said"));
    }
    Ok(())
}

/// Waits for the end.
async fn finished(talk: &mut Talk, tag: &str, bounds: &mut Bounds) -> Result<(), Cause> {
    if talk.until(tag, bounds, |_| {}).await? {
        return Ok(());
    }
    Err(Cause::Garbage("a further question after the credentials"))
}

/// The words of a server that repeats what it heard, without the secret, or what bounds have left of it.
fn without(cause: Cause, secret: &Secret) -> Cause {
    let secret = secret.expose();
    let clean = |text: String| {
        let text = text.replace(secret, "***");
        let words = text.split(' ').map(|word| if word.len() >= 8 && secret.contains(word) { "***" } else { word });
        words.collect::<Vec<_>>().join(" ")
    };
    match cause {
        Cause::Answer(mut answer) => {
            answer.text = clean(answer.text);
            Cause::Answer(answer)
        }
        Cause::Bye(text) => Cause::Bye(clean(text)),
        cause => cause,
    }
}
