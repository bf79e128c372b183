//! The verbs of accounts that send, and their rules.

use std::time::Duration;

use mainstay_domain::{AccountState, EmailAddress, Error, Faults, Kind, Result, Secret, SendingAccountId, TenantId};
use mainstay_mail::dkim::{Key, Signer};
use mainstay_store::{
    AccountSettings, Call, GetAccount, PutAccount, Ramp, SealedColumn, SendingAccount, SetAccountState,
};

use super::Outreach;
use super::gmail::{GMAIL, LEAST_GAP, MOST_A_DAY};
use crate::keys::Place;

/// What is said of an account that somebody has paused, and not its own figures.
pub(crate) const BY_SOMEBODY: &str = "Somebody has paused it.";

/// How an account is wanted.
#[derive(Clone, Debug)]
pub(super) struct AccountWish {
    /// `smtp` or `gmail`.
    pub(super) kind: String,
    pub(super) address: String,
    pub(super) sender_name: String,
    pub(super) reply_to: Option<String>,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: String,
    pub(super) user_name: String,
    pub(super) password: Option<Secret>,
    pub(super) dkim: Option<(String, String)>,
    pub(super) dkim_key: Option<Secret>,
    pub(super) daily_cap: u32,
    pub(super) ramp: Option<(u32, u32)>,
    pub(super) gap_seconds: u64,
    pub(super) domain_gap_seconds: u64,
    pub(super) connections: u32,
    pub(super) tracking_domain: Option<String>,
}

pub(super) fn one_line(faults: &mut Faults, field: &str, text: &str, most: usize) {
    if text.chars().any(char::is_control) {
        faults.add(field, "invalid_text", "It must be one line without control characters.");
    } else if text.chars().count() > most {
        faults.add(field, "too_long", format!("It has at most {most} characters."));
    }
}

/// What is wrong with the name of a server and with how the line to it is protected, with the cure for each.
pub(super) fn check_server(faults: &mut Faults, (host, security): (&str, &str), cures: (&'static str, &'static str)) {
    if host.is_empty() || host.len() > 253 || !host.bytes().all(|byte| byte.is_ascii_graphic()) {
        faults.add("host", "invalid_host", cures.0);
    }
    if !["none", "start_tls", "tls"].contains(&security) {
        faults.add("security", "unknown", cures.1);
    }
}

pub(super) fn check_port(faults: &mut Faults, port: u16) {
    if port == 0 {
        faults.add("port", "out_of_range", "A port is a number from 1 to 65535.");
    }
}

/// Whether it is the name of a machine, with a domain.
fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(label)
}

/// What an account at Gmail may not have, and what Google does not take.
fn check_gmail(faults: &mut Faults, wish: &AccountWish) {
    let server = [
        ("host", !wish.host.is_empty()),
        ("user_name", !wish.user_name.is_empty()),
        ("password", wish.password.is_some()),
    ];
    for (field, _) in server.into_iter().filter(|(_, given)| *given) {
        let detail = "An account at Gmail has no server and no password: leave it out, and sign in to the account.";
        faults.add(field, "not_for_gmail", detail);
    }
    if wish.daily_cap > MOST_A_DAY {
        let detail = format!(
            "Google takes at most {MOST_A_DAY} emails of an account in any 24 hours: give {MOST_A_DAY} or less."
        );
        faults.add("daily_cap", "out_of_range", detail);
    }
    if wish.connections > 1 {
        let detail = "An account at Gmail sends one email after the other: give 1, or leave it out.";
        faults.add("connections", "out_of_range", detail);
    }
}

/// What is wrong with a wish, by field; or the address.
fn checked(wish: &AccountWish) -> Result<String> {
    let mut faults = Faults::default();
    let address = faults.keep("address", EmailAddress::parse(&wish.address));
    if let Some(reply_to) = &wish.reply_to {
        faults.keep("reply_to", EmailAddress::parse(reply_to));
    }
    one_line(&mut faults, "sender_name", &wish.sender_name, 200);
    one_line(&mut faults, "user_name", &wish.user_name, 254);
    check_port(&mut faults, wish.port);
    match wish.kind.as_str() {
        "smtp" => {
            let cures = (
                "Write the name of the server, such as smtp.example.com.",
                "It is start_tls (port 587), tls (port 465) or none.",
            );
            check_server(&mut faults, (&wish.host, &wish.security), cures);
        }
        GMAIL => check_gmail(&mut faults, wish),
        _ => faults.add("kind", "unknown", "It is smtp or gmail."),
    }
    let bounds = [
        ("daily_cap", u64::from(wish.daily_cap), 1_000_000),
        ("gap_seconds", wish.gap_seconds, 86_400),
        ("domain_gap_seconds", wish.domain_gap_seconds, 86_400),
    ];
    for (field, number, most) in bounds {
        if number > most {
            faults.add(field, "out_of_range", format!("It is at most {most}."));
        }
    }
    if let Some(domain) = &wish.tracking_domain
        && !is_host(domain)
    {
        faults.add("tracking_domain", "invalid_host", "Write a name alone, such as links.example.com.");
    }
    if !(1..=20).contains(&wish.connections) {
        faults.add("connections", "out_of_range", "An account has 1 to 20 connections.");
    }
    if let Some(((selector, domain), pem)) = wish.dkim.as_ref().zip(wish.dkim_key.as_ref()) {
        let signer = Key::from_pem(pem).and_then(|key| Signer::new(domain, selector, key));
        if let Err(fault) = signer {
            faults.add("dkim", fault.code, fault.detail);
        }
    }
    faults.judge()?;
    Ok(address.map(|address| address.as_str().to_owned()).unwrap_or_default())
}

