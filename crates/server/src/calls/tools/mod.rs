//! The tools of the agent: what it may do for whoever calls. One page lists them; each answers with one line that a voice
//! can read out.
//!
//! A tool is given what a model wrote, of what a caller said. So it reads with patience, says what is missing in a way that
//! leads on, and does nothing for a person without knowing who asks: whoever calls from the number of a contact is taken for
//! them, and whoever names another number must name its owner too.

mod appointments;
mod hours;
mod knowledge;
mod people;

use std::collections::BTreeMap;

use mainstay_domain::{
    AppointmentId, CalendarDay, CallOutcome, Error, IdempotencyKey, PersonId, PhoneNumber, TenantId, Timestamp,
    ToolState, Zone,
};
use mainstay_domain::{ContactId, PhoneCallId};
use mainstay_store::{ACTION_FAILED, Call, Claim, ListServices, ListStaff, Reception as Settings, Service, Staff};
use ring::digest::{Context, SHA256};
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::speech;
use crate::accounts::Member;
use crate::app::App;
use crate::http::Problem;
use crate::providers::ToolDefinition;

/// The most services and people that a caller may choose among by name.
const CHOICES: u32 = 200;

/// Who asks, and where.
pub(super) struct Asking<'a> {
    pub(super) app: &'a App,
    pub(super) call: &'a Call,
    pub(super) tenant: TenantId,
    /// The member who does, by chat. They may know of every contact, which is noted.
    pub(super) by: Option<&'a Member>,
    /// The call in which they do.
    pub(super) in_call: Option<PhoneCallId>,
    /// The number that they call from, as the network says.
    pub(super) number: Option<PhoneNumber>,
    /// What tells this use of a tool from every other: the same when it is asked again.
    pub(super) once: Uuid,
}

/// One id for whatever the same parts tell of.
pub(crate) fn one_use(parts: &[&[u8]]) -> Uuid {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let digest = context.finish();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(digest.as_ref().get(..16).unwrap_or(&[0; 16]));
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// What a tool says.
#[derive(Debug)]
pub(super) struct Told {
    /// For the caller, on one line.
    pub(super) answer: String,
    /// What was done, if something was.
    pub(super) outcome: Option<CallOutcome>,
    /// The appointment that it is about.
    pub(super) appointment: Option<AppointmentId>,
    /// About whom it is.
    pub(super) contact: Option<ContactId>,
}

impl Told {
    fn answer(text: impl Into<String>) -> Self {
        Self { answer: text.into(), outcome: Some(CallOutcome::Answered), appointment: None, contact: None }
    }
}

/// Why a tool did nothing, on one line for the caller.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Stable.
    pub(super) code: &'static str,
    pub(super) answer: String,
}

impl Refusal {
    fn new(code: &'static str, answer: impl Into<String>) -> Self {
        Self { code, answer: answer.into() }
    }

    /// What is said of a fault of ours, of which the caller learns nothing; nothing where it is none.
    fn of_fault(error: &Error) -> Option<Self> {
        error.kind.is_fault().then(|| {
            tracing::warn!(code = error.code, detail = error.detail, inside = ?error.inside, "a tool failed");
            Self::new(ACTION_FAILED, "I cannot do that right now. Please try again in a moment.")
        })
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        if let Some(failed) = Self::of_fault(&error) {
            return failed;
        }
        let fields: Vec<&str> = error.fields.iter().map(|fault| fault.detail.as_str()).collect();
        Self::new(error.code, if fields.is_empty() { error.detail } else { fields.join(" ") })
    }
}

impl From<mainstay_store::Error> for Refusal {
    fn from(error: mainstay_store::Error) -> Self {
        Error::from(error).into()
    }
}

type Answer = Result<Told, Refusal>;

/// A tool, as a model is told of it.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    description: &'static str,
    /// Each parameter: its name, what it is, and whether it is needed. All are texts.
    parameters: &'static [(&'static str, &'static str, bool)],
}

const SERVICE: (&str, &str, bool) =
    ("service", "What is to be done, by its name. Leave it out when there is only one.", false);
const STAFF: (&str, &str, bool) = ("staff", "By whom, by name. Leave it out for anybody.", false);
const PHONE: (&str, &str, bool) = ("phone", "The caller's number, if it is not the one they call from.", false);
const NAME: (&str, &str, bool) = ("name", "The caller's full name.", false);

