//! Which column is what.

use std::collections::BTreeSet;

use mainstay_domain::FieldFault;
use mainstay_domain::outreach::field_name;
use serde::{Deserialize, Serialize};

/// What the values of a column are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is", content = "field")]
pub enum Column {
    /// Addresses of mail.
    Address,
    /// First names.
    FirstName,
    /// Last names.
    LastName,
    /// What they work for.
    Company,
    /// Names of time zones.
    Zone,
    /// A field of the organisation's own, by its name without `custom.`.
    Own(String),
    /// Nothing that is taken.
    Skip,
}

/// Which column of a file is what, in the order of its columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Mapping(Vec<Column>);

/// What columns are called, in letters and digits alone.
static NAMES: [(Column, &[&str]); 5] = [
    (
        Column::Address,
        &[
            "email",
            "emailaddress",
            "mail",
            "mailaddress",
            "emails",
            "workemail",
            "businessemail",
            "contactemail",
            "primaryemail",
            "emailadresse",
            "mailadresse",
            "courriel",
            "adresseemail",
            "adressemail",
            "adresseélectronique",
            "correo",
            "correoelectrónico",
            "correoelectronico",
            "indirizzoemail",
            "emailadres",
            "eposta",
            "epost",
        ],
    ),
    (
        Column::FirstName,
        &["firstname", "first", "givenname", "forename", "vorname", "prénom", "prenom", "nombre", "nome", "voornaam"],
    ),
    (
        Column::LastName,
        &[
            "lastname",
            "last",
            "surname",
            "familyname",
            "nachname",
            "familienname",
            "nom",
            "nomdefamille",
            "apellido",
            "apellidos",
            "cognome",
            "achternaam",
        ],
    ),
    (
        Column::Company,
        &[
            "company",
            "companyname",
            "organisation",
            "organization",
            "organisationname",
            "organizationname",
            "employer",
            "firma",
            "firmenname",
            "unternehmen",
            "entreprise",
            "société",
            "societe",
            "empresa",
            "azienda",
            "bedrijf",
            "account",
            "accountname",
        ],
    ),
    (Column::Zone, &["timezone", "tz", "zeitzone", "fuseauhoraire", "zonahoraria", "fusoorario", "tijdzone"]),
];

/// The most characters of the name of a field of one's own: with `custom.` before it, it is the name of a field.
const LONGEST_OWN: usize = 57;

impl Mapping {
    /// What the columns probably are, by their names. Of two that look alike the first is taken for it. What is not known is
    /// a field of the organisation's own; nothing is lost but what has no name at all.
    #[must_use]
    pub fn guess(header: &[String]) -> Self {
        let mut taken: Vec<&Column> = Vec::new();
        let mut own = BTreeSet::new();
        let columns = header.iter().map(|name| {
            let plain: String = name.chars().filter(|one| one.is_alphanumeric()).flat_map(char::to_lowercase).collect();
            let known =
                NAMES.iter().find(|(column, names)| names.contains(&plain.as_str()) && !taken.contains(&column));
            if let Some((column, _)) = known {
                taken.push(column);
                return column.clone();
            }
            own_name(name, &own).map_or(Column::Skip, |name| {
                own.insert(name.clone());
                Column::Own(name)
            })
        });
        Self(columns.collect())
    }

    /// A mapping of a header that somebody has set.
    ///
    /// # Errors
    /// When there are more or fewer columns than in the header, no column of addresses or more than one, or when two columns
    /// are the same field, each as a fault of `columns` or one of them.
    pub fn new(columns: Vec<Column>, header: &[String]) -> Result<Self, Vec<FieldFault>> {
        let mut faults = Vec::new();
        if columns.len() != header.len() {
            let detail = format!("The file has {} columns; say of each what it is.", header.len());
            faults.push(FieldFault::new("columns", "wrong_number", detail));
        }
        if !columns.contains(&Column::Address) {
            faults.push(FieldFault::new("columns", "no_address", "Say which column has the addresses of mail."));
        }
        let mut seen = BTreeSet::new();
        for (place, column) in columns.iter().enumerate() {
            let field = format!("columns[{place}]");
            let key = match column {
                Column::Skip => continue,
                Column::Own(name) => {
                    if let Err(refused) = field_name(&format!("custom.{name}")) {
                        faults.push(refused.of(&field));
                    }
                    format!("custom.{name}")
                }
                known => format!("{known:?}"),
            };
            if !seen.insert(key) {
                let detail = "Another column is the same field. Choose another one, or skip the column.";
                faults.push(FieldFault::new(field, "duplicate", detail));
            }
        }
        if faults.is_empty() { Ok(Self(columns)) } else { Err(faults) }
    }

    /// What each column is.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.0
    }

    /// Whether one of them has the addresses. Without it nothing can be taken in.
    #[must_use]
    pub fn has_address(&self) -> bool {
        self.0.contains(&Column::Address)
    }
}

