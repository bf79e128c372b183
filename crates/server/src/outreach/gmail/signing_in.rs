//! Signing in: somebody goes to Google, lets this installation send and read by their account, and comes back. Who began is
//! who ends, once, within ten minutes.

use mainstay_domain::{Error, Kind, Result, SendingAccountId, TenantId, Timestamp};
use mainstay_store::{BeginSignIn, Call, MailboxSettings, SealedColumn, SendingAccount, SignInAccount, TakeSignIn};

use super::{GMAIL, path};
use crate::accounts::Member;
use crate::google::{Ask, Codes, Holder, LASTS, Purpose, SignIn};
use crate::keys::Place;
use crate::outreach::Outreach;

/// What errors are called.
const CODES: Codes = Codes { away: "gmail_away", reconnect: "gmail_reconnect", refused: "gmail_refused" };

impl Outreach {
    fn gmail_redirect(&self) -> String {
        format!("{}/sending-accounts", self.address)
    }

    async fn gmail_account(&self, call: &Call, tenant: TenantId, id: SendingAccountId) -> Result<SendingAccount> {
        let account = self.account(call, tenant, id).await?;
        if account.settings.kind != GMAIL {
            let detail = "The account sends by SMTP: change its user name and password instead.";
            return Err(Error::new(Kind::Conflict, "not_gmail", detail));
        }
        Ok(account)
    }

    /// Where somebody goes to sign in to an account, and until when they may come back.
    ///
    /// # Errors
    /// A conflict where the account is none of Gmail's, or Gmail is not set up.
    pub(in crate::outreach) async fn begin_sign_in(
        &self,
        call: &Call,
        by: &Member,
        id: SendingAccountId,
    ) -> Result<(String, Timestamp)> {
        self.gmail_account(call, by.tenant, id).await?;
        let google = self.gmail_or_conflict()?;
        let sign_in = SignIn::begin(&self.ids, &*self.entropy);
        let url = google.authorization_url(&self.gmail_redirect(), &sign_in.state(), sign_in.secret())?;
        let (now, expires_at) = (self.clock.now(), self.clock.now().plus(LASTS));
        let begin = BeginSignIn {
            id: sign_in.id,
            tenant: by.tenant,
            person: by.person,
            subject: id.uuid(),
            hash: sign_in.hash(Purpose::Mail),
            expires_at,
            now,
        };
        self.store.run(call, begin).await?;
        Ok((url, expires_at))
    }

    /// Somebody comes back with what Google gave them: the account sends, and its mailbox is read.
    ///
    /// # Errors
    /// A conflict where they did not begin it, what Google says, and `invalid_input` when they have signed in as another.
    pub(in crate::outreach) async fn finish_sign_in(
        &self,
        call: &Call,
        by: &Member,
        (state, code): (&str, &str),
    ) -> Result<SendingAccount> {
        let google = self.gmail_or_conflict()?;
        let sign_in = SignIn::back(state, code)?;
        let (tenant, person, now) = (by.tenant, by.person, self.clock.now());
        let take = TakeSignIn { id: sign_in.id, tenant, person, hash: sign_in.hash(Purpose::Mail), now };
        let id = SendingAccountId(self.store.run(call, take).await?.ok_or_else(SignIn::refused)?);
        let account = self.gmail_account(call, tenant, id).await?;
        // Until it is known who has signed in, nobody else is asked by their token.
        let guest = sign_in.id.uuid();
        let token = google.exchange(guest, (code, &self.gmail_redirect(), sign_in.secret())).await;
        let token = token.map_err(|fault| fault.told(&CODES))?;
        let holder = Holder { id: guest, refresh_token: &token };
        let profile = google.ask(&holder, &Ask::get(&path(&["profile"]), &[])).await;
        google.forget(guest);
        let profile = profile.map_err(|fault| fault.told(&CODES))?;
        let address = profile["emailAddress"].as_str().unwrap_or_default();
        if !address.eq_ignore_ascii_case(&account.address) {
            let shown: String = address.chars().filter(|letter| !letter.is_control()).take(254).collect();
            let detail = format!(
                "You signed in to Google as {shown}, and this account sends from {}. Sign in as that one, or make an account for {shown}.",
                account.address
            );
            return Err(Error::invalid_field("address", "other_account", detail));
        }
        let seal = |column| self.keys.seal(Place { column, tenant, row: id.uuid() }, &token);
        let mailbox = MailboxSettings {
            host: "gmail.googleapis.com".to_owned(),
            port: 443,
            security: "tls".to_owned(),
            user_name: account.address,
            secret: seal(SealedColumn::MailboxSecret)?,
            folder: "INBOX".to_owned(),
        };
        let secret = seal(SealedColumn::AccountSecret)?;
        if !self.store.run(call, SignInAccount { tenant, id, secret, mailbox, now }).await? {
            return Err(Error::not_found("sending account"));
        }
        google.forget(id.uuid());
        self.account(call, tenant, id).await
    }
}
