//! A line to the server of an account. Whoever sends holds it, gives one email after another, and drops it at any doubt.

use std::sync::Arc;

use mainstay_domain::{Error, Result, Secret, TenantId};
use mainstay_mail::dkim::{Key, Signer};
use mainstay_mail::smtp::{Refused, Security, Server, Session, SignIn, Timeouts};
use mainstay_store::{SealedColumn, SendingAccount};
use rustls::ClientConfig;
use rustls_platform_verifier::ConfigVerifierExt as _;
use tokio::net::TcpStream;

use super::Outreach;
use crate::keys::Place;
use crate::outgoing::{Undialable, dial};

/// Whom TLS to mail servers trusts: what the system trusts.
///
/// # Errors
/// When the system's list cannot be used.
pub(super) fn tls() -> Result<Arc<ClientConfig>> {
    ClientConfig::with_platform_verifier().map(Arc::new).map_err(Error::internal)
}

/// Why there is no line.
#[derive(Debug)]
pub(super) enum NoLine {
    /// The server cannot be reached, or does not answer as one: later.
    Away(String),
    /// The account's settings have to be changed first: its name, its password, its address.
    Account(String),
}

impl Outreach {
    /// Where a secret of an account stands.
    pub(super) const fn place(tenant: TenantId, account: &SendingAccount, column: SealedColumn) -> Place {
        Place { column, tenant, row: account.id.uuid() }
    }

    /// Who signs for an account; nothing where its provider does.
    ///
    /// # Errors
    /// When the key cannot be opened here, or is none.
    pub(super) fn signer(
        &self,
        tenant: TenantId,
        account: &SendingAccount,
    ) -> std::result::Result<Option<Signer>, NoLine> {
        let Some(((selector, domain), sealed)) = account.settings.dkim.as_ref().zip(account.settings.dkim_key.as_ref())
        else {
            return Ok(None);
        };
        let place = Self::place(tenant, account, SealedColumn::AccountDkimKey);
        let pem = self
            .keys
            .open(place, sealed)
            .map_err(|_| NoLine::Away("The key of the account cannot be opened here.".to_owned()))?;
        let bad = |fault: mainstay_domain::FieldFault| NoLine::Account(format!("The key for DKIM: {}", fault.detail));
        let key = Key::from_pem(&pem).map_err(bad)?;
        Signer::new(domain, selector, key).map(Some).map_err(bad)
    }

    /// How the account signs in.
    fn sign_in(&self, tenant: TenantId, account: &SendingAccount) -> std::result::Result<SignIn, NoLine> {
        let Some(sealed) = &account.settings.secret else { return Ok(SignIn::None) };
        let place = Self::place(tenant, account, SealedColumn::AccountSecret);
        let password: Secret = self
            .keys
            .open(place, sealed)
            .map_err(|_| NoLine::Away("The secret of the account cannot be opened here.".to_owned()))?;
        Ok(SignIn::Password { user: account.settings.user_name.clone(), password })
    }

    /// Opens a line.
    ///
    /// # Errors
    /// See [`NoLine`].
    pub(super) async fn open(
        &self,
        tenant: TenantId,
        account: &SendingAccount,
    ) -> std::result::Result<Session, NoLine> {
        let settings = &account.settings;
        let sign_in = self.sign_in(tenant, account)?;
        let stream = self.dial((&settings.host, settings.port)).await?;
        let server = Server {
            name: settings.host.clone(),
            security: security(&settings.security),
            tls: Arc::clone(&self.tls),
            sign_in,
            hello: self.hello.clone(),
        };
        Session::open(stream, &server, &self.timeouts()).await.map_err(|refused| no_line(&refused))
    }

    /// Dials a server that somebody has named.
    pub(super) async fn dial(&self, place: (&str, u16)) -> std::result::Result<TcpStream, NoLine> {
        let stream = dial(&*self.lookup, &self.rules, place, self.settings.connect_timeout()).await;
        stream.map_err(|error| match error {
            Undialable::Refused(_) => NoLine::Account(error.to_string()),
            _ => NoLine::Away(error.to_string()),
        })
    }

    fn timeouts(&self) -> Timeouts {
        let answer = self.settings.answer();
        Timeouts {
            greeting: answer,
            hello: answer,
            start_tls: answer,
            sign_in: answer,
            sender: answer,
            recipient: answer,
            data: answer,
            block: answer.max(std::time::Duration::from_secs(60)),
            answer: self.settings.accept(),
            ..Timeouts::default()
        }
    }
}

/// How a line is protected, by its word.
pub(super) fn security(word: &str) -> Security {
    match word {
        "tls" => Security::Tls,
        "none" => Security::None,
        _ => Security::StartTls,
    }
}

/// What a refusal of the line itself means.
pub(super) fn no_line(refused: &Refused) -> NoLine {
    use mainstay_mail::smtp::{About, verdict};
    let verdict = verdict(refused);
    let said = refused.to_string();
    if verdict.about == About::Account && !verdict.later { NoLine::Account(said) } else { NoLine::Away(said) }
}
