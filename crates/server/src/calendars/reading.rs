//! Reading: what has changed in a calendar since it was read last, and now and then all of it.

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay_domain::{Span, Timestamp, Zone};
use mainstay_jobs::{Done, Failure, JobContext, JobResult, Retry};
use mainstay_store::{BeginCalendarRead, CalendarConnection, CalendarRead, CalendarWasRead, ReadEnd, SeenEvent};
use serde_json::Value;

use super::events;
use super::{Calendars, LATER};
use crate::google::{Ask, Fault, Holder};

/// How many events are asked for at once.
const PAGE: &str = "1000";
/// How many pages are read at most: a calendar with more in it is told to be too large.
const MOST_PAGES: u32 = 100;
/// How many times that something else takes are kept of one calendar.
const MOST_BUSY: usize = 20_000;
/// What ended longer ago than this takes nobody's time.
const OVER: Duration = Duration::from_secs(86_400);
/// Nobody books further ahead: the longest horizon of a reception, and a little more.
const AHEAD: Duration = Duration::from_secs(800 * 86_400);
/// How often all of a calendar is read, so that what was too far ahead before is known in time.
const WHOLE_EVERY: Duration = Duration::from_secs(7 * 86_400);
/// How often it is read again at once when there is more by then.
const ROUNDS: u32 = 3;

/// What was read.
struct Read {
    whole: bool,
    events: Vec<SeenEvent>,
    sync_token: Option<String>,
}

impl Calendars {
    /// Reads one calendar.
    pub(super) async fn read(&self, context: &JobContext, job: CalendarRead) -> JobResult {
        let Some(tenant) = context.tenant else {
            return Err(Failure::new("a calendar without an organisation").retry(Retry::Never));
        };
        for _ in 0..ROUNDS {
            let began_at = self.clock.now();
            let begin = BeginCalendarRead { tenant, id: job.connection, now: began_at };
            let connection = match self.store.run_for_jobs(&context.call(), begin).await {
                Ok(Some(connection)) if !connection.reconnect => connection,
                Ok(_) => return Ok(Done::Finished),
                Err(error) => return Ok(self.later(&error)),
            };
            let read = match self.fetch(&connection).await {
                Ok(read) => read,
                Err(fault) => {
                    self.figures.read(fault.code());
                    return self.failed(context, &connection, fault).await;
                }
            };
            let was_read = CalendarWasRead {
                tenant,
                id: connection.id,
                seen: connection.wanted,
                began_at,
                whole: read.whole,
                events: read.events,
                sync_token: read.sync_token,
                fence: Some(context.fence),
                now: self.clock.now(),
            };
            let end = match self.store.run_for_jobs(&context.call(), was_read).await {
                Ok(end) => end,
                Err(error) => return Ok(self.later(&error)),
            };
            self.figures.read(if read.whole { "whole" } else { "changes" });
            match end {
                ReadEnd::Settled => {
                    self.watch(&connection).await;
                    return Ok(Done::Settled);
                }
                ReadEnd::Gone => return Ok(Done::Settled),
                ReadEnd::Again => {}
            }
        }
        Ok(Done::Snoozed(LATER))
    }

    /// Fetches what has changed, or all of it where the place is not known to the provider any more.
    async fn fetch(&self, connection: &CalendarConnection) -> Result<Read, Fault> {
        let now = self.clock.now();
        let stale = connection.full_at.is_none_or(|at| at.plus(WHOLE_EVERY) <= now);
        if let Some(token) = connection.sync_token.as_deref().filter(|_| !stale) {
            match self.pages(connection, Some(token), now).await {
                Err(fault) if fault.status() == Some(410) => {}
                other => return other,
            }
        }
        self.pages(connection, None, now).await
    }

    async fn pages(
        &self,
        connection: &CalendarConnection,
        sync_token: Option<&str>,
        now: Timestamp,
    ) -> Result<Read, Fault> {
        let google = self.google()?;
        let refresh_token = self.refresh_token(connection)?;
        let holder = Holder { id: connection.id.uuid(), refresh_token: &refresh_token };
        let path = ["calendars", connection.calendar.as_str(), "events"];
        let whole = sync_token.is_none();
        let window = Span::new(now.minus(OVER), now.plus(AHEAD));
        let window = window.ok_or_else(|| Fault::Passing("the calendar of the world ends".to_owned()))?;
        let (mut found, mut busy, mut page_token) = (BTreeMap::new(), 0, None::<String>);
        for _ in 0..MOST_PAGES {
            let mut query = vec![("singleEvents", "true"), ("maxResults", PAGE)];
            query.extend(sync_token.map(|token| ("syncToken", token)));
            query.extend(page_token.as_deref().map(|token| ("pageToken", token)));
            let page = google.ask(&holder, &Ask::get(&path, &query)).await?;
            let items = page["items"].as_array().ok_or_else(|| Fault::Passing("a page without a list".to_owned()))?;
            let zone = page["timeZone"].as_str().unwrap_or("UTC");
            let zone = Zone::parse(zone).map_err(|refused| Fault::Passing(refused.detail))?;
            for item in items {
                let Some(event) = relevant(item, &zone, window, whole) else { continue };
                busy += usize::from(event.busy.is_some());
                found.insert(event.id.clone(), event);
            }
            if busy > MOST_BUSY {
                return Err(Fault::Refused(200, "more events than can be kept".to_owned()));
            }
            if let Some(token) = page["nextPageToken"].as_str() {
                page_token = Some(token.to_owned());
                continue;
            }
            let sync_token = page["nextSyncToken"].as_str().map(str::to_owned);
            return Ok(Read { whole, events: found.into_values().collect(), sync_token });
        }
        Err(Fault::Refused(200, "more pages than are read".to_owned()))
    }
}

/// What is kept of an event: when all is read, what takes time and what is ours; of what has changed, everything.
fn relevant(item: &Value, zone: &Zone, window: Span, whole: bool) -> Option<SeenEvent> {
    let mut event = events::read(item, zone)?;
    event.busy = event.busy.filter(|span| span.overlaps(window));
    (!whole || event.busy.is_some() || event.ours.is_some()).then_some(event)
}
