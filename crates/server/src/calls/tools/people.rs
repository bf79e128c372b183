//! Who calls, and what they want somebody to know.

use mainstay_domain::{CallOutcome, EmailAddress, PhoneMessageId, PhoneNumber};
use mainstay_store::{Contact, FindContacts, PhoneMessage, Reception as Settings};

use super::appointments::ahead;
use super::{Answer, Asking, Given, Refusal, Told};
use crate::accounts::Member;
use crate::calls::speech;
use crate::reception::ContactWish;

/// What a model may call the name of the caller.
pub(super) const NAMES: &[&str] = &["name", "caller_name", "patient_name", "customer_name", "full_name"];
/// What a model may call their number.
const PHONES: &[&str] = &["phone", "phone_number", "number"];
/// The longest message, in characters.
const LONGEST_MESSAGE: usize = 2_000;

/// The number that is meant: the one that is named, else the one of the call.
pub(super) fn number(
    asking: &Asking<'_>,
    settings: &Settings,
    given: &Given<'_>,
) -> Result<Option<PhoneNumber>, Refusal> {
    let Some(text) = given.text(PHONES) else { return Ok(asking.number.clone()) };
    match PhoneNumber::parse(&text, settings.calling_code) {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(Refusal::new("invalid_phone", "I did not understand the number. Please say it digit by digit.")),
    }
}

/// Who asks. From their own number they are known by it; who names another one says whose it is, too.
pub(super) async fn caller(asking: &Asking<'_>, settings: &Settings, given: &Given<'_>) -> Result<Contact, Refusal> {
    if let Some(by) = asking.by {
        return named(asking, settings, given, by).await;
    }
    let number = number(asking, settings, given)?;
    let name = given.text(NAMES);
    let email = given.text(&["email"]).and_then(|text| EmailAddress::parse(&text).ok());
    let own = number.is_some() && number == asking.number;
    if number.is_none() && email.is_none() {
        return Err(Refusal::new("missing_phone", "Under which number do we know you?"));
    }
    let find = FindContacts { tenant: asking.tenant, phone: number, email, name: None };
    let found = asking.app.store.run(asking.call, find).await?;
    let unknown = || Refusal::new("unknown_caller", "I find nobody with that name and number.");
    let contact = found.into_iter().next().ok_or_else(unknown)?;
    if own {
        return Ok(contact);
    }
    let said = name.ok_or_else(|| Refusal::new("missing_name", "And under which name?"))?;
    if same_name(&said, &contact.name) { Ok(contact) } else { Err(unknown()) }
}

/// Whom a member means: by a number, an address or a name. That they read of them is noted.
async fn named(asking: &Asking<'_>, settings: &Settings, given: &Given<'_>, by: &Member) -> Result<Contact, Refusal> {
    let phone = number(asking, settings, given)?;
    let email = given.text(&["email"]).and_then(|text| EmailAddress::parse(&text).ok());
    let name = given.text(NAMES).filter(|_| phone.is_none() && email.is_none());
    if phone.is_none() && email.is_none() && name.is_none() {
        return Err(Refusal::new("missing_name", "Who is it? Give a number, an email address or a name."));
    }
    let find = FindContacts { tenant: asking.tenant, phone, email, name };
    let found = asking.app.store.run(asking.call, find).await?;
    let contact = only(found, given.text(NAMES).as_deref())?;
    let contact = contact.ok_or_else(|| Refusal::new("unknown_contact", "There is no such contact."))?;
    Ok(asking.app.reception.read_contact(asking.call, by, contact.id).await?)
}

/// The one of them that is meant.
fn only(mut found: Vec<Contact>, name: Option<&str>) -> Result<Option<Contact>, Refusal> {
    if found.len() > 1
        && let Some(name) = name
        && found.iter().any(|contact| same_name(name, &contact.name))
    {
        found.retain(|contact| same_name(name, &contact.name));
    }
    if found.len() > 1 {
        return Err(Refusal::new(
            "which",
            "There are several contacts of that name. Give a number or an email address.",
        ));
    }
    Ok(found.pop())
}

