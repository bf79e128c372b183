//! One email on its way out by the Gmail API.
//!
//! Google answers a send with what it calls the message, or says why it has not taken it. Whatever ends without either may
//! have been taken: it is unknown, and is looked for where sent mail is kept.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use mainstay_domain::{Secret, StopReason, TenantId};
use mainstay_store::{Call, ClaimedEmail, EmailEnd, SendNotBefore, SendingAccount, ServerSaid};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::path;
use crate::google::{Ask, Fault, GoogleApi, Holder};
use crate::outreach::Outreach;
use crate::outreach::compose::{MOST_SAID, Ready, beginning};
use crate::outreach::figures::Step;
use crate::outreach::line::NoLine;
use crate::outreach::sending::{Halt, Sender, in_words};
use crate::providers::api::ApiFault;

/// How long an account waits that Google asks to come back later, where it does not say when.
const SLOWER: Duration = Duration::from_secs(60);
/// How long an account waits when nobody knows what came of an email: it may be Google, and the others would be unknown too.
const DOUBT: Duration = Duration::from_secs(2);
/// Up to which attempt an email names its thread: who has deleted that has it refused.
const IN_THREAD: u32 = 3;

/// What an email is sent with: a token that is good now.
pub(in crate::outreach) struct Leave<'a> {
    google: &'a GoogleApi,
    refresh_token: Secret,
    account: uuid::Uuid,
    token: Secret,
    /// Whether the token was fetched for this one.
    fresh: bool,
}

impl Leave<'_> {
    const fn holder(&self) -> Holder<'_> {
        Holder { id: self.account, refresh_token: &self.refresh_token }
    }

    /// Hands a message over, a single time.
    pub(in crate::outreach) async fn send(&self, message: &[u8], thread: Option<&str>) -> Result<Value, ApiFault> {
        let mut body = json!({"raw": URL_SAFE.encode(message)});
        if let Some(thread) = thread {
            body["threadId"] = json!(thread);
        }
        self.google.once(&self.token, &Ask::post(&path(&["messages", "send"]), &body)).await
    }
}

/// Why an email may not be sent now, and when it may.
pub(in crate::outreach) enum NoLeave {
    /// For the account as a whole.
    Line(NoLine),
    /// Not before so long.
    Wait(Duration, String),
}

impl Outreach {
    /// What an email of an account is sent with. All that may fail before anything of it goes out fails here.
    ///
    /// # Errors
    /// See [`NoLeave`].
    pub(in crate::outreach) async fn gmail_leave(
        &self,
        tenant: TenantId,
        account: &SendingAccount,
    ) -> Result<Leave<'_>, NoLeave> {
        let google = self.gmail_or_wait().map_err(NoLeave::Line)?;
        let refresh_token = self.gmail_secret(tenant, account).map_err(NoLeave::Line)?;
        google.ready().map_err(|wait| NoLeave::Wait(wait, Fault::Away(wait).words()))?;
        let id = account.id.uuid();
        let access = google.access(&Holder { id, refresh_token: &refresh_token }).await;
        let (token, fresh) = access.map_err(|fault| match fault {
            Fault::Away(wait) | Fault::Busy(Some(wait)) => NoLeave::Wait(wait, fault.words()),
            fault => NoLeave::Line(fault.into()),
        })?;
        Ok(Leave { google, refresh_token, account: id, token, fresh })
    }
}

/// What Google has said of an email that it has taken.
fn taken(answer: &Value) -> Option<(String, Option<String>)> {
    let word = |name: &str| answer[name].as_str().filter(|word| !word.is_empty() && word.len() <= 200);
    Some((word("id")?.to_owned(), word("threadId").map(str::to_owned)))
}

/// What Google has said of one that it has not.
pub(in crate::outreach) fn said_of(fault: &ApiFault) -> ServerSaid {
    let code = match fault {
        ApiFault::Refused(status, _) => Some(*status),
        ApiFault::Busy(_) => Some(429),
        _ => None,
    };
    let text = match fault {
        ApiFault::Refused(status, reason) => format!("Google has refused it with {status} {reason}."),
        ApiFault::Busy(_) => "Google asks to come back later.".to_owned(),
        other => format!("Google: {other}."),
    };
    ServerSaid { code, enhanced: None, text: beginning(&text, MOST_SAID) }
}

