//! Who is written to.

use std::collections::BTreeMap;

use super::template::Fields;
use crate::{EmailAddress, Label, PersonName, Zone};

/// Somebody who is to be taken in as a lead.
#[derive(Clone, PartialEq, Eq)]
pub struct NewLead {
    /// Where mail reaches them.
    pub address: EmailAddress,
    /// Empty when it is not known.
    pub first_name: PersonName,
    /// Empty when it is not known.
    pub last_name: PersonName,
    /// For whom they work.
    pub company: Option<Label>,
    /// Where their clock is read; the campaign's own where it is not known.
    pub zone: Option<Zone>,
    /// The organisation's own fields, by their names without `custom.`.
    pub fields: BTreeMap<String, String>,
}

crate::text::unprinted!(NewLead, "[lead]");

impl NewLead {
    /// The fields by which templates name them.
    #[must_use]
    pub fn template_fields(&self) -> Fields {
        let own = self.fields.iter().map(|(name, value)| (format!("custom.{name}"), value.clone()));
        let mut fields: Fields = own.collect();
        fields.set("email", self.address.as_str());
        fields.set("first_name", self.first_name.as_str());
        fields.set("last_name", self.last_name.as_str());
        fields.set("company", self.company.as_ref().map_or("", Label::as_str));
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_no_field() {
        let lead = NewLead {
            address: EmailAddress::parse("ada@example.com").expect("an address"),
            first_name: PersonName::parse("Ada").expect("a name"),
            last_name: PersonName::default(),
            company: None,
            zone: None,
            fields: [("city".to_owned(), "London".to_owned())].into_iter().collect(),
        };
        let fields = lead.template_fields();
        let named = ["email", "first_name", "last_name", "company", "custom.city", "city"].map(|name| fields.get(name));
        assert_eq!(named, [Some("ada@example.com"), Some("Ada"), None, None, Some("London"), None]);
        assert_eq!(format!("{lead:?}"), "[lead]");
    }
}
