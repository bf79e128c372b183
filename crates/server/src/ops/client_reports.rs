//! What browsers tell of themselves: errors, how fast a page was, how much memory it took.
//!
//! Measurements become figures whose labels are fixed; of errors the last are kept for operators, masked as lines of the log
//! are. Whoever sends more than a person can run into is counted and not kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use mainstay_domain::{Error, TenantId, Timestamp};
use mainstay_store::{ClientReport, ListClientReports, RecordClientReports};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;
use uuid::Uuid;

use super::log::mask::mask;
use crate::accounts::{Operator, Writer};
use crate::app::App;
use crate::console;
use crate::http::{Document, Json, Problem, RequestContext};
use crate::locking::lock;

/// The most reports of one request.
const MOST: usize = 20;
/// The longest texts, in characters.
const LONGEST_MESSAGE: usize = 500;
const LONGEST_DETAIL: usize = 2_000;
const LONGEST_VERSION: usize = 64;
/// How many errors of one organisation are kept within a minute; further ones are counted.
const ERRORS_A_MINUTE: u32 = 30;
/// How many organisations are counted at once. When there are more, the count begins anew.
const MOST_COUNTED: usize = 10_000;
/// The largest body, in bytes.
pub const LARGEST_BODY: usize = 64 * 1024;
/// How many reports operators are shown.
const SHOWN: u32 = 100;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PageLabel {
    page: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VitalLabel {
    name: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WhyLabel {
    why: &'static str,
}

type Of<L> = Family<L, Histogram, fn() -> Histogram>;

/// What browsers have told this node.
pub struct ClientReports {
    errors: Family<PageLabel, Counter>,
    vitals: Of<VitalLabel>,
    shift: Histogram,
    memory: Histogram,
    dropped: Family<WhyLabel, Counter>,
    minute: Mutex<(Option<Instant>, HashMap<TenantId, u32>)>,
}

impl std::fmt::Debug for ClientReports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientReports")
    }
}

impl ClientReports {
    /// Makes the figures known.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let seconds = || Histogram::new([0.05, 0.1, 0.2, 0.5, 0.8, 1.2, 1.8, 2.5, 4.0, 8.0, 15.0]);
        let reports = Self {
            errors: Family::default(),
            vitals: Family::new_with_constructor(seconds as fn() -> Histogram),
            shift: Histogram::new([0.01, 0.05, 0.1, 0.25, 0.5, 1.0]),
            memory: Histogram::new([16e6, 32e6, 64e6, 128e6, 256e6, 512e6, 1024e6]),
            dropped: Family::default(),
            minute: Mutex::default(),
        };
        registry.register("mainstay_client_errors", "Errors in browsers, by page", reports.errors.clone());
        let help =
            "How long browsers took: to the first byte, the first and the largest paint, the slowest interaction";
        registry.register("mainstay_client_vital_seconds", help, reports.vitals.clone());
        let help = "How far pages moved under the hand (cumulative layout shift)";
        registry.register("mainstay_client_layout_shift", help, reports.shift.clone());
        registry.register("mainstay_client_memory_bytes", "Memory of pages, as browsers tell", reports.memory.clone());
        let help = "Reports of browsers that were not kept, by why";
        registry.register("mainstay_client_reports_dropped", help, reports.dropped.clone());
        reports
    }

    /// Whether one more error of this organisation is kept now.
    fn has_room(&self, tenant: TenantId) -> bool {
        let mut minute = lock(&self.minute);
        let is_over = minute.0.is_none_or(|begun| begun.elapsed() >= Duration::from_secs(60));
        if is_over || minute.1.len() >= MOST_COUNTED {
            *minute = (Some(Instant::now()), HashMap::new());
        }
        let count = minute.1.entry(tenant).or_default();
        *count += 1;
        *count <= ERRORS_A_MINUTE
    }
}

/// One thing that a browser tells.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = ClientReportEntry)]
pub enum ReportBody {
    /// Something went wrong.
    Error {
        /// What the browser says.
        message: String,
        /// Where: the file with its line, or the stack.
        #[serde(default)]
        detail: Option<String>,
    },
    /// How fast or how steady the page was.
    Vital {
        /// Which measure.
        name: Vital,
        /// In milliseconds; `cls` has no unit.
        value: f64,
    },
    /// How much memory the page takes.
    Memory {
        /// In bytes.
        bytes: u64,
    },
}

/// A measure of a page (web.dev/articles/vitals).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ClientVital)]
pub enum Vital {
    /// Time to first byte.
    Ttfb,
    /// First contentful paint.
    Fcp,
    /// Largest contentful paint.
    Lcp,
    /// Interaction to next paint.
    Inp,
    /// Cumulative layout shift.
    Cls,
}

