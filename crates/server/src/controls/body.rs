//! Controls as they are told, over the wire and by the command line with `--json`.

use mainstay_domain::Timestamp;
use mainstay_store::{ControlAuthor, ControlChange, StoredControl};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::control::{Control, Values};

/// A control that is set.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ControlBody {
    /// Its name.
    #[schema(example = "limits.percent")]
    pub name: String,
    /// What it is set to: a number or `off`.
    #[schema(example = "50")]
    pub value: String,
    /// Why.
    pub reason: String,
    /// Who set it last: the address of an operator, or who used the command line.
    pub author: String,
    /// The operator; null from the command line.
    pub author_id: Option<Uuid>,
    /// When it was set last.
    #[schema(value_type = String, format = DateTime)]
    pub set_at: Timestamp,
    /// Since when it has been set without a pause, however often it was renewed.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

impl From<StoredControl> for ControlBody {
    fn from(stored: StoredControl) -> Self {
        let StoredControl { name, value, reason, author, set_at, since, expires_at } = stored;
        let ControlAuthor { person, name: author } = author;
        Self { name, value, reason, author, author_id: person.map(|person| person.uuid()), set_at, since, expires_at }
    }
}

/// A change of a control.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ControlChangeBody {
    /// Its id.
    pub id: Uuid,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Of which control.
    pub name: String,
    /// What it was set to before; null when it was not set.
    pub old_value: Option<String>,
    /// What it is set to since; null when it was cleared.
    pub new_value: Option<String>,
    /// When that ends; null when it was cleared.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// Why.
    pub reason: String,
    /// Who: the address of an operator, or who used the command line.
    pub author: String,
    /// The operator; null from the command line.
    pub author_id: Option<Uuid>,
}

impl From<ControlChange> for ControlChangeBody {
    fn from(change: ControlChange) -> Self {
        let ControlChange { id, at, name, old, new, expires_at, reason, author } = change;
        let ControlAuthor { person, name: author } = author;
        let author_id = person.map(|person| person.uuid());
        Self { id, at, name, old_value: old, new_value: new, expires_at, reason, author, author_id }
    }
}

/// A control that there is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ControlNameBody {
    /// Its name.
    pub name: String,
    /// What it does.
    pub about: String,
    /// The least number; null for a switch, which is set to `off`.
    pub least: Option<u32>,
    /// The most; null for a switch.
    pub most: Option<u32>,
    /// Of what the number is; null for a switch.
    pub unit: Option<&'static str>,
}

impl From<&Control> for ControlNameBody {
    fn from(control: &Control) -> Self {
        let (least, most, unit) = match control.values() {
            Values::Off => (None, None, None),
            Values::Number { least, most, unit } => (Some(least), Some(most), Some(unit)),
        };
        Self { name: control.name(), about: control.about(), least, most, unit }
    }
}
