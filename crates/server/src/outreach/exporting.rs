//! Leads and figures as tables: CSV (RFC 4180) that spreadsheet programs take for data.
//!
//! A table is made while it is read: a page of rows, then nothing until the client has taken them. No transaction is open
//! meanwhile, and no more than a page is in memory. A client that reads nothing is cut off like any other
//! (`http.write_timeout_ms`), and one that goes ends its table. When something fails on the way, the answer breaks off, so
//! that no half of a table is taken for a whole one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::{Stream, StreamExt as _, stream};
use mainstay_domain::{
    CampaignId, Error, Kind, LeadId, LeadState, Result, SendingAccountId, StepVariantId, TenantId, Timestamp,
};
use mainstay_import::write_row;
use mainstay_store::{
    AccountsInUse, Call, CameOfLead, ExportLeads, GetAccount, Lead, OutreachFigure, ReadFieldNames, ReadFigures,
    ReadSteps, ReadVariant,
};
use tokio::time::Instant;

use super::Outreach;
use crate::app::App;

/// How many tables are made at once on a node, and of one organisation.
const MOST_EXPORTS: usize = 8;
const MOST_OF_TENANT: usize = 2;
/// How long making one may take: a client that takes longer gets no whole one.
const LONGEST: Duration = Duration::from_secs(600);
/// How long one page may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How many rows are read at once.
const PAGE: u32 = 500;
const NAMES_PAGE: u32 = 2_000;
/// How many fields have a column of their own. The others stand together in the last one.
const MOST_COLUMNS: usize = 200;
/// How many texts and accounts are named that the campaign has no longer.
const MOST_FORMER: usize = 100;

/// Columns that every table of leads has.
const COLUMNS: [&str; 15] = [
    "email",
    "first_name",
    "last_name",
    "company",
    "time_zone",
    "state",
    "step",
    "sent",
    "opened",
    "clicked",
    "replied",
    "bounced",
    "converted",
    "added_at",
    "stopped_at",
];
/// Those of them that are fields of the lead.
const OWN: [&str; 3] = ["first_name", "last_name", "company"];
/// The column of fields that have none of their own, as JSON.
const OTHERS: &str = "other_fields";

/// The tables that are being made, by organisation.
#[derive(Debug, Default)]
pub(super) struct Exports(Arc<Mutex<BTreeMap<TenantId, usize>>>);

/// The right to make one, until it is dropped.
struct Place {
    running: Arc<Mutex<BTreeMap<TenantId, usize>>>,
    tenant: TenantId,
    app: Arc<App>,
    outcome: &'static str,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_tenant) = running.get_mut(&self.tenant) {
            *of_tenant -= 1;
            if *of_tenant == 0 {
                running.remove(&self.tenant);
            }
        }
        self.app.outreach.figures.exported(self.outcome, running.values().sum());
    }
}

impl Exports {
    fn enter(&self, app: &Arc<App>, tenant: TenantId) -> Result<Place> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, of_tenant) = (running.values().sum::<usize>(), running.get(&tenant).copied().unwrap_or(0));
        if all >= MOST_EXPORTS || of_tenant >= MOST_OF_TENANT {
            app.outreach.figures.exported("refused", all);
            let detail = format!(
                "{MOST_OF_TENANT} tables of an organisation are made at once, and {MOST_EXPORTS} in all. Ask again when one is done."
            );
            return Err(Error::new(Kind::TooManyRequests, "exports_busy", detail).retry_after(Duration::from_secs(5)));
        }
        *running.entry(tenant).or_default() += 1;
        app.outreach.figures.exporting(all + 1);
        Ok(Place { running: Arc::clone(&self.0), tenant, app: Arc::clone(app), outcome: "gone" })
    }
}

/// Where a table is.
enum At {
    /// Nothing was written: what the columns are is not known yet.
    Head,
    /// Leads after this one, up to that one.
    Leads {
        after: Option<LeadId>,
        last: LeadId,
    },
    /// Figures that were read and are still to be written.
    Figures(Box<Named>),
    End,
}