impl Outreach {
    /// An account.
    pub(super) async fn account(&self, call: &Call, tenant: TenantId, id: SendingAccountId) -> Result<SendingAccount> {
        self.store.run(call, GetAccount { tenant, id }).await?.ok_or_else(|| Error::not_found("sending account"))
    }

    fn account_settings(
        &self,
        (tenant, id): (TenantId, SendingAccountId),
        wish: AccountWish,
        known: Option<&SendingAccount>,
    ) -> Result<(String, AccountSettings)> {
        let address = checked(&wish)?;
        let seal = |column, secret: &Option<Secret>| {
            let place = Place { column, tenant, row: id.uuid() };
            secret.as_ref().map(|plain| self.keys.seal(place, plain)).transpose()
        };
        let ramp = wish.ramp.map(|(start, step)| {
            let from = known.and_then(|known| known.settings.ramp).map_or(self.clock.now(), |ramp| ramp.from);
            Ramp { start, step, from }
        });
        let gap = if wish.kind == GMAIL { wish.gap_seconds.max(LEAST_GAP) } else { wish.gap_seconds };
        let settings = AccountSettings {
            sender_name: wish.sender_name,
            reply_to: wish.reply_to,
            kind: wish.kind,
            host: wish.host,
            port: wish.port,
            security: wish.security,
            user_name: wish.user_name,
            secret: seal(SealedColumn::AccountSecret, &wish.password)?,
            dkim: wish.dkim,
            dkim_key: seal(SealedColumn::AccountDkimKey, &wish.dkim_key)?,
            daily_cap: wish.daily_cap,
            ramp,
            gap: Duration::from_secs(gap),
            domain_gap: Duration::from_secs(wish.domain_gap_seconds),
            connections: wish.connections,
            tracking_domain: wish.tracking_domain.map(|domain| domain.to_ascii_lowercase()),
        };
        Ok((address, settings))
    }

    /// Makes an account.
    ///
    /// # Errors
    /// `invalid_input` by field, and a conflict when another has its address.
    pub(super) async fn create_account(
        &self,
        call: &Call,
        tenant: TenantId,
        wish: AccountWish,
    ) -> Result<SendingAccount> {
        let id: SendingAccountId = self.ids.make();
        let (address, settings) = self.account_settings((tenant, id), wish, None)?;
        let put = PutAccount { tenant, id, address, new: true, settings, now: self.clock.now() };
        if !self.store.run(call, put).await? {
            let detail = "Another account has this address. Change that one.";
            return Err(Error::new(Kind::Conflict, "address_taken", detail));
        }
        self.account(call, tenant, id).await
    }

    /// Changes how an account sends. What is secret stays as it is where nothing is said of it.
    ///
    /// # Errors
    /// `invalid_input` by field.
    pub(super) async fn change_account(
        &self,
        call: &Call,
        tenant: TenantId,
        id: SendingAccountId,
        wish: AccountWish,
    ) -> Result<SendingAccount> {
        let known = self.account(call, tenant, id).await?;
        if known.settings.kind != wish.kind {
            let detail = format!("It is {}, and never changes. Make another account.", known.settings.kind);
            return Err(Error::invalid_field("kind", "fixed", detail));
        }
        let (address, settings) = self.account_settings((tenant, id), wish, Some(&known))?;
        let put = PutAccount { tenant, id, address, new: false, settings, now: self.clock.now() };
        if !self.store.run(call, put).await? {
            let detail = "The address of an account never changes. Make another account.";
            return Err(Error::invalid_field("address", "fixed", detail));
        }
        self.account(call, tenant, id).await
    }

    /// Tells an account to send, or to rest.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn set_account(
        &self,
        call: &Call,
        tenant: TenantId,
        id: SendingAccountId,
        state: AccountState,
    ) -> Result<SendingAccount> {
        let known = self.account(call, tenant, id).await?;
        if state == AccountState::Active && known.settings.kind == GMAIL && known.settings.secret.is_none() {
            let detail = "Nobody has signed in to the account yet. Sign in to it; then it sends.";
            return Err(Error::new(Kind::Conflict, "not_signed_in", detail));
        }
        let reason = (state == AccountState::Paused).then(|| BY_SOMEBODY.to_owned());
        self.store.run(call, SetAccountState { tenant, id, state, reason, now: self.clock.now() }).await?;
        self.account(call, tenant, id).await
    }
}
