//! For whom it is done. Whoever is known by a number or an address is one contact.

use mainstay_domain::{ContactId, EmailAddress, PhoneNumber, TenantId, Timestamp};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    INSERT = both("
        INSERT INTO contact (id, tenant_id, name, phone, email, note, created_at, updated_at, folded)
        VALUES ($1, $2, $3, $4, $5, '', $6, $6, $7) ON CONFLICT DO NOTHING");
    BY_PHONE = both("
        SELECT id, name, phone, email, note, created_at, updated_at FROM contact WHERE tenant_id = $1 AND phone = $2");
    BY_EMAIL = both("
        SELECT id, name, phone, email, note, created_at, updated_at FROM contact WHERE tenant_id = $1 AND email = $2");
    BY_NAME = both("
        SELECT id, name, phone, email, note, created_at, updated_at FROM contact
        WHERE tenant_id = $1 AND folded >= $2 AND folded < $3 ORDER BY folded, id LIMIT 10");
    GET = both("SELECT id, name, phone, email, note, created_at, updated_at FROM contact WHERE id = $1 AND tenant_id = $2");
    LIST = both("
        SELECT id, name, phone, email, note, created_at, updated_at FROM contact
        WHERE tenant_id = $1 AND (folded, id) > ($2, $3) ORDER BY folded, id LIMIT $4");
    CHANGE = both("
        UPDATE contact SET name = $3, phone = $4, email = $5, note = $6, updated_at = $7, folded = $8
        WHERE id = $1 AND tenant_id = $2");
    /// What was made for one is another's from now on.
    HAND_OVER = both("UPDATE appointment SET contact_id = $3, updated_at = $4 WHERE tenant_id = $1 AND contact_id = $2");
    HAND_OVER_CALLS = both("UPDATE phone_call SET contact_id = $3 WHERE tenant_id = $1 AND contact_id = $2");
    HAND_OVER_MESSAGES = both("UPDATE phone_message SET contact_id = $3 WHERE tenant_id = $1 AND contact_id = $2");
    HAND_OVER_TEXTS = both("UPDATE text_message SET contact_id = $3 WHERE tenant_id = $1 AND contact_id = $2");
    REMOVE = both("DELETE FROM contact WHERE id = $1 AND tenant_id = $2");
}

/// Somebody for whom something is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Their id.
    pub id: ContactId,
    /// What they are called; empty while nobody has said.
    pub name: String,
    /// Their number (E.164).
    pub phone: Option<String>,
    /// Their address.
    pub email: Option<String>,
    /// What is to be known of them.
    pub note: String,
    /// Since when they are known.
    pub created_at: Timestamp,
    /// When something of this last changed.
    pub updated_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct ContactRow {
    id: Uuid,
    name: String,
    phone: Option<String>,
    email: Option<String>,
    note: String,
    created_at: At,
    updated_at: At,
}

impl From<ContactRow> for Contact {
    fn from(row: ContactRow) -> Self {
        Self {
            id: ContactId(row.id),
            name: row.name,
            phone: row.phone,
            email: row.email,
            note: row.note,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
        }
    }
}

/// A name as it is listed and found: in small letters.
#[must_use]
pub fn folded(name: &str) -> String {
    name.to_lowercase()
}

/// How often it is looked again when somebody else made the same contact at the same moment.
const LOOKS: usize = 3;

/// Knows somebody by a number or an address, or by both: finds who has one of them, adds what was not known, and makes one
/// contact of two when the number is one's and the address another's. Who was known first stays.
#[derive(Clone, Debug)]
pub struct KnowContact {
    /// The organisation.
    pub tenant: TenantId,
    /// The id of a new one.
    pub id: ContactId,
    /// What they are called, where they have said; who had no name has it from now on.
    pub name: String,
    /// Their number.
    pub phone: Option<PhoneNumber>,
    /// Their address.
    pub email: Option<EmailAddress>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for KnowContact {
    type Output = Contact;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Contact> {
        for _ in 0..LOOKS {
            let mut known = known(tx, self.tenant, (self.phone.as_ref(), self.email.as_ref())).await?;
            known.sort_by_key(|contact| (contact.created_at, contact.id));
            known.dedup_by_key(|contact| contact.id);
            if let Some((first, others)) = known.split_first() {
                return self.joined(tx, first.clone(), others).await;
            }
            let insert = tx.query(INSERT).bind(self.id.uuid()).bind(self.tenant.uuid()).bind(self.name.clone());
            let insert = insert.bind(self.phone.as_ref().map(|phone| phone.as_str().to_owned()));
            let insert = insert.bind(self.email.as_ref().map(|email| email.as_str().to_owned())).bind(At(self.now));
            let insert = insert.bind(folded(&self.name));
            if insert.run().await? == 1 {
                return contact_of(tx, self.tenant, self.id).await?.ok_or(Error::Missing("contact"));
            }
        }
        Err(Error::Conflict)
    }
}

impl KnowContact {
    /// One contact of all of them.
    async fn joined(&self, tx: &mut Tx<'_>, mut first: Contact, others: &[Contact]) -> Result<Contact> {
        let tenant = self.tenant.uuid();
        for other in others {
            tx.query(HAND_OVER)
                .bind(tenant)
                .bind(other.id.uuid())
                .bind(first.id.uuid())
                .bind(At(self.now))
                .run()
                .await?;
            for sql in [HAND_OVER_CALLS, HAND_OVER_MESSAGES, HAND_OVER_TEXTS] {
                tx.query(sql).bind(tenant).bind(other.id.uuid()).bind(first.id.uuid()).run().await?;
            }
            tx.query(REMOVE).bind(other.id.uuid()).bind(tenant).run().await?;
            if first.name.is_empty() {
                first.name.clone_from(&other.name);
            }
            let notes = [first.note.as_str(), other.note.as_str()];
            first.note = notes.into_iter().filter(|note| !note.is_empty()).collect::<Vec<_>>().join("\n");
        }
        let before = first.clone();
        if first.name.is_empty() {
            first.name.clone_from(&self.name);
        }
        first.phone = first.phone.or_else(|| self.phone.as_ref().map(|phone| phone.as_str().to_owned()));
        first.email = first.email.or_else(|| self.email.as_ref().map(|email| email.as_str().to_owned()));
        if before != first || !others.is_empty() {
            first.updated_at = self.now;
            change(tx, self.tenant, &first).await?;
        }
        Ok(first)
    }
}

async fn change(tx: &mut Tx<'_>, tenant: TenantId, contact: &Contact) -> Result<()> {
    let Contact { id, name, phone, email, note, updated_at, .. } = contact;
    let change = tx.query(CHANGE).bind(id.uuid()).bind(tenant.uuid()).bind(name.clone()).bind(phone.clone());
    let changed = change.bind(email.clone()).bind(note.clone()).bind(At(*updated_at));
    let changed = changed.bind(folded(name)).run().await?;
    if changed == 1 { Ok(()) } else { Err(Error::Missing("contact")) }
}

/// Changes what is known of somebody. [`Error::Unique`] when another has the number or the address.
#[derive(Clone, Debug)]
pub struct ChangeContact {
    /// The organisation.
    pub tenant: TenantId,
    /// As it is from now on.
    pub contact: Contact,
}

impl Intent for ChangeContact {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        change(tx, self.tenant, &self.contact).await
    }
}

/// Reads a contact.
#[derive(Clone, Copy, Debug)]
pub struct GetContact {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: ContactId,
}

impl Intent for GetContact {
    type Output = Option<Contact>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<Contact>> {
        contact_of(tx, self.tenant, self.id).await
    }
}

pub(crate) async fn contact_of(tx: &mut Tx<'_>, tenant: TenantId, id: ContactId) -> Result<Option<Contact>> {
    Ok(tx.query(GET).bind(id.uuid()).bind(tenant.uuid()).row::<ContactRow>().await?.map(Contact::from))
}

/// Finds who has a number, an address, or a name that begins so; each of those that are given, the number first. At most ten
/// of a name.
#[derive(Clone, Debug)]
pub struct FindContacts {
    /// The organisation.
    pub tenant: TenantId,
    /// The number.
    pub phone: Option<PhoneNumber>,
    /// The address.
    pub email: Option<EmailAddress>,
    /// The beginning of the name; capitals do not count.
    pub name: Option<String>,
}

impl Intent for FindContacts {
    type Output = Vec<Contact>;
    const WRITES: bool = false;
    const SNAPSHOT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Contact>> {
        let mut found = known(tx, self.tenant, (self.phone.as_ref(), self.email.as_ref())).await?;
        if let Some(name) = self.name.as_deref().map(folded).filter(|name| !name.is_empty()) {
            // The end of everything that begins so.
            let end = format!("{name}\u{10FFFF}");
            let named = tx.query(BY_NAME).bind(self.tenant.uuid()).bind(name).bind(end);
            found.extend(named.rows::<ContactRow>().await?.into_iter().map(Contact::from));
        }
        let mut seen = std::collections::HashSet::new();
        found.retain(|contact| seen.insert(contact.id));
        Ok(found)
    }
}

/// Who has a number or an address.
async fn known(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    (phone, email): (Option<&PhoneNumber>, Option<&EmailAddress>),
) -> Result<Vec<Contact>> {
    let mut known: Vec<Contact> = Vec::new();
    if let Some(phone) = phone {
        let row = tx.query(BY_PHONE).bind(tenant.uuid()).bind(phone.as_str().to_owned()).row::<ContactRow>().await?;
        known.extend(row.map(Contact::from));
    }
    if let Some(email) = email {
        let row = tx.query(BY_EMAIL).bind(tenant.uuid()).bind(email.as_str().to_owned()).row::<ContactRow>().await?;
        known.extend(row.map(Contact::from));
    }
    Ok(known)
}

/// Lists contacts by their names, whatever their capitals.
#[derive(Clone, Debug)]
pub struct ListContacts {
    /// The organisation.
    pub tenant: TenantId,
    /// Those after this one: its name in small letters, and its id.
    pub after: Option<(String, ContactId)>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListContacts {
    type Output = Vec<Contact>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Contact>> {
        let (name, id) = self.after.clone().map_or((String::new(), Uuid::nil()), |(name, id)| (name, id.uuid()));
        let list = tx.query(LIST).bind(self.tenant.uuid()).bind(name).bind(id).bind(i64::from(self.limit));
        Ok(list.rows::<ContactRow>().await?.into_iter().map(Contact::from).collect())
    }
}