/// Figures with what their texts and accounts are called.
struct Named {
    figures: std::vec::IntoIter<OutreachFigure>,
    texts: BTreeMap<StepVariantId, String>,
    accounts: BTreeMap<SendingAccountId, String>,
}

/// A table that is being made.
struct Table {
    place: Place,
    campaign: CampaignId,
    until: Instant,
    /// The fields that have a column, in their order.
    fields: Vec<String>,
    has_others: bool,
    at: At,
}

impl Table {
    fn new(app: &Arc<App>, tenant: TenantId, campaign: CampaignId) -> Result<Self> {
        let place = app.outreach.exports.enter(app, tenant)?;
        let until = Instant::now() + LONGEST;
        Ok(Self { place, campaign, until, fields: Vec::new(), has_others: false, at: At::Head })
    }

    /// The bound of the next question to the database.
    fn call(&self) -> Result<Call> {
        if Instant::now() >= self.until {
            return Err(Error::new(Kind::Timeout, "too_slow", "The table was read too slowly."));
        }
        Ok(Call::within(PATIENCE))
    }

    /// Notes how it ended, and says so to whoever reads it.
    fn failed(&mut self, error: Error) -> std::io::Error {
        tracing::warn!(%error, campaign = %self.campaign, "a table was not made to its end");
        self.place.outcome = "failed";
        self.at = At::End;
        std::io::Error::other(error.to_string())
    }

    /// The names of all fields of the leads, and the last lead there is now.
    async fn look_through(&mut self) -> Result<Option<LeadId>> {
        let (mut names, mut last) = (BTreeSet::<String>::new(), None);
        loop {
            let (tenant, campaign) = (self.place.tenant, self.campaign);
            let read = ReadFieldNames { tenant, campaign, after: last, limit: NAMES_PAGE };
            let page = self.place.app.store.run(&self.call()?, read).await?;
            let count = page.len();
            for (id, fields) in page {
                last = Some(id);
                for name in fields.into_iter().filter(|name| !OWN.contains(&name.as_str())) {
                    // One more than there are columns tells that there are others.
                    if names.len() <= MOST_COLUMNS || names.contains(&name) {
                        names.insert(name);
                    }
                }
            }
            if count < NAMES_PAGE as usize {
                break;
            }
        }
        self.has_others = names.len() > MOST_COLUMNS;
        self.fields = names.into_iter().take(MOST_COLUMNS).collect();
        Ok(last)
    }

    fn head(&self) -> String {
        let mut head = String::new();
        let fields = self.fields.iter().map(|name| column_of(name));
        let others = self.has_others.then_some(OTHERS);
        write_row(COLUMNS.into_iter().chain(fields).chain(others), &mut head);
        head
    }

    /// The next piece of a table of leads. An empty one is its end.
    async fn leads(&mut self) -> Result<String> {
        match self.at {
            At::Head => {
                let last = self.look_through().await?;
                self.at = last.map_or(At::End, |last| At::Leads { after: None, last });
                Ok(self.head())
            }
            At::Leads { after, last } => {
                let (tenant, campaign) = (self.place.tenant, self.campaign);
                let read = ExportLeads { tenant, campaign, after, last, limit: PAGE };
                let page = self.place.app.store.run(&self.call()?, read).await?;
                let mut rows = String::new();
                for (lead, came) in &page {
                    self.write_lead(lead, *came, &mut rows)?;
                }
                self.at = match page.last() {
                    Some((lead, _)) if page.len() == PAGE as usize => At::Leads { after: Some(lead.id), last },
                    _ => At::End,
                };
                Ok(rows)
            }
            At::Figures(_) | At::End => Ok(String::new()),
        }
    }

