//! The mailboxes that are read for accounts.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use mainstay_domain::{AccountState, Secret, SendingAccountId, Timestamp};
use mainstay_store::StoredMailbox;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::mailboxes::MailboxWish;
use crate::accounts::{Administrator, Reader};
use crate::app::App;
use crate::http::{Document, Json, Path, Problem, RequestContext};

/// How the mailbox of an account is read, by IMAP (RFC 3501).
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MailboxWish)]
pub struct MailboxWishBody {
    #[schema(value_type = crate::openapi::words::HostName)]
    host: String,
    #[serde(default = "imaps")]
    #[schema(minimum = 1)]
    port: u16,
    /// `tls`, `start_tls` or `none`. No password goes over a line that is not protected, but to this machine.
    #[serde(default = "tls")]
    #[schema(value_type = crate::openapi::words::Security)]
    security: String,
    #[schema(max_length = 254)]
    user_name: String,
    /// It is stored sealed and never shown; leave it out to keep the one that is there.
    #[serde(default)]
    password: Option<String>,
    /// The folder that mail comes into.
    #[serde(default = "inbox")]
    #[schema(min_length = 1, max_length = 200)]
    folder: String,
}

const fn imaps() -> u16 {
    993
}

fn tls() -> String {
    "tls".to_owned()
}

fn inbox() -> String {
    "INBOX".to_owned()
}

impl From<MailboxWishBody> for MailboxWish {
    fn from(body: MailboxWishBody) -> Self {
        Self {
            host: body.host,
            port: body.port,
            security: body.security,
            user_name: body.user_name,
            password: body.password.map(Secret::new),
            folder: body.folder,
        }
    }
}

/// A mailbox that is read.
#[derive(Serialize, ToSchema)]
#[schema(as = Mailbox)]
pub struct MailboxBody {
    account_id: Uuid,
    host: String,
    port: u16,
    security: String,
    user_name: String,
    folder: String,
    /// `active`, or `reconnect` while its server does not let it in.
    #[schema(value_type = crate::openapi::words::AccountState)]
    state: AccountState,
    /// Why it is not read, or was not the last time.
    reason: Option<String>,
    /// When it was last read to its end.
    #[schema(value_type = Option<String>, format = DateTime)]
    looked_at: Option<Timestamp>,
}

impl From<StoredMailbox> for MailboxBody {
    fn from(mailbox: StoredMailbox) -> Self {
        Self {
            account_id: mailbox.account.uuid(),
            host: mailbox.settings.host,
            port: mailbox.settings.port,
            security: mailbox.settings.security,
            user_name: mailbox.settings.user_name,
            folder: mailbox.settings.folder,
            state: mailbox.state,
            reason: mailbox.reason,
            looked_at: mailbox.looked_at,
        }
    }
}

/// Tells how the mailbox of an account is read, and how that goes.
#[utoipa::path(get, path = "/v1/sending-accounts/{id}/mailbox", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 200, body = MailboxBody), (status = "default", body = Document<'static>)))]
pub async fn get(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
) -> Result<Json<MailboxBody>, Problem> {
    Ok(Json(app.outreach.mailbox(&context.call, by.tenant, SendingAccountId(id)).await?.into()))
}

/// Has the mailbox of an account be read: answers, bounces and complaints stop whoever they are about. Mail that is in it
/// already is not read.
#[utoipa::path(put, path = "/v1/sending-accounts/{id}/mailbox", tag = "outreach", params(("id" = Uuid, Path)),
    request_body = MailboxWishBody,
    responses((status = 200, body = MailboxBody), (status = "default", body = Document<'static>)))]
pub async fn put(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
    Json(body): Json<MailboxWishBody>,
) -> Result<Json<MailboxBody>, Problem> {
    Ok(Json(app.outreach.put_mailbox(&context.call, by.tenant, SendingAccountId(id), body.into()).await?.into()))
}

/// Has the mailbox of an account be read no more.
#[utoipa::path(delete, path = "/v1/sending-accounts/{id}/mailbox", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 204), (status = "default", body = Document<'static>)))]
pub async fn remove(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    app.outreach.remove_mailbox(&context.call, by.tenant, SendingAccountId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
