//! Writing: an appointment as it is now, into a calendar as it is now.
//!
//! The id of an event follows from the appointment, so an answer that was lost is no second event: the next attempt finds
//! its own. What somebody else has changed meanwhile is not overwritten in silence; it is a conflict that people see.

use mainstay_domain::{AppointmentId, Span, Zone};
use mainstay_jobs::{Done, Failure, JobContext, JobResult, Retry};
use mainstay_store::{
    CalendarEntry, CalendarWrite, ConflictKind, EntryAt, EntryDue, EntryEnd, EntryWritten, EventStands, ReadEntryDue,
    ToldEvent, event_id,
};
use reqwest::Method;
use serde_json::Value;

use super::events::{body, is_gone, is_of, times, version};
use super::{Calendars, LATER};
use crate::google::{Ask, Fault, GoogleApi, Holder};

/// How often an appointment that keeps changing is written by one attempt of the job.
const ROUNDS: u32 = 5;
/// How many ids are tried for one event, should they be used up or somebody else's.
const GENERATIONS: u32 = 5;
/// How often it is begun anew when the event changes while it is written.
const LOOKS: u32 = 3;

/// What came of writing.
struct Wrote {
    stands: EventStands,
    conflict: Option<(String, ConflictKind)>,
}

/// An entry that is being written.
struct Writer<'a> {
    google: &'a GoogleApi,
    holder: Holder<'a>,
    due: &'a EntryDue,
    at: EntryAt,
    zone: Zone,
}

impl Calendars {
    /// Writes one appointment into one calendar.
    pub(super) async fn write(&self, context: &JobContext, job: CalendarWrite) -> JobResult {
        let Some(tenant) = context.tenant else {
            return Err(Failure::new("an entry without an organisation").retry(Retry::Never));
        };
        let at = EntryAt { tenant, appointment: job.appointment, connection: job.connection };
        for _ in 0..ROUNDS {
            let due = match self.store.run_for_jobs(&context.call(), ReadEntryDue(at)).await {
                Ok(Some(due)) if !due.connection.reconnect => due,
                // It is written once the account is connected again; or the calendar is not connected any more.
                Ok(_) => return Ok(Done::Finished),
                Err(error) => return Ok(self.later(&error)),
            };
            let wrote = match self.write_one(at, &due).await {
                Ok(wrote) => wrote,
                Err(fault) => {
                    self.figures.wrote(fault.code());
                    // It was not asked, so nothing new is known of the calendar.
                    if let Fault::Away(wait) = fault {
                        return Ok(Done::Snoozed(self.spread(wait)));
                    }
                    return self.failed(context, &due.connection, fault).await;
                }
            };
            self.figures.wrote(if wrote.conflict.is_some() { "conflict" } else { "written" });
            let written = EntryWritten {
                at,
                seen: due.entry.wanted,
                stands: wrote.stands,
                conflict: wrote.conflict,
                fence: context.fence,
                now: self.clock.now(),
            };
            match self.store.run_for_jobs(&context.call(), written).await {
                Ok(EntryEnd::Settled | EntryEnd::Gone) => return Ok(Done::Settled),
                Ok(EntryEnd::Again) => {}
                // Whatever was written is found by the next attempt.
                Err(error) => return Ok(self.later(&error)),
            }
        }
        Ok(Done::Snoozed(LATER))
    }

    async fn write_one(&self, at: EntryAt, due: &EntryDue) -> Result<Wrote, Fault> {
        let CalendarEntry { generation, present, etag, wrote, wanted, written, .. } = &due.entry;
        if wanted == written {
            let stands = EventStands { generation: *generation, etag: etag.clone(), times: wrote.filter(|_| *present) };
            return Ok(Wrote { stands, conflict: None });
        }
        let google = self.google()?;
        let refresh_token = self.refresh_token(&due.connection)?;
        let holder = Holder { id: due.connection.id.uuid(), refresh_token: &refresh_token };
        let zone = due.told.as_ref().and_then(|told| told.zone.as_deref()).unwrap_or("UTC");
        let zone = Zone::parse(zone).map_err(|refused| Fault::Passing(refused.detail))?;
        let writer = Writer { google, holder, due, at, zone };
        match &due.told {
            None => writer.remove().await,
            Some(told) => writer.put(told).await,
        }
    }
}