    fn write_lead(&self, lead: &Lead, came: CameOfLead, to: &mut String) -> Result<()> {
        let field = |name: &str| lead.fields.get(name).cloned().unwrap_or_default();
        let counts = [came.sent, came.opened, came.clicked, came.replied, came.bounced, came.converted];
        let mut row = vec![lead.address.clone()];
        row.extend(OWN.iter().map(|name| field(name)));
        row.extend([lead.zone.clone(), lead.state.as_str().to_owned(), lead.step.to_string()]);
        row.extend(counts.iter().map(u32::to_string));
        row.extend([lead.created_at.to_string(), stopped_at(lead).map(|at| at.to_string()).unwrap_or_default()]);
        row.extend(self.fields.iter().map(|name| field(name)));
        if self.has_others {
            let has_column = |name: &String| OWN.contains(&name.as_str()) || self.fields.contains(name);
            let others: BTreeMap<_, _> = lead.fields.iter().filter(|(name, _)| !has_column(name)).collect();
            row.push(if others.is_empty() {
                String::new()
            } else {
                serde_json::to_string(&others).map_err(Error::internal)?
            });
        }
        write_row(row.iter().map(String::as_str), to);
        Ok(())
    }

    /// The next piece of a table of figures. An empty one is its end.
    async fn figures(&mut self) -> Result<String> {
        let mut rows = String::new();
        if matches!(self.at, At::Head) {
            self.at = At::Figures(Box::new(self.named().await?));
            write_row(["day", "step", "variant_id", "variant", "account_id", "account", "kind", "count"], &mut rows);
        }
        let At::Figures(named) = &mut self.at else { return Ok(rows) };
        for figure in named.figures.by_ref().take(PAGE as usize) {
            write_figure(&figure, (&named.texts, &named.accounts), &mut rows);
        }
        if named.figures.len() == 0 {
            self.at = At::End;
        }
        Ok(rows)
    }

    /// Reads figures, and what the texts and accounts are called that they are of.
    async fn named(&self) -> Result<Named> {
        let (store, tenant, campaign) = (&self.place.app.store, self.place.tenant, self.campaign);
        let figures = store.run(&self.call()?, ReadFigures { tenant, campaign }).await?;
        let (_, texts) = store.run(&self.call()?, ReadSteps { tenant, campaign }).await?;
        let mut texts: BTreeMap<_, _> = texts.into_iter().map(|text| (text.id, text.name)).collect();
        let accounts = store.run(&self.call()?, AccountsInUse { tenant, campaign, limit: 200 }).await?;
        let mut accounts: BTreeMap<_, _> = accounts.into_iter().map(|account| (account.id, account.address)).collect();
        // Texts that were written anew, and accounts that the campaign uses no more.
        let of_emails = || figures.iter().filter(|figure| figure.step > 0);
        let former: BTreeSet<_> = of_emails().map(|figure| StepVariantId(figure.variant_id)).collect();
        for id in former.into_iter().filter(|id| !texts.contains_key(id)).take(MOST_FORMER).collect::<Vec<_>>() {
            let text = store.run(&self.call()?, ReadVariant { tenant, id }).await?;
            texts.extend(text.map(|text| (id, text.name)));
        }
        let former: BTreeSet<_> = of_emails().map(|figure| SendingAccountId(figure.account_id)).collect();
        for id in former.into_iter().filter(|id| !accounts.contains_key(id)).take(MOST_FORMER).collect::<Vec<_>>() {
            let account = store.run(&self.call()?, GetAccount { tenant, id }).await?;
            accounts.extend(account.map(|account| (id, account.address)));
        }
        Ok(Named { figures: figures.into_iter(), texts, accounts })
    }

    async fn next(&mut self, which: Which) -> Result<String> {
        match which {
            Which::Leads => self.leads().await,
            Which::Figures => self.figures().await,
        }
    }
}

/// Which table.
#[derive(Clone, Copy)]
pub(super) enum Which {
    /// One row for each lead.
    Leads,
    /// One row for each figure.
    Figures,
}

