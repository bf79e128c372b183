//! How an organisation sends text messages.

use std::collections::BTreeMap;

use mainstay_domain::{InboxSourceId, QuietHours, TenantId, TextReason, Timestamp};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, json};

statements! {
    PUT = both("
        INSERT INTO text_settings (tenant_id, source_id, account, sender, enabled, confirms, reminders, quiet, wording, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT (tenant_id) DO UPDATE SET source_id = excluded.source_id, account = excluded.account,
          sender = excluded.sender, enabled = excluded.enabled, confirms = excluded.confirms, reminders = excluded.reminders,
          quiet = excluded.quiet, wording = excluded.wording, updated_at = excluded.updated_at");
    GET = both("
        SELECT source_id, account, sender, enabled, confirms, reminders, quiet, wording FROM text_settings WHERE tenant_id = $1");
}

/// How an organisation sends text messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextSettings {
    /// The sender of the inbox by which the provider's callbacks come. Its secret is the account's.
    pub source: InboxSourceId,
    /// The provider's account.
    pub account: String,
    /// Our number (E.164), or the provider's id of a service that has numbers.
    pub sender: String,
    /// Whether anything is sent.
    pub enabled: bool,
    /// Whether it is told that an appointment was made, moved or cancelled.
    pub confirms: bool,
    /// How many minutes before an appointment somebody is reminded.
    pub reminders: Vec<u32>,
    /// When nobody is disturbed.
    pub quiet: Option<QuietHours>,
    /// What is said. What is not in it is said in the usual words.
    pub wording: BTreeMap<TextReason, String>,
}

#[derive(sqlx::FromRow)]
pub(super) struct SettingsRow {
    source_id: Uuid,
    account: String,
    sender: String,
    enabled: i64,
    confirms: i64,
    reminders: String,
    quiet: Option<String>,
    wording: String,
}

impl TryFrom<SettingsRow> for TextSettings {
    type Error = Error;

    fn try_from(row: SettingsRow) -> Result<Self> {
        let corrupt = |error: serde_json::Error| Error::Corrupt(format!("the settings of text messages: {error}"));
        Ok(Self {
            source: InboxSourceId(row.source_id),
            account: row.account,
            sender: row.sender,
            enabled: row.enabled == 1,
            confirms: row.confirms == 1,
            reminders: reminders(&row.reminders)?,
            quiet: quiet(row.quiet.as_deref())?,
            wording: serde_json::from_str(&row.wording).map_err(corrupt)?,
        })
    }
}

pub(super) fn reminders(text: &str) -> Result<Vec<u32>> {
    serde_json::from_str(text).map_err(|error| Error::Corrupt(format!("the times of reminders: {error}")))
}

pub(super) fn quiet(text: Option<&str>) -> Result<Option<QuietHours>> {
    let read = |text: &str| text.parse().map_err(|_| Error::Corrupt("quiet hours cannot be read".to_owned()));
    text.map(read).transpose()
}

/// Says how an organisation sends text messages.
#[derive(Clone, Debug)]
pub struct PutTextSettings {
    /// The organisation.
    pub tenant: TenantId,
    /// How.
    pub settings: TextSettings,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for PutTextSettings {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let TextSettings { source, account, sender, enabled, confirms, reminders, quiet, wording } = &self.settings;
        let put = tx.query(PUT).bind(self.tenant.uuid()).bind(source.uuid()).bind(account.clone()).bind(sender.clone());
        let put = put.bind(i64::from(*enabled)).bind(i64::from(*confirms)).bind(json(reminders)?);
        let put = put.bind(quiet.map(|quiet| quiet.to_string())).bind(json(wording)?);
        put.bind(At(self.now)).run().await.map(drop)
    }
}

/// Reads how an organisation sends text messages; nothing where nobody has said.
#[derive(Clone, Copy, Debug)]
pub struct GetTextSettings(pub TenantId);

impl Intent for GetTextSettings {
    type Output = Option<TextSettings>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.0)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        settings_of(tx, self.0).await
    }
}

pub(super) async fn settings_of(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Option<TextSettings>> {
    let row: Option<SettingsRow> = tx.query(GET).bind(tenant.uuid()).row().await?;
    row.map(TextSettings::try_from).transpose()
}
