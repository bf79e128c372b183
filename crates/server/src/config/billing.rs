//! The section `[billing]`.

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay_domain::{Plan, Secret};
use serde::{Deserialize, Serialize};

use super::rules::{self, durations};
use super::schema::Bound;
use super::{Fault, Warning};

pub(super) const BOUNDS: &[Bound] =
    &[("billing.fastspring.grace_days", 0, 90), ("billing.fastspring.first_byte_timeout_ms", 10, 60_000)];

/// Plans, usage and budgets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Billing {
    /// What prices, costs and budgets are in: three letters (ISO 4217).
    pub currency: String,
    /// FastSpring, who takes the money.
    pub fastspring: FastSpring,
}

/// FastSpring, who takes the money.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FastSpring {
    /// The storefront on which people pay, without https://: "acme.onfastspring.com". Empty: nothing is sold here.
    pub storefront: String,
    /// The plan of each product, as "path of the product = plan": ["core-monthly = core", "studio-monthly = studio"]. The first product of a plan is the one that is sold. What is not named gives no plan.
    pub products: Vec<String>,
    /// For how many days a plan is kept after a payment has failed.
    pub grace_days: u64,
    /// Whether test orders give plans. Only for an installation on which nothing is sold.
    pub test_orders: bool,
    /// The name for FastSpring's API. With it people change and cancel their plan here; without it only by FastSpring's own pages.
    pub api_username: String,
    /// The password for FastSpring's API.
    pub api_password: Secret,
    /// A file that holds the password.
    pub api_password_file: String,
    /// Where FastSpring's API is.
    pub api_url: String,
    /// How long FastSpring's API may take to the beginning of its answer, in milliseconds. Connecting, retries and the breaker are as in [providers].
    pub first_byte_timeout_ms: u64,
    /// The secret of the webhook at FastSpring; while it is replaced both, with a space between them. Empty: /hooks/fastspring is not there.
    pub webhook_secrets: Secret,
    /// A file that holds the secrets.
    pub webhook_secrets_file: String,
}

durations!(FastSpring { first_byte_timeout: from_millis(first_byte_timeout_ms) });

impl Billing {
    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        if self.currency.len() != 3 || !self.currency.bytes().all(|letter| letter.is_ascii_uppercase()) {
            let reason = "is no currency";
            faults.push(Fault::new("billing.currency", reason, "Write its three letters, as USD or EUR (ISO 4217)"));
        }
        self.fastspring.validate(faults);
    }

    pub(super) fn advise(&self, warnings: &mut Vec<Warning>) {
        if !self.fastspring.api_password.is_empty() && rules::is_open(&self.fastspring.api_url) {
            let reason = "is not encrypted: the password can be read on the way";
            warnings.push(Fault::new("billing.fastspring.api_url", reason, "Use https"));
        }
        if self.fastspring.test_orders {
            let reason = "is true: whoever may place test orders has any plan for nothing";
            warnings.push(Fault::new(
                "billing.fastspring.test_orders",
                reason,
                "Set it to false where anything is sold",
            ));
        }
    }
}

impl FastSpring {
    /// Each secret.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        self.webhook_secrets.expose().split_whitespace().map(|secret| Secret::new(secret.to_owned())).collect()
    }

    /// For how long a plan is kept after a payment has failed.
    #[must_use]
    pub const fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_days * 86_400)
    }

    /// Each product with its plan, in the order of the setting.
    pub fn catalogue(&self) -> impl Iterator<Item = (&str, Plan)> {
        self.products.iter().filter_map(|entry| product(entry))
    }

    /// The plan of each product.
    #[must_use]
    pub fn plans(&self) -> BTreeMap<String, Plan> {
        self.catalogue().map(|(path, plan)| (path.to_owned(), plan)).collect()
    }

    /// The product that is sold for a plan.
    #[must_use]
    pub fn product_of(&self, plan: Plan) -> Option<&str> {
        self.catalogue().find(|(_, of)| *of == plan).map(|(path, _)| path)
    }

    /// Whether its API can be used.
    #[must_use]
    pub fn has_api(&self) -> bool {
        !self.api_username.is_empty() && !self.api_password.is_empty()
    }

    fn validate(&self, faults: &mut Vec<Fault>) {
        let address = format!("https://{}", self.storefront);
        let bad = rules::web_address("", &address, rules::Path::Any).is_err();
        if !self.storefront.is_empty() && (bad || self.storefront.contains("://") || self.storefront.ends_with('/')) {
            let cure = "Write its host and path alone, as acme.onfastspring.com or acme.onfastspring.com/popup";
            faults.push(Fault::new("billing.fastspring.storefront", "is no address of a storefront", cure));
        }
        let mut seen = std::collections::BTreeSet::new();
        for entry in &self.products {
            let cure = "Write the path of a product and core or studio, as core-monthly = core, each product once";
            let known = product(entry);
            if known.is_none_or(|(path, plan)| plan == Plan::Free || !seen.insert(path)) {
                faults.push(Fault::new("billing.fastspring.products", format!("{entry:?} names no plan"), cure));
            }
        }
        if self.api_username.is_empty() != self.api_password.is_empty() {
            let cure = "Set both api_username and api_password, or neither";
            faults.push(Fault::new("billing.fastspring.api_username", "one of the two is missing", cure));
        }
        faults.extend(rules::web_address("billing.fastspring.api_url", &self.api_url, rules::Path::Any).err());
    }
}

/// A product and its plan.
fn product(entry: &str) -> Option<(&str, Plan)> {
    let (path, plan) = entry.split_once('=')?;
    let path = path.trim();
    let fits = !path.is_empty() && path.len() <= 200 && !path.contains(['/', '?', '#', '&', ' ']);
    Some((path, plan.trim().parse().ok()?)).filter(|_| fits)
}