/// When a lead was last changed, where that was when it stopped.
fn stopped_at(lead: &Lead) -> Option<Timestamp> {
    let goes_on = matches!(lead.state, LeadState::New | LeadState::Active);
    (!goes_on).then_some(lead.updated_at)
}

/// What the column of a field is called: as the import reads it again, unless it would be one of the others.
fn column_of(name: &str) -> &str {
    let short = name.strip_prefix("custom.").unwrap_or(name);
    if COLUMNS.contains(&short) || short == OTHERS { name } else { short }
}

fn write_figure(
    figure: &OutreachFigure,
    (texts, accounts): (&BTreeMap<StepVariantId, String>, &BTreeMap<SendingAccountId, String>),
    to: &mut String,
) {
    let of_email = |text: String| if figure.step == 0 { String::new() } else { text };
    let name = |text: Option<&String>| text.cloned().unwrap_or_default();
    let row = [
        figure.date().unwrap_or_default(),
        of_email(figure.step.to_string()),
        of_email(figure.variant_id.to_string()),
        of_email(name(texts.get(&StepVariantId(figure.variant_id)))),
        of_email(figure.account_id.to_string()),
        of_email(name(accounts.get(&SendingAccountId(figure.account_id)))),
        figure.kind.clone(),
        figure.number.to_string(),
    ];
    write_row(row.iter().map(String::as_str), to);
}

fn pieces(table: Table, which: Which) -> impl Stream<Item = std::io::Result<Bytes>> {
    // It is asked once more after its end.
    stream::unfold(table, move |mut table| async move {
        if matches!(table.at, At::End) {
            return None;
        }
        let piece = match table.next(which).await {
            Ok(piece) => piece,
            Err(error) => return Some((Err(table.failed(error)), table)),
        };
        if matches!(table.at, At::End) {
            table.place.outcome = "finished";
        }
        // A page without a row is the last one.
        (!piece.is_empty()).then(|| (Ok(Bytes::from(piece)), table))
    })
    .fuse()
}

impl Outreach {
    /// A table of a campaign, as it is read.
    ///
    /// # Errors
    /// When there is no such campaign, or too many tables are being made.
    pub(super) async fn table(
        call: &Call,
        app: &Arc<App>,
        (tenant, campaign): (TenantId, CampaignId),
        which: Which,
    ) -> Result<(String, Body)> {
        let campaign = app.outreach.campaign(call, tenant, campaign).await?;
        let table = Table::new(app, tenant, campaign.id)?;
        Ok((file_name(&campaign.settings.name), Body::from_stream(pieces(table, which))))
    }
}

/// The name of a campaign as a part of the name of a file: letters, digits and hyphens of ASCII.
fn file_name(name: &str) -> String {
    let mut file = String::new();
    for letter in name.chars().flat_map(char::to_lowercase) {
        if letter.is_ascii_alphanumeric() {
            file.push(letter);
        } else if !file.is_empty() && !file.ends_with('-') {
            file.push('-');
        }
        if file.len() >= 60 {
            break;
        }
    }
    let file = file.trim_end_matches('-');
    if file.is_empty() { "campaign".to_owned() } else { file.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_file_is_safe() {
        for (name, expected) in [
            ("Spring 2026", "spring-2026"),
            ("../../etc/passwd", "etc-passwd"),
            ("a\"; filename=\"b.exe", "a-filename-b-exe"),
            ("Über\r\nX: y", "ber-x-y"),
            ("???", "campaign"),
            ("", "campaign"),
        ] {
            assert_eq!(file_name(name), expected);
        }
        assert!(file_name(&"x".repeat(500)).len() <= 60);
    }

    #[test]
    fn a_column_of_ones_own_is_never_another() {
        assert_eq!((column_of("custom.job_title"), column_of("phone")), ("job_title", "phone"));
        assert_eq!(
            (column_of("custom.state"), column_of("custom.other_fields")),
            ("custom.state", "custom.other_fields")
        );
    }
}
