//! How an organisation stands, and what its administrators ask the provider of billing for. What is asked for here shows
//! when the provider tells of it: nothing is changed on its word alone.

use mainstay_domain::{Error, Kind, Plan, Result, Subscription, SubscriptionState, Timestamp};
use mainstay_store::{BillingOf, Call, FindPerson, GetBilling, Invoice, ListInvoices};
use reqwest::Url;
use serde_json::json;

use super::apply::{ORGANISATION_TAG, rules};
use super::provider::{FastSpringApi, Payer};
use crate::accounts::Member;
use crate::app::App;

/// Changes of the plan that are shown.
const HISTORY: u32 = 20;
/// Invoices that are shown: ten years of months.
const INVOICES: u32 = 120;

/// How the organisation of a member stands.
///
/// # Errors
/// `not_found` when it is gone.
pub(super) async fn standing(app: &App, call: &Call, by: &Member) -> Result<BillingOf> {
    let get = GetBilling { tenant: by.tenant, history: HISTORY };
    app.store.run(call, get).await?.ok_or_else(|| Error::not_found("organisation"))
}

/// The subscription that decides: the one that gives the best plan; of those the one that goes on for longest.
pub(super) fn deciding<'a>(app: &App, of: &'a BillingOf, now: Timestamp) -> Option<&'a Subscription> {
    let rules = rules(app);
    let rank = |known: &&Subscription| {
        let has_ended = known.state() == Some(SubscriptionState::Deactivated);
        (known.effective_plan(now, rules.grace, &rules.plans), !has_ended, known.period_end())
    };
    of.subscriptions.iter().max_by_key(rank)
}

/// The invoices of the organisation of a member, the latest first.
///
/// # Errors
/// As every intent.
pub(super) async fn invoices(app: &App, call: &Call, by: &Member) -> Result<Vec<Invoice>> {
    Ok(app.store.run(call, ListInvoices { tenant: by.tenant, limit: INVOICES }).await?)
}

/// The address of a page on which a plan is paid for, with the organisation's reference.
///
/// # Errors
/// `plan_not_sold` when there is no product of the plan, `already_subscribed` when there is a subscription to change, and
/// those of the provider.
pub(super) async fn checkout(app: &App, call: &Call, by: &Member, plan: Plan) -> Result<String> {
    let settings = &app.config.billing.fastspring;
    let product = product_of(app, plan)?;
    let of = standing(app, call, by).await?;
    if live(app, &of).is_some() {
        let detail = "There is a subscription already. Change its plan instead of buying another one.";
        return Err(Error::new(Kind::Conflict, "already_subscribed", detail));
    }
    let reference = by.tenant.to_string();
    if let Some(api) = &app.fastspring {
        let person = app.store.run(call, FindPerson(by.person)).await?;
        let contact = person.and_then(|person| Some((person.email?, person.name)));
        let payer = match (&of.account, &contact) {
            (Some(account), _) => Some(Payer::Account(account)),
            (None, Some((email, name))) => Some(Payer::Contact(email, name)),
            (None, None) => None,
        };
        // Who has no address says on the storefront who they are.
        if let Some(payer) = payer {
            let session = api.open_session(payer, product, json!({ ORGANISATION_TAG: reference })).await?;
            return Ok(format!("https://{}/session/{session}", settings.storefront));
        }
    }
    let address = format!("https://{}/{product}", settings.storefront);
    let mut url = Url::parse(&address).map_err(Error::internal)?;
    url.query_pairs_mut().append_pair("tags", &format!("{ORGANISATION_TAG}={reference}"));
    Ok(url.into())
}

/// Asks for another plan, or for the same one to go on after it was cancelled.
///
/// # Errors
/// `no_subscription`, `plan_not_sold`, `invalid_input` for a plan that is there already or is not paid, and those of the
/// provider.
pub(super) async fn change(app: &App, call: &Call, by: &Member, plan: Plan) -> Result<()> {
    let product = product_of(app, plan)?;
    let of = standing(app, call, by).await?;
    let subscription = live(app, &of).ok_or_else(no_subscription)?;
    let is_cancelled = subscription.state() == Some(SubscriptionState::Canceled);
    let same = subscription.product().is_some_and(|known| rules(app).plans.get(known) == Some(&plan));
    let api = api(app)?;
    match (same, is_cancelled) {
        (true, false) => Err(Error::invalid_field("plan", "unchanged", "The organisation has this plan already.")),
        (true, true) => api.keep(subscription.id()).await,
        (false, _) => {
            if is_cancelled {
                api.keep(subscription.id()).await?;
            }
            api.change_product(subscription.id(), product).await
        }
    }
}

/// Asks for the end of the subscription, with its period.
///
/// # Errors
/// `no_subscription`, and those of the provider.
pub(super) async fn cancel(app: &App, call: &Call, by: &Member) -> Result<()> {
    let of = standing(app, call, by).await?;
    let subscription = live(app, &of).ok_or_else(no_subscription)?;
    if subscription.state() == Some(SubscriptionState::Canceled) {
        return Ok(());
    }
    api(app)?.cancel(subscription.id()).await
}

/// The subscription that can be changed: the one that decides, if it has not ended.
pub(super) fn live<'a>(app: &App, of: &'a BillingOf) -> Option<&'a Subscription> {
    let now = app.clock.now();
    let goes_on = |known: &&Subscription| match known.state() {
        None | Some(SubscriptionState::Deactivated) => false,
        Some(SubscriptionState::Canceled) => known.ends_at().is_none_or(|end| end > now),
        Some(_) => true,
    };
    deciding(app, of, now).filter(goes_on).or_else(|| of.subscriptions.iter().find(goes_on))
}

fn product_of(app: &App, plan: Plan) -> Result<&str> {
    let settings = &app.config.billing.fastspring;
    if plan == Plan::Free {
        return Err(Error::invalid_field(
            "plan",
            "not_paid",
            "This plan is not bought. Cancel the subscription instead.",
        ));
    }
    let product = settings.product_of(plan).filter(|_| !settings.storefront.is_empty());
    product.ok_or_else(|| {
        let detail = format!("The plan {plan} is not sold here. Whoever runs this installation can change that.");
        Error::new(Kind::Conflict, "plan_not_sold", detail)
    })
}

fn no_subscription() -> Error {
    Error::new(Kind::Conflict, "no_subscription", "There is no subscription to change. Buy a plan first.")
}

fn api(app: &App) -> Result<&FastSpringApi> {
    app.fastspring.as_ref().ok_or_else(|| {
        let detail = "Plans are changed on the provider's own pages here: follow the link in its last email.";
        Error::new(Kind::Conflict, "not_changed_here", detail)
    })
}