/// A name of a field of one's own, made from what a column is called: `Job title` is `job_title`.
fn own_name(called: &str, taken: &BTreeSet<String>) -> Option<String> {
    let mut name = String::new();
    for character in called.chars().flat_map(char::to_lowercase) {
        match character {
            'a'..='z' | '0'..='9' => name.push(character),
            'ä' | 'æ' => name.push_str("ae"),
            'ö' | 'ø' | 'œ' => name.push_str("oe"),
            'ü' => name.push_str("ue"),
            'ß' => name.push_str("ss"),
            'à' | 'á' | 'â' | 'ã' | 'å' => name.push('a'),
            'è' | 'é' | 'ê' | 'ë' => name.push('e'),
            'ì' | 'í' | 'î' | 'ï' => name.push('i'),
            'ò' | 'ó' | 'ô' | 'õ' => name.push('o'),
            'ù' | 'ú' | 'û' => name.push('u'),
            'ç' => name.push('c'),
            'ñ' => name.push('n'),
            _ if !name.is_empty() && !name.ends_with('_') => name.push('_'),
            _ => {}
        }
    }
    let mut name = name.trim_end_matches('_').to_owned();
    if name.is_empty() {
        return None;
    }
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        name.insert_str(0, "field_");
    }
    name.truncate(LONGEST_OWN - 4);
    let free = |name: &String| !taken.contains(name);
    std::iter::once(name.clone()).chain((2..1_000).map(|number| format!("{name}_{number}"))).find(free)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn own(name: &str) -> Column {
        Column::Own(name.to_owned())
    }

    #[test]
    fn columns_are_known_by_their_names() {
        use Column::{Address, Company, FirstName, LastName, Zone};
        for (names, expected) in [
            (
                &["Email", "First Name", "Last Name", "Company", "Time zone"][..],
                vec![Address, FirstName, LastName, Company, Zone],
            ),
            (
                &["E-Mail-Adresse", "Vorname", "Nachname", "Firma", "Zeitzone"],
                vec![Address, FirstName, LastName, Company, Zone],
            ),
            (&["courriel", "Prénom", "NOM", "Société"], vec![Address, FirstName, LastName, Company]),
            (&["Correo electrónico", "nombre", "apellidos", "empresa"], vec![Address, FirstName, LastName, Company]),
            (&["first_name", "EMAIL", "tz"], vec![FirstName, Address, Zone]),
            (&["email", "e-mail", "Mail"], vec![Address, own("e_mail"), own("mail")]),
            (
                &["Job title", "Größe", "2nd phone", "", "***", "Job-Title"],
                vec![
                    own("job_title"),
                    own("groesse"),
                    own("field_2nd_phone"),
                    Column::Skip,
                    Column::Skip,
                    own("job_title_2"),
                ],
            ),
        ] {
            let header = header(names);
            let mapping = Mapping::guess(&header);
            assert_eq!(mapping.columns(), expected, "{names:?}");
            if mapping.has_address() {
                assert_eq!(Mapping::new(expected, &header), Ok(mapping), "{names:?}");
            }
        }
        let long = "x".repeat(500);
        let many: Vec<String> = std::iter::once("email".to_owned()).chain(vec![long; 150]).collect();
        let mapping = Mapping::guess(&many);
        assert!(Mapping::new(mapping.columns().to_vec(), &many).is_ok(), "{mapping:?}");
    }

    #[test]
    fn a_mapping_that_is_set_is_checked() {
        let header = header(&["a", "b", "c"]);
        let faults = |columns: Vec<Column>| -> Vec<(String, &str)> {
            let faults = Mapping::new(columns, &header).expect_err("it is wrong");
            faults.into_iter().map(|fault| (fault.field, fault.code)).collect()
        };
        let fault = |field: &str, code| (field.to_owned(), code);
        assert!(Mapping::new(vec![Column::Skip, Column::Address, own("x")], &header).is_ok());
        assert_eq!(faults(vec![Column::Address]), [fault("columns", "wrong_number")]);
        assert_eq!(faults(vec![Column::Skip; 3]), [fault("columns", "no_address")]);
        assert_eq!(faults(vec![Column::Address, own("x"), own("x")]), [fault("columns[2]", "duplicate")]);
        assert_eq!(faults(vec![Column::Address, Column::Zone, Column::Address]), [fault("columns[2]", "duplicate")]);
        assert_eq!(
            faults(vec![Column::Address, own("Job"), own("")]),
            [fault("columns[1]", "invalid_field_name"), fault("columns[2]", "invalid_field_name")]
        );
        let json = serde_json::to_string(&vec![Column::FirstName, own("x")]).expect("JSON");
        assert_eq!(json, r#"[{"is":"first_name"},{"is":"own","field":"x"}]"#);
        assert_eq!(serde_json::from_str::<Vec<Column>>(&json).expect("columns"), [Column::FirstName, own("x")]);
    }
}