/// All of them.
pub(crate) const TOOLS: &[Tool] = &[
    Tool {
        name: "check_availability",
        description: "Tells free times for a service.",
        parameters: &[
            SERVICE,
            ("date", "The day, as YYYY-MM-DD. Leave it out for the next free times.", false),
            ("time", "The time of day that is wanted, as HH:MM.", false),
            STAFF,
        ],
    },
    Tool {
        name: "book_appointment",
        description: "Books an appointment. Say the day, the time and the name again before you use it.",
        parameters: &[
            SERVICE,
            ("date", "The day, as YYYY-MM-DD.", true),
            ("time", "The time, as HH:MM.", true),
            ("name", "The caller's full name.", true),
            PHONE,
            ("email", "The caller's email address.", false),
            STAFF,
            ("note", "What the caller wants to be known.", false),
        ],
    },
    Tool {
        name: "reschedule_appointment",
        description: "Moves the caller's appointment to another time.",
        parameters: &[
            ("date", "The new day, as YYYY-MM-DD.", true),
            ("time", "The new time, as HH:MM.", true),
            ("current_date", "The day on which it is now, when the caller has several.", false),
            NAME,
            PHONE,
        ],
    },
    Tool {
        name: "cancel_appointment",
        description: "Cancels the caller's appointment. Ask whether they are sure before you use it.",
        parameters: &[("current_date", "The day on which it is, when the caller has several.", false), NAME, PHONE],
    },
    Tool {
        name: "find_contact",
        description: "Tells what is known of the caller and their next appointments.",
        parameters: &[NAME, PHONE],
    },
    Tool {
        name: "take_message",
        description: "Takes a message for the staff.",
        parameters: &[("message", "What they are to know.", true), NAME, PHONE],
    },
    Tool {
        name: "search_knowledge",
        description: "Answers a question about the organisation from its own documents: prices, parking, what to bring.",
        parameters: &[("question", "What the caller wants to know.", true)],
    },
    Tool {
        name: "opening_hours",
        description: "Tells when it is open.",
        parameters: &[("date", "The day, as YYYY-MM-DD. Leave it out for the next week.", false)],
    },
];

impl Tool {
    /// The tool in the form that providers of models take (a function with a JSON schema).
    pub(crate) fn definition(&self) -> Value {
        json!({"name": self.name, "description": self.description, "parameters": self.schema()})
    }

    fn schema(&self) -> Value {
        let properties: BTreeMap<&str, Value> = self
            .parameters
            .iter()
            .map(|(name, description, _)| (*name, json!({"type": "string", "description": description})))
            .collect();
        let required: Vec<&str> =
            self.parameters.iter().filter(|(_, _, required)| *required).map(|(name, ..)| *name).collect();
        json!({"type": "object", "properties": properties, "required": required})
    }
}

/// All tools, as a model of ours is told of them.
pub(crate) fn definitions() -> Vec<ToolDefinition> {
    let of = |tool: &Tool| ToolDefinition { name: tool.name, description: tool.description, parameters: tool.schema() };
    TOOLS.iter().map(of).collect()
}

/// What day and time it is, for a model.
pub(crate) fn now_is(zone: &Zone, now: Timestamp) -> String {
    let (day, minute) = zone.clock(now);
    let (spoken, time, place) = (speech::day(day), speech::time(minute), zone.name());
    format!("Today is {day}, {spoken}, and it is {time} in {place}.")
}

/// Uses a tool for a member who chats: what came of it, and what it says on one line.
pub(crate) async fn for_member(
    app: &App,
    call: &Call,
    by: &Member,
    once: Uuid,
    (name, given): (&str, &Map<String, Value>),
) -> (ToolState, String) {
    let asking = Asking { app, call, tenant: by.tenant, by: Some(by), in_call: None, number: None, once };
    match use_tool(&asking, name, given).await {
        Ok(told) => (ToolState::Done, speech::line(&told.answer)),
        Err(refusal) if refusal.code == "failed" => (ToolState::Failed, speech::line(&refusal.answer)),
        Err(refusal) => (ToolState::Refused, speech::line(&refusal.answer)),
    }
}

/// What a tool is given: texts by name, and nothing else.
pub(super) struct Given<'a>(&'a Map<String, Value>);

