//! Identifiers: UUIDv7 (RFC 9562) behind one newtype each, so that one kind cannot be passed for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident;)+) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The bare UUID, for the store and the wire.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(Self)
            }
        }
    )+ };
}

id! {
    /// An organisation: the tenant that every row of its data belongs to.
    TenantId;
    /// A person, who may be a member of several organisations.
    PersonId;
    /// A sign-in: the family of refresh tokens that one password check (or one outside token) started.
    SessionId;
    /// An API key of an organisation.
    ApiKeyId;
    /// A conversation of one member with the assistant.
    ConversationId;
    /// A message in a conversation.
    MessageId;
    /// The making of one reply. It shares the id of the message that it makes.
    GenerationId;
    /// What a client syncs by: one for each membership (the person's id) and one for the organisation (its own id).
    StreamId;
    /// An experiment. One that is made anew under an old key is another.
    ExperimentId;
    /// A job: work that is done later.
    JobId;
    /// Somebody who sends webhooks to an organisation.
    InboxSourceId;
    /// An event that arrived in the inbox. Its job has the same id.
    InboxEventId;
    /// An endpoint that events are delivered to.
    EndpointId;
    /// An event that an organisation's endpoints are told of.
    EventId;
    /// The delivery of an event to an endpoint. It shares the id of the job that makes it.
    DeliveryId;
    /// Something that an organisation does for people at a time.
    ServiceId;
    /// Somebody who does it.
    StaffId;
    /// Somebody for whom it is done.
    ContactId;
    /// A service that is done for a contact by somebody at a time.
    AppointmentId;
    /// A call on the phone, or in a browser by way of a provider of calls.
    PhoneCallId;
    /// What a caller wants somebody to know.
    PhoneMessageId;
    /// A text message that somebody is sent. The job that sends it has the same id.
    TextMessageId;
    /// The calendar of a member of the staff at a provider of calendars.
    CalendarConnectionId;
    /// Where a calendar says something else than the reception does.
    CalendarConflictId;
    /// A calendar that other programs read by a secret address.
    CalendarFeedId;
    /// Somebody on the way to a provider of calendars and back.
    CalendarSignInId;
    /// An image that somebody sends.
    ImageId;
    /// A document of an organisation's own knowledge.
    DocumentId;
    /// A campaign of outreach.
    CampaignId;
    /// One of the texts that a step of a campaign may have.
    StepVariantId;
    /// Somebody that a campaign writes to.
    LeadId;
    /// A list of people that is read into a campaign.
    LeadImportId;
    /// An account that emails of campaigns are sent by.
    SendingAccountId;
    /// An email of a campaign to a lead.
    EmailId;
    /// One request to the server, as its answer and its log lines name it.
    RequestId;
}

impl From<MessageId> for GenerationId {
    fn from(reply: MessageId) -> Self {
        Self(reply.0)
    }
}

impl From<GenerationId> for MessageId {
    fn from(generation: GenerationId) -> Self {
        Self(generation.0)
    }
}

impl From<InboxEventId> for JobId {
    fn from(event: InboxEventId) -> Self {
        Self(event.0)
    }
}

impl From<TextMessageId> for JobId {
    fn from(text: TextMessageId) -> Self {
        Self(text.0)
    }
}

impl From<JobId> for TextMessageId {
    fn from(job: JobId) -> Self {
        Self(job.0)
    }
}

impl From<JobId> for DeliveryId {
    fn from(job: JobId) -> Self {
        Self(job.0)
    }
}

impl From<DeliveryId> for JobId {
    fn from(delivery: DeliveryId) -> Self {
        Self(delivery.0)
    }
}

impl From<PersonId> for StreamId {
    fn from(person: PersonId) -> Self {
        Self(person.0)
    }
}

impl From<TenantId> for StreamId {
    fn from(tenant: TenantId) -> Self {
        Self(tenant.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_what_it_prints() {
        let id = ConversationId(Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0001));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("not-an-id".parse::<ConversationId>().is_err());
    }
}
