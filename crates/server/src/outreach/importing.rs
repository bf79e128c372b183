//! Lists of people, read into campaigns piece by piece.
//!
//! The file is not kept. Whoever has it sends it from the place that was reached, all at once or in parts; rows are read as
//! they come and stored a thousand at a time, together with the place behind them. A line that breaks, a server that ends:
//! the list goes on from there.

use std::collections::BTreeMap;

use axum::body::Bytes;
use mainstay_domain::{
    CampaignId, Error, FieldFault, ImportState, Kind, Label, LeadImportId, PersonId, PersonName, Result, TenantId,
};
use mainstay_import::{Column, ColumnFault, FileFault, Form, HEAD, Mapping, Position, Reader, Row};
use mainstay_store::{
    BEGINNING_AN_IMPORT, BeginImport, Call, CancelImport, Claim, GetImport, ImportFault, LeadImport, NewLead, Once,
    ReadIntoCampaign, ReadStep,
};

use super::Outreach;
use crate::http::idempotency::same;

/// How many rows are stored at once.
const AT_ONCE: usize = 1_000;
/// How many bytes are read before others have their turn.
const PIECE: usize = 64 * 1024;
/// How many rows of a list are shown before it is read.
const SHOWN: usize = 5;

/// How a list is to be read.
#[derive(Debug)]
pub(super) struct ImportWish {
    /// What the file is called.
    pub(super) name: String,
    /// How large it is, where that is known.
    pub(super) bytes: Option<u64>,
    /// What each column is; what its name says, where nothing is said.
    pub(super) columns: Option<Vec<Column>>,
}

/// What the beginning of a list tells.
#[derive(Debug)]
pub(super) struct Inspected {
    pub(super) form: Form,
    /// What each column probably is.
    pub(super) mapping: Mapping,
    /// The first rows.
    pub(super) rows: Vec<Vec<String>>,
}

/// A part of a list.
#[derive(Debug)]
pub(super) struct Part {
    /// How many bytes of the file are before it.
    pub(super) offset: u64,
    pub(super) bytes: Bytes,
    /// Whether the file ends with it.
    pub(super) last: bool,
}

fn unreadable(fault: FileFault) -> Error {
    Error::invalid_field("content", fault.code(), fault.to_string())
}

fn over(import: &LeadImport) -> Error {
    Error::new(Kind::Conflict, "import_state", format!("The import is {}: begin another one.", import.state))
}

fn elsewhere(import: &LeadImport) -> Error {
    let detail = format!("The list is read up to byte {}: go on from there.", import.read_bytes);
    Error::new(Kind::Conflict, "import_offset", detail)
}

/// Looks at the beginning of a list.
///
/// # Errors
/// When it is none.
pub(super) fn inspect(bytes: &[u8], whole: bool) -> Result<Inspected> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut show = |row: Row<'_>| {
        if let Ok(fields) = &row.fields
            && rows.len() < SHOWN
        {
            rows.push(fields.iter().map(|field| field.chars().take(200).collect()).collect());
        }
    };
    let head = &bytes[..bytes.len().min(HEAD)];
    let mut reader = Reader::new();
    reader.feed(head, &mut show).map_err(unreadable)?;
    let form = if whole && head.len() == bytes.len() {
        reader.finish(&mut show).map_err(unreadable)?
    } else {
        let short = || {
            let detail =
                format!("The first part has at least {HEAD} bytes and the whole header, or is all of the file.");
            Error::invalid_field("content", "too_short", detail)
        };
        reader.form().cloned().ok_or_else(short)?
    };
    Ok(Inspected { mapping: Mapping::guess(&form.header), form, rows })
}

/// A row that is to be stored, and the place behind it.
struct Read {
    lead: std::result::Result<NewLead, Vec<ImportFault>>,
    behind: Position,
}

/// A list on its way in.
struct Reading<'a> {
    outreach: &'a Outreach,
    tenant: TenantId,
    import: LeadImport,
    form: String,
    columns: String,
    mapping: Mapping,
    header: Vec<String>,
    waiting: Vec<Read>,
}