impl Given<'_> {
    /// A text, also where a model wrote a number or another name for it.
    fn text(&self, names: &[&str]) -> Option<String> {
        let text = names.iter().find_map(|name| match self.0.get(*name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
        text.map(|text| text.replace('\0', "").trim().to_owned()).filter(|text| !text.is_empty())
    }
}

/// Uses a tool.
pub(super) async fn use_tool(asking: &Asking<'_>, name: &str, given: &Map<String, Value>) -> Answer {
    let (began, given) = (Instant::now(), Given(given));
    let Some(tool) = TOOLS.iter().find(|tool| tool.name == name) else {
        let known: Vec<&str> = TOOLS.iter().map(|tool| tool.name).collect();
        return Err(Refusal::new(
            "unknown_tool",
            format!("There is no tool of that name. There are {}.", known.join(", ")),
        ));
    };
    let told = match tool.name {
        "check_availability" => appointments::check(asking, &given).await,
        "book_appointment" => appointments::book(asking, &given).await,
        "reschedule_appointment" => appointments::reschedule(asking, &given).await,
        "cancel_appointment" => appointments::cancel(asking, &given).await,
        "find_contact" => people::find(asking, &given).await,
        "take_message" => people::take_message(asking, &given).await,
        "search_knowledge" => knowledge::search(asking, &given).await,
        "opening_hours" => hours::tell(asking, &given).await,
        other => Err(Error::internal(format!("nobody does what the tool {other} says")).into()),
    };
    let outcome = match &told {
        Ok(_) => "done",
        Err(refusal) if refusal.code == "failed" => "failed",
        Err(_) => "refused",
    };
    asking.app.calls.figures.used(tool.name, outcome, began.elapsed());
    told
}

impl Asking<'_> {
    async fn settings(&self) -> Result<Settings, Refusal> {
        Ok(self.app.reception.settings(self.call, self.tenant).await?)
    }

    fn today(&self, zone: &Zone) -> CalendarDay {
        zone.day_of(self.app.clock.now())
    }

    /// The service that is named, or else the one that a question speaks of, if it speaks of one.
    async fn service_in(&self, given: &Given<'_>) -> Result<Service, Refusal> {
        let name = given.text(&["service", "service_name"]);
        let Some(question) = given.text(&["question"]).filter(|_| name.is_none()) else {
            return self.service(name.as_deref()).await;
        };
        match self.service(Some(&question)).await {
            Ok(service) => Ok(service),
            Err(_) => self.service(None).await,
        }
    }

    /// The service of that name; the only one without a name.
    async fn service(&self, name: Option<&str>) -> Result<Service, Refusal> {
        let list = ListServices { tenant: self.tenant, after: None, limit: CHOICES };
        let mut all = self.app.store.run(self.call, list).await?;
        all.retain(|service| service.archived_at.is_none());
        choose(all, name, |service| &service.name, "service")
    }

    /// Who is called that; nothing without a name.
    async fn staff(&self, name: Option<&str>) -> Result<Option<Staff>, Refusal> {
        let Some(name) = name.filter(|name| !["any", "anybody", "anyone"].contains(&name.to_lowercase().as_str()))
        else {
            return Ok(None);
        };
        let list = ListStaff { tenant: self.tenant, after: None, limit: CHOICES };
        let all = self.app.store.run(self.call, list).await?;
        let all: Vec<Staff> = all.into_iter().map(|(staff, _)| staff).filter(|one| one.archived_at.is_none()).collect();
        choose(all, Some(name), |staff| &staff.name, "person").map(Some)
    }

    /// The day that is meant.
    fn day(&self, zone: &Zone, text: &str) -> Result<CalendarDay, Refusal> {
        speech::read_day(text, self.today(zone))
            .ok_or_else(|| Refusal::new("invalid_date", "I did not understand the day. Which date is it?"))
    }

    /// What says that the same thing is asked again.
    fn claim(&self, of: &str) -> Result<(PersonId, Claim), Refusal> {
        let key = IdempotencyKey::parse(&format!("{of}:{}", self.once));
        let key = key.map_err(|refused| Error::internal(refused.detail))?;
        // A use of a tool says the same whenever it is told.
        Ok((PersonId(Uuid::nil()), Claim { key, fingerprint: self.once.to_string() }))
    }
}

/// The one that is meant: of the whole name, else of a part of it.
fn choose<T>(mut all: Vec<T>, name: Option<&str>, of: impl Fn(&T) -> &String, what: &str) -> Result<T, Refusal> {
    let names = |all: &[T]| {
        let names: Vec<String> = all.iter().take(8).map(|one| of(one).clone()).collect();
        speech::list(&names, "or")
    };
    let Some(wanted) = name.map(str::to_lowercase) else {
        return match all.len() {
            0 => Err(Refusal::new("nothing_offered", "Nothing can be booked by phone at the moment.")),
            1 => Ok(all.swap_remove(0)),
            _ => Err(Refusal::new("which", format!("Which {what} is it: {}?", names(&all)))),
        };
    };
    let whole = all.iter().position(|one| of(one).to_lowercase() == wanted);
    let mut parts: Vec<usize> = Vec::new();
    for (place, one) in all.iter().enumerate() {
        let one = of(one).to_lowercase();
        if one.contains(&wanted) || wanted.contains(&one) {
            parts.push(place);
        }
    }
    let only = if let [place] = parts.as_slice() { Some(*place) } else { None };
    match (whole.or(only), parts.as_slice()) {
        (Some(place), _) => Ok(all.swap_remove(place)),
        (None, []) if all.is_empty() => {
            Err(Refusal::new("nothing_offered", "Nothing can be booked by phone at the moment."))
        }
        _ => Err(Refusal::new("which", format!("I do not know that {what}. There is {}.", names(&all)))),
    }
}

/// Why a time cannot be had, and which can.
fn instead(zone: &Zone, problem: &Problem) -> Refusal {
    let error = problem.error();
    let free = problem.alternatives();
    let why = match error.code {
        "slot_taken" => "That time was just taken.",
        "not_offered" => "That time is not available.",
        _ => return Refusal::of_fault(error).unwrap_or_else(|| Refusal::new(error.code, error.detail.clone())),
    };
    let next = if free.is_empty() {
        "Nothing is free soon.".to_owned()
    } else {
        format!("The next free times are {}.", speech::moments(zone, free))
    };
    Refusal::new(error.code, format!("{why} {next}"))
}