/// Whom a member means by a name alone, where there is exactly one: they are not made anew.
pub(super) async fn known_by_name(asking: &Asking<'_>, wish: &ContactWish) -> Result<Option<Contact>, Refusal> {
    let (Some(_), None, None, Some(name)) = (asking.by, &wish.phone, &wish.email, &wish.name) else { return Ok(None) };
    let find = FindContacts { tenant: asking.tenant, phone: None, email: None, name: Some(name.clone()) };
    let mut found = asking.app.store.run(asking.call, find).await?;
    found.retain(|contact| same_name(name, &contact.name));
    only(found, None)
}

/// Whether two names are one: the same words, whatever their order and capitals.
fn same_name(one: &str, other: &str) -> bool {
    let words = |name: &str| {
        let mut words: Vec<String> = name.to_lowercase().split_whitespace().map(str::to_owned).collect();
        words.sort_unstable();
        words
    };
    let (one, other) = (words(one), words(other));
    !one.is_empty() && one == other
}

pub(super) async fn find(asking: &Asking<'_>, given: &Given<'_>) -> Answer {
    let settings = asking.settings().await?;
    let contact = caller(asking, &settings, given).await?;
    let ahead = ahead(asking, contact.id).await?;
    let mut next = Vec::new();
    for one in ahead.iter().take(3) {
        let service = asking.app.reception.service(asking.call, asking.tenant, one.service).await?;
        next.push(format!("{} on {}", service.name, speech::moment(&settings.zone, one.shown.from())));
    }
    let name = if contact.name.is_empty() { "The caller" } else { &contact.name };
    let text = match next.as_slice() {
        [] => format!("{name} is known and has no appointment that is still to come."),
        some => format!("{name} is known. Still to come: {}.", speech::list(some, "and")),
    };
    Ok(Told { contact: Some(contact.id), ..Told::answer(text) })
}

pub(super) async fn take_message(asking: &Asking<'_>, given: &Given<'_>) -> Answer {
    let Some(body) = given.text(&["message", "text", "body"]) else {
        return Err(Refusal::new("missing_message", "What shall I pass on?"));
    };
    let name = given.text(NAMES).unwrap_or_default();
    let settings = asking.app.reception.settings(asking.call, asking.tenant).await.ok();
    let phone = match &settings {
        Some(settings) => number(asking, settings, given)?,
        None => asking.number.clone(),
    };
    let contact = match &phone {
        None => None,
        Some(phone) => {
            let phone = Some(Some(phone.as_str().to_owned()));
            let name = Some(name.clone()).filter(|name| !name.is_empty());
            let wish = ContactWish { name, phone, email: None, note: None };
            Some(asking.app.reception.know(asking.call, asking.tenant, &wish).await?.id)
        }
    };
    let line: String = name.chars().filter(|one| !one.is_control()).take(200).collect();
    let message = PhoneMessage {
        id: PhoneMessageId(asking.once),
        call: asking.in_call,
        contact,
        name: line,
        phone: phone.map(|phone| phone.as_str().to_owned()),
        body: body.chars().take(LONGEST_MESSAGE).collect(),
        created_at: asking.app.clock.now(),
        handled: None,
    };
    asking.app.calls.take(asking.call, asking.tenant, message).await?;
    Ok(Told {
        answer: "I have taken the message and will pass it on.".to_owned(),
        outcome: Some(CallOutcome::MessageTaken),
        appointment: None,
        contact,
    })
}

#[cfg(test)]
mod tests {
    use super::same_name;

    #[test]
    fn names_are_compared_word_by_word() {
        assert!(same_name("ada LOVELACE", "Lovelace  Ada"));
        for (one, other) in [("Ada", "Ada Lovelace"), ("", ""), ("Ada Lovelace", "Ada Byron")] {
            assert!(!same_name(one, other), "{one} {other}");
        }
    }
}