impl Sender<'_> {
    /// Sends an email that was written.
    pub(in crate::outreach) async fn send_by_gmail(&self, email: &ClaimedEmail, ready: &Ready) -> Result<(), Halt> {
        let began = Instant::now();
        let leave = match self.outreach.gmail_leave(self.tenant, &self.run.account).await {
            Ok(leave) => leave,
            Err(NoLeave::Line(no)) => return Err(self.no_line(email, no).await),
            Err(NoLeave::Wait(wait, why)) => {
                self.release(email, &why).await;
                return Err(Halt::Later(wait, why));
            }
        };
        self.took(Step::Open, began);
        if !self.fence(email).await? {
            return Ok(());
        }
        let began = Instant::now();
        let thread = email.earlier.iter().rev().find_map(|one| one.thread.as_deref());
        let thread = thread.filter(|_| email.attempts < IN_THREAD);
        let outcome = leave.send(&ready.message, thread).await;
        self.took(Step::Deliver, began);
        match outcome {
            Ok(answer) => match taken(&answer) {
                Some((id, thread)) => {
                    self.accepted_by_gmail(email, (id.clone(), thread)).await;
                    let of = (id.as_str(), email.message_id.as_str());
                    self.outreach.learn_message_id(&leave.holder(), (self.tenant, email.id), of).await;
                    Ok(())
                }
                None => self.doubt(email, "Google did not say what it calls it.").await,
            },
            Err(fault) => self.not_taken(email, fault, &leave).await,
        }
    }

    async fn accepted_by_gmail(&self, email: &ClaimedEmail, provider: (String, Option<String>)) {
        let said = ServerSaid { code: Some(200), enhanced: None, text: format!("Google has it as {}.", provider.0) };
        let next = self.next(email);
        self.outreach.figures.accepted(self.now().since(email.due_at));
        self.end(email, true, EmailEnd::Accepted { said, provider: Some(provider), next }).await;
    }

    /// Nobody knows whether Google has it.
    async fn doubt(&self, email: &ClaimedEmail, why: &str) -> Result<(), Halt> {
        self.end(email, true, EmailEnd::Unknown(beginning(why, MOST_SAID))).await;
        Err(Halt::Later(self.spread(DOUBT), why.to_owned()))
    }

    /// Puts back what Google has not taken for a reason that does not lie in it.
    async fn put_back(&self, email: &ClaimedEmail, why: &str) {
        let (until, why) = (self.now(), beginning(why, MOST_SAID));
        self.end(email, true, EmailEnd::Released { until, why }).await;
    }

    /// Google has not taken it, or nobody knows.
    async fn not_taken(&self, email: &ClaimedEmail, fault: ApiFault, leave: &Leave<'_>) -> Result<(), Halt> {
        let said = said_of(&fault);
        match fault {
            ApiFault::Unknown(why) => self.doubt(email, &format!("Google: {why}.")).await,
            ApiFault::LeftAlone(wait) => {
                self.put_back(email, &said.text).await;
                Err(Halt::Later(wait, said.text))
            }
            ApiFault::NotSent(_) => {
                self.put_back(email, &said.text).await;
                Err(Halt::Later(self.spread(SLOWER), said.text))
            }
            ApiFault::Busy(after) => self.too_often(email, after, said).await,
            // It may have been taken back, or have ended early: a token that was fetched just now tells.
            ApiFault::Refused(401, _) => {
                leave.google.forget(leave.account);
                self.put_back(email, &said.text).await;
                if !leave.fresh {
                    return Err(Halt::Later(Duration::ZERO, said.text));
                }
                Err(Halt::Account(format!("{} Sign in to it again.", said.text)))
            }
            ApiFault::Refused(403, _) => self.account_is_wrong(email, true, said).await,
            ApiFault::Refused(400, reason) if reason == "failedPrecondition" => {
                self.account_is_wrong(email, true, said).await
            }
            ApiFault::Refused(400 | 413, _) => self.rejected(email, true, said, StopReason::Stopped).await,
            ApiFault::Refused(..) => {
                self.deferred(email, true, said).await;
                Ok(())
            }
        }
    }

    /// The account sends too much. The email waits, and so does the account, whoever wakes it: that is no fault of the email,
    /// so it is not given up however often it happens.
    async fn too_often(&self, email: &ClaimedEmail, after: Option<Duration>, said: ServerSaid) -> Result<(), Halt> {
        let wait = after.unwrap_or(SLOWER).mul_f64(1.0 + 0.2 * self.outreach.entropy.fraction());
        let until = self.now().plus(wait);
        let text = said.text.clone();
        self.end(email, true, EmailEnd::Deferred { said, until }).await;
        let rest = SendNotBefore { run: self.of, until };
        if let Err(error) = self.outreach.store.run_for_jobs(&Call::within(super::PATIENCE), rest).await {
            tracing::warn!(%error, account = %self.of.account, "that an account waits could not be stored");
        }
        Err(Halt::Later(wait, text))
    }
}

impl From<NoLeave> for ServerSaid {
    fn from(no: NoLeave) -> Self {
        match no {
            NoLeave::Line(NoLine::Away(why) | NoLine::Account(why)) | NoLeave::Wait(_, why) => in_words(&why),
        }
    }
}