impl Writer<'_> {
    fn tenant_and_appointment(&self) -> (mainstay_domain::TenantId, AppointmentId) {
        (self.at.tenant, self.at.appointment)
    }

    async fn ask(
        &self,
        method: Method,
        id: Option<&str>,
        body: Option<&Value>,
        version: Option<&str>,
    ) -> Result<Value, Fault> {
        let mut path = vec!["calendars", self.due.connection.calendar.as_str(), "events"];
        path.extend(id);
        let query = [("sendUpdates", "none")];
        let query: &[(&str, &str)] = if method == Method::GET { &[] } else { &query };
        self.google.ask(&self.holder, &Ask { method, path: &path, query, body, version }).await
    }

    /// The event as it is; nothing when there is none, or it was deleted.
    async fn look(&self, id: &str) -> Result<Option<Value>, Fault> {
        match self.ask(Method::GET, Some(id), None, None).await {
            Ok(event) => Ok(Some(event)),
            Err(fault) if matches!(fault.status(), Some(404 | 410)) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    fn stands(&self, generation: u32, event: &Value) -> Wrote {
        let stands = EventStands { generation, etag: version(event), times: times(event, &self.zone) };
        Wrote { stands, conflict: None }
    }

    /// Takes the event away, if it is there.
    async fn remove(&self) -> Result<Wrote, Fault> {
        let generation = self.due.entry.generation;
        match self.ask(Method::DELETE, Some(&event_id(self.at.appointment, generation)), None, None).await {
            Ok(_) => {}
            Err(fault) if matches!(fault.status(), Some(404 | 410)) => {}
            Err(fault) => return Err(fault),
        }
        Ok(Wrote { stands: EventStands { generation, etag: None, times: None }, conflict: None })
    }

    async fn put(&self, told: &ToldEvent) -> Result<Wrote, Fault> {
        let (tenant, appointment) = self.tenant_and_appointment();
        let body = body(tenant, appointment, told);
        let entry = &self.due.entry;
        if !entry.present {
            return self.insert(&body).await;
        }
        let id = event_id(appointment, entry.generation);
        let mut etag = entry.etag.clone();
        for _ in 0..LOOKS {
            match self.ask(Method::PATCH, Some(&id), Some(&body), etag.as_deref()).await {
                Ok(event) if !is_gone(&event) => return Ok(self.stands(entry.generation, &event)),
                Ok(_) => return Ok(self.contested(&id, None)),
                Err(fault) if matches!(fault.status(), Some(404 | 410)) => return Ok(self.contested(&id, None)),
                Err(fault) if fault.status() == Some(412) => {}
                Err(fault) => return Err(fault),
            }
            // It is another than we know: what was changed of it may be its time.
            let Some(event) = self.look(&id).await?.filter(|event| !is_gone(event)) else {
                return Ok(self.contested(&id, None));
            };
            let theirs = times(&event, &self.zone);
            if theirs != entry.wrote && theirs != Some(told.shown) {
                return Ok(self.contested(&id, Some(&event)));
            }
            etag = version(&event);
        }
        Err(Fault::Passing("the event changes too fast".to_owned()))
    }

    /// The calendar says something else.
    fn contested(&self, id: &str, event: Option<&Value>) -> Wrote {
        let generation = self.due.entry.generation;
        let theirs: Option<Span> = event.and_then(|event| times(event, &self.zone));
        let kind = if theirs.is_some() { ConflictKind::Moved } else { ConflictKind::Deleted };
        let stands = EventStands { generation, etag: event.and_then(version), times: theirs };
        Wrote { stands, conflict: Some((id.to_owned(), kind)) }
    }

    /// Makes the event, or finds the one that an attempt before this one has made.
    async fn insert(&self, body: &Value) -> Result<Wrote, Fault> {
        let (tenant, appointment) = self.tenant_and_appointment();
        let first = self.due.entry.generation;
        for generation in first..first + GENERATIONS {
            let id = event_id(appointment, generation);
            let mut named = body.clone();
            named["id"] = Value::from(id.clone());
            match self.ask(Method::POST, None, Some(&named), None).await {
                Ok(event) => return Ok(self.stands(generation, &event)),
                Err(fault) if fault.status() == Some(409) => {}
                Err(fault) => return Err(fault),
            }
            // The id is used: by us, by us and deleted, or by somebody else.
            let Some(event) = self.look(&id).await? else { continue };
            if !is_of(&event, tenant, appointment) && !is_gone(&event) {
                continue;
            }
            match self.ask(Method::PATCH, Some(&id), Some(body), version(&event).as_deref()).await {
                Ok(event) if !is_gone(&event) => return Ok(self.stands(generation, &event)),
                Ok(_) => {}
                Err(fault) if fault.status() == Some(412) => {
                    return Err(Fault::Passing("the event changes while it is written".to_owned()));
                }
                // What was deleted may not be had back.
                Err(fault) if matches!(fault.status(), Some(400 | 403 | 404 | 410)) => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(Fault::Refused(409, "no id is free for the event".to_owned()))
    }
}
