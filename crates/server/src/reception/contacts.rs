//! For whom it is done.

use mainstay_domain::{ContactId, EmailAddress, Error, Faults, Kind, Note, PersonName, PhoneNumber, Result, TenantId};
use mainstay_store::{
    Call, ChangeContact, Contact, Error as StoreError, GetContact, GetReception, KnowContact, ListContacts,
    ReadContact, ReadContacts, Reading,
};

use super::Reception;
use crate::accounts::Member;

/// What somebody says of a contact, not looked at yet. What is left out stays as it is; null removes it.
#[derive(Clone, Debug, Default)]
pub struct ContactWish {
    /// What they are called.
    pub name: Option<String>,
    /// Their number, as people write it.
    pub phone: Option<Option<String>>,
    /// Their address.
    pub email: Option<Option<String>>,
    /// What is to be known of them.
    pub note: Option<String>,
}

/// The same, looked at.
struct Checked {
    phone: Option<PhoneNumber>,
    email: Option<EmailAddress>,
    note: Option<Note>,
    name: String,
}

impl Reception {
    async fn check(&self, call: &Call, tenant: TenantId, wish: &ContactWish) -> Result<Checked> {
        let mut faults = Faults::default();
        let name = wish.name.as_deref().and_then(|text| faults.keep("name", PersonName::parse(text)));
        let phone = match wish.phone.as_ref().and_then(Option::as_deref) {
            None => None,
            Some(text) => {
                // Without a country a number is one of the country of the reception.
                let country = self.store.run(call, GetReception(tenant)).await?.and_then(|one| one.calling_code);
                faults.keep("phone", PhoneNumber::parse(text, country))
            }
        };
        let email = wish.email.as_ref().and_then(Option::as_deref);
        let email = email.and_then(|text| faults.keep("email", EmailAddress::parse(text)));
        let note = wish.note.as_deref().and_then(|text| faults.keep("note", Note::parse(text)));
        faults.judge()?;
        Ok(Checked { phone, email, note, name: name.unwrap_or_default().as_str().to_owned() })
    }

    /// Knows somebody by a number or an address: who has one of them, with what was not known added; else somebody new.
    ///
    /// # Errors
    /// `invalid_input` where neither a name, a number nor an address is given, or one is not well formed.
    pub async fn know(&self, call: &Call, tenant: TenantId, wish: &ContactWish) -> Result<Contact> {
        let Checked { phone, email, note, name } = self.check(call, tenant, wish).await?;
        if phone.is_none() && email.is_none() && name.is_empty() {
            return Err(Error::invalid_field("phone", "missing", "Give a number, an address or at least a name."));
        }
        let now = self.clock.now();
        let know = KnowContact { tenant, id: self.ids.make(), name, phone, email, now };
        let mut contact = self.store.run(call, know).await?;
        if let Some(note) = note.filter(|note| contact.note != note.as_str()) {
            note.as_str().clone_into(&mut contact.note);
            contact.updated_at = now;
            self.store.run(call, ChangeContact { tenant, contact: contact.clone() }).await?;
        }
        Ok(contact)
    }

    /// Reads a contact.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn contact(&self, call: &Call, tenant: TenantId, id: ContactId) -> Result<Contact> {
        let found = self.store.run(call, GetContact { tenant, id }).await?;
        found.ok_or_else(|| Error::not_found("contact"))
    }

    /// Reads a contact for a person, which is noted in the access log.
    ///
    /// # Errors
    /// `not_found`.
    pub(crate) async fn read_contact(&self, call: &Call, by: &Member, id: ContactId) -> Result<Contact> {
        let found = self.store.run(call, ReadContact { tenant: by.tenant, id, reading: self.reading(by) }).await?;
        found.ok_or_else(|| Error::not_found("contact"))
    }

    /// Lists contacts by their names for a person, which is noted in the access log.
    pub(super) async fn contacts(
        &self,
        call: &Call,
        by: &Member,
        after: Option<(String, ContactId)>,
        limit: u32,
    ) -> Result<Vec<Contact>> {
        let list = ListContacts { tenant: by.tenant, after, limit };
        Ok(self.store.run(call, ReadContacts { list, reading: self.reading(by) }).await?)
    }

    fn reading(&self, by: &Member) -> Reading {
        Reading { id: self.ids.make(), by: by.person, now: self.clock.now() }
    }

    /// Changes what is known of a contact.
    ///
    /// # Errors
    /// `not_found`; `invalid_input`; `contact_exists` when another has the number or the address.
    pub async fn change_contact(
        &self,
        call: &Call,
        tenant: TenantId,
        id: ContactId,
        wish: &ContactWish,
    ) -> Result<Contact> {
        let checked = self.check(call, tenant, wish).await?;
        let mut contact = self.contact(call, tenant, id).await?;
        if wish.name.is_some() {
            contact.name = checked.name;
        }
        if wish.phone.is_some() {
            contact.phone = checked.phone.map(|phone| phone.as_str().to_owned());
        }
        if wish.email.is_some() {
            contact.email = checked.email.map(|email| email.as_str().to_owned());
        }
        if let Some(note) = checked.note {
            note.as_str().clone_into(&mut contact.note);
        }
        contact.updated_at = self.clock.now();
        match self.store.run(call, ChangeContact { tenant, contact: contact.clone() }).await {
            Ok(()) => Ok(contact),
            Err(StoreError::Unique(_)) => {
                let detail = "Another contact has this number or this address.";
                Err(Error::new(Kind::Conflict, "contact_exists", detail))
            }
            Err(error) => Err(error.into()),
        }
    }
}