impl Reading<'_> {
    /// Reads a row.
    fn row(&mut self, row: &Row<'_>) {
        let read = self.mapping.lead(row, &self.header);
        let line = i64::try_from(read.line).unwrap_or(i64::MAX);
        let fault = |(place, fault): (usize, ColumnFault)| ImportFault {
            line,
            place: i64::try_from(place).unwrap_or(i64::MAX),
            column_name: fault.column,
            code: fault.code.to_owned(),
            detail: fault.detail,
            excerpt: row.excerpt(),
        };
        let lead = match read.lead {
            Ok(lead) => Ok(self.lead(lead)),
            Err(faults) => Err(faults.into_iter().enumerate().map(fault).collect()),
        };
        self.waiting.push(Read { lead, behind: row.behind });
    }

    fn lead(&self, lead: mainstay_domain::outreach::NewLead) -> NewLead {
        let own = lead.fields.into_iter().map(|(name, value)| (format!("custom.{name}"), value));
        let mut fields: BTreeMap<String, String> = own.collect();
        let known = [
            ("first_name", PersonName::as_str(&lead.first_name)),
            ("last_name", PersonName::as_str(&lead.last_name)),
            ("company", lead.company.as_ref().map_or("", Label::as_str)),
        ];
        let known = known.into_iter().filter(|(_, value)| !value.is_empty());
        fields.extend(known.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let digest = self.outreach.keys.objection(self.tenant, lead.address.as_str());
        NewLead { id: self.outreach.ids.make(), address: lead.address, fields, zone: lead.zone, digest }
    }

    /// Stores the first rows that wait, as many as go at once. `ends` says where the list ends behind them.
    async fn store(&mut self, call: &Call, ends: Option<u64>) -> Result<()> {
        let count = self.waiting.len().min(AT_ONCE);
        let (mut leads, mut faults, mut bad) = (Vec::with_capacity(count), Vec::new(), 0);
        let mut behind = (self.import.read_bytes, self.import.line);
        for read in self.waiting.drain(..count) {
            behind = (read.behind.offset, read.behind.line);
            match read.lead {
                Ok(lead) => leads.push(lead),
                Err(of_row) => {
                    bad += 1;
                    faults.extend(of_row);
                }
            }
        }
        if let Some(end) = ends {
            behind.0 = end;
        }
        let step = ReadIntoCampaign {
            tenant: self.tenant,
            id: self.import.id,
            from: self.import.read_bytes,
            behind,
            form: self.form.clone(),
            columns: self.columns.clone(),
            rows: count as u64,
            leads,
            bad,
            faults,
            ends: ends.is_some(),
            now: self.outreach.clock.now(),
        };
        match self.outreach.store.run(call, step).await? {
            ReadStep::Stored(import) => {
                self.outreach.figures.imported(count, bad);
                self.import = import;
                Ok(())
            }
            ReadStep::Elsewhere(import) if import.state == ImportState::Running => Err(elsewhere(&import)),
            ReadStep::Elsewhere(import) => Err(over(&import)),
            ReadStep::Stopped => {
                Err(Error::new(Kind::Conflict, "campaign_state", "The campaign is stopped: nobody is added to it."))
            }
            ReadStep::Gone => Err(Error::not_found("import")),
        }
    }
}

fn kept<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(Error::internal)
}

fn text<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(Error::internal)
}