impl Vital {
    const fn word(self) -> &'static str {
        match self {
            Self::Ttfb => "ttfb",
            Self::Fcp => "fcp",
            Self::Lcp => "lcp",
            Self::Inp => "inp",
            Self::Cls => "cls",
        }
    }
}

/// What a browser tells of one page.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientReportsBody {
    /// The path of the page.
    page: String,
    /// The version of the program that the page is of.
    #[serde(default)]
    version: Option<String>,
    /// 1 to 20.
    #[schema(min_items = 1, max_items = 20)]
    reports: Vec<ReportBody>,
}

/// What became of the reports.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClientReportsTakenBody {
    /// How many count.
    counted: usize,
    /// How many errors are kept for operators.
    kept: usize,
}

/// A text without control characters that is no longer than this, and without what nobody must read.
fn told(text: &str, most: usize) -> String {
    let plain: String = text.chars().filter(|letter| !letter.is_control() || *letter == '\n').take(most).collect();
    mask(plain.trim()).into_owned()
}

/// Takes what a browser tells: errors, measures of a page, memory.
#[utoipa::path(post, path = "/v1/client-reports", tag = "operations", request_body = ClientReportsBody,
    responses((status = 202, body = ClientReportsTakenBody), (status = "default", body = Document<'static>)))]
pub async fn take(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Writer(by): Writer,
    Json(body): Json<ClientReportsBody>,
) -> Result<(StatusCode, Json<ClientReportsTakenBody>), Problem> {
    if body.reports.is_empty() || body.reports.len() > MOST {
        let detail = format!("Send 1 to {MOST} reports; there are {}.", body.reports.len());
        return Err(Error::invalid_field("reports", "out_of_range", detail).into());
    }
    let figures = &app.watching.client_reports;
    let page = console::page(&body.page).unwrap_or("other");
    let drop = |why| figures.dropped.get_or_create(&WhyLabel { why }).inc();
    let (now, mut counted, mut errors) = (app.clock.now(), 0, Vec::new());
    for report in &body.reports {
        match report {
            ReportBody::Vital { value, .. } if !value.is_finite() || *value < 0.0 => {
                drop("no_number");
                continue;
            }
            ReportBody::Vital { name: Vital::Cls, value } => figures.shift.observe(*value),
            ReportBody::Vital { name, value } => {
                figures.vitals.get_or_create(&VitalLabel { name: name.word() }).observe(value / 1000.0);
            }
            #[expect(clippy::cast_precision_loss, reason = "memory to the byte is no matter")]
            ReportBody::Memory { bytes } => figures.memory.observe(*bytes as f64),
            ReportBody::Error { message, detail } => {
                figures.errors.get_or_create(&PageLabel { page }).inc();
                if figures.has_room(by.tenant) {
                    errors.push(ClientReport {
                        id: app.ids.make(),
                        tenant: by.tenant,
                        person: by.person,
                        page: page.to_owned(),
                        version: told(body.version.as_deref().unwrap_or_default(), LONGEST_VERSION),
                        message: told(message, LONGEST_MESSAGE),
                        detail: told(detail.as_deref().unwrap_or_default(), LONGEST_DETAIL),
                        at: now,
                    });
                } else {
                    drop("too_many");
                }
            }
        }
        counted += 1;
    }
    let kept = errors.len();
    if kept > 0 {
        let record = RecordClientReports { tenant: by.tenant, reports: errors };
        app.store.run(&context.call, record).await?;
    }
    Ok((StatusCode::ACCEPTED, Json(ClientReportsTakenBody { counted, kept })))
}

/// Something that went wrong in a browser.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClientErrorBody {
    /// Its id.
    id: Uuid,
    /// Whose browser: the organisation.
    organisation_id: Uuid,
    /// Whose browser: the person.
    person_id: Uuid,
    /// On which page; `other` for those that are not the console's.
    page: String,
    /// Of which version of the program the page was.
    version: String,
    /// What the browser said.
    message: String,
    /// Where, as the browser says.
    detail: String,
    /// When it arrived.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// The last errors in browsers.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClientErrorsBody {
    /// The last first, at most 100. Of each organisation 50 are kept, for 30 days.
    data: Vec<ClientErrorBody>,
}

/// Lists what went wrong in browsers, of all organisations.
#[utoipa::path(get, path = "/v1/client-reports", tag = "operations",
    responses((status = 200, body = ClientErrorsBody), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(_): Operator,
) -> Result<Json<ClientErrorsBody>, Problem> {
    let reports = app.store.run(&context.call, ListClientReports(SHOWN)).await?;
    let body = |report: ClientReport| ClientErrorBody {
        id: report.id,
        organisation_id: report.tenant.uuid(),
        person_id: report.person.uuid(),
        page: report.page,
        version: report.version,
        message: report.message,
        detail: report.detail,
        at: report.at,
    };
    Ok(Json(ClientErrorsBody { data: reports.into_iter().map(body).collect() }))
}