impl Outreach {
    /// Begins to read a list into a campaign.
    ///
    /// # Errors
    /// `invalid_input` by field, and a conflict when the campaign has stopped.
    pub(super) async fn begin_import(
        &self,
        call: &Call,
        tenant: TenantId,
        campaign: CampaignId,
        wish: ImportWish,
        claim: Option<(PersonId, Claim)>,
    ) -> Result<LeadImport> {
        let name = Label::parse(&wish.name).map_err(|refused| Error::invalid(vec![refused.of("name")]))?;
        let columns = wish.columns.as_ref().map(text).transpose()?;
        let (id, now) = (self.ids.make(), self.clock.now());
        let name = name.as_str().to_owned();
        let fingerprint = claim.as_ref().map(|(_, claim)| claim.fingerprint.clone());
        let begin = BeginImport { tenant, id, campaign, name, bytes: wish.bytes, columns, claim, now };
        let id = match self.store.run(call, begin).await? {
            Once::Done(true) => id,
            Once::Done(false) => {
                let campaign = self.campaign(call, tenant, campaign).await?;
                return Err(super::service::of_state(&campaign, mainstay_domain::CampaignState::Running));
            }
            Once::Repeat(used) => LeadImportId(same(&used, BEGINNING_AN_IMPORT, fingerprint.as_deref())?),
        };
        self.lead_import(call, tenant, id).await
    }

    /// How far a list is read.
    pub(super) async fn lead_import(&self, call: &Call, tenant: TenantId, id: LeadImportId) -> Result<LeadImport> {
        self.store.run(call, GetImport { tenant, id }).await?.ok_or_else(|| Error::not_found("import"))
    }

    /// Ends reading a list.
    ///
    /// # Errors
    /// A conflict when it is over.
    pub(super) async fn cancel_import(&self, call: &Call, tenant: TenantId, id: LeadImportId) -> Result<LeadImport> {
        let now = self.clock.now();
        let cancelled = self.store.run(call, CancelImport { tenant, id, now }).await?;
        let import = self.lead_import(call, tenant, id).await?;
        if cancelled { Ok(import) } else { Err(over(&import)) }
    }

    /// Reads a part of a list into its campaign. What was stored before something went wrong stays.
    ///
    /// # Errors
    /// `invalid_input` when it is no list; a conflict when it does not begin where the part before it was read to, or the
    /// import is over.
    pub(super) async fn read_part(
        &self,
        call: &Call,
        tenant: TenantId,
        id: LeadImportId,
        part: Part,
    ) -> Result<LeadImport> {
        let import = self.lead_import(call, tenant, id).await?;
        if import.state != ImportState::Running {
            return Err(over(&import));
        }
        if import.read_bytes != part.offset {
            return Err(elsewhere(&import));
        }
        let said: Option<Vec<Column>> = import.columns.as_deref().map(kept).transpose()?;
        let (mut reader, form) = match import.form.as_deref() {
            Some(form) => {
                let form: Form = kept(form)?;
                let from = Position { offset: import.read_bytes, line: import.line };
                (Reader::resume(form.clone(), from), form)
            }
            None => (Reader::new(), inspect(&part.bytes, part.last)?.form),
        };
        let mapping = mapping(said, &form.header)?;
        let mut reading = Reading {
            outreach: self,
            tenant,
            form: text(&form)?,
            columns: text(&mapping)?,
            mapping,
            header: form.header,
            import,
            waiting: Vec::new(),
        };
        for piece in part.bytes.chunks(PIECE) {
            reader.feed(piece, &mut |row| reading.row(&row)).map_err(unreadable)?;
            while reading.waiting.len() >= AT_ONCE {
                reading.store(call, None).await?;
            }
        }
        let end = part.offset + part.bytes.len() as u64;
        if part.last {
            reader.finish(&mut |row| reading.row(&row)).map_err(unreadable)?;
            while reading.waiting.len() > AT_ONCE {
                reading.store(call, None).await?;
            }
            reading.store(call, Some(end)).await?;
        } else if !reading.waiting.is_empty() {
            reading.store(call, None).await?;
        }
        Ok(reading.import)
    }
}

/// What each column is, as somebody has said or as its name says.
fn mapping(said: Option<Vec<Column>>, header: &[String]) -> Result<Mapping> {
    let mapping = match said {
        Some(columns) => Mapping::new(columns, header).map_err(Error::invalid)?,
        None => Mapping::guess(header),
    };
    if mapping.has_address() {
        return Ok(mapping);
    }
    let detail = format!("No column looks like addresses of mail among {}: say what each is.", header.join(", "));
    Err(Error::invalid(vec![FieldFault::new("columns", "no_address", detail)]))
}
