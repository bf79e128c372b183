//! What FastSpring tells of subscriptions, read from the events of its webhooks.
//!
//! The pages are <https://developer.fastspring.com/reference/subscriptions-1> and those of each kind beside it. An
//! account or a subscription is an object or only its id, as the webhook is set up ("webhook expansion"); a moment is a
//! number of milliseconds, or of seconds under a name of its own. Fields that are not known are left alone, and of those
//! that are known only the ids and a time must be there: what is missing says nothing.

use std::collections::BTreeMap;

use mainstay_domain::{Charge, SubscriptionEvent, SubscriptionState, Timestamp};
use serde_json::Value;

/// The most characters of an id or a path of a product.
const LONGEST_NAME: usize = 200;

/// One event, with what is needed to find whom it concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it says.
    pub event: SubscriptionEvent,
    /// Whether real money is paid. A test order must not give anybody a plan.
    pub live: bool,
    /// The customer's account there.
    pub account: Option<String>,
    /// What was given along with the order, such as the organisation.
    pub tags: BTreeMap<String, String>,
}

/// Why an event cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event of FastSpring has no usable {field}")]
pub struct Unreadable {
    /// Where it should be.
    pub field: &'static str,
}

/// Reads one element of `events`. Nothing, when it is of a kind that says nothing about a subscription.
///
/// # Errors
/// When it lacks its type, its id, any time, or the id of the subscription.
pub fn read(event: &Value) -> Result<Option<Notice>, Unreadable> {
    let kind = event["type"].as_str().ok_or(Unreadable { field: "type" })?;
    let Some(short) = kind.strip_prefix("subscription.").filter(|short| is_known(short)) else { return Ok(None) };
    let data = &event["data"];
    // The event of a charge holds the subscription; the others are it.
    let subscription = if data["subscription"].is_object() { &data["subscription"] } else { data };
    let changed = moment(subscription, "changed");
    let state = state(short, subscription);
    let said = SubscriptionEvent {
        id: name(&event["id"]).ok_or(Unreadable { field: "id" })?,
        kind: kind.to_owned(),
        subscription: id(subscription, "subscription")
            .or_else(|| name(&subscription["id"]))
            .ok_or(Unreadable { field: "data.subscription" })?,
        created: moment(event, "created").or(changed).ok_or(Unreadable { field: "created" })?,
        changed,
        state,
        product: id(subscription, "product"),
        period_end: period_end(state, subscription),
        charge: match short {
            "charge.completed" => Some(Charge::Succeeded),
            "charge.failed" | "payment.overdue" => Some(Charge::Failed),
            _ => None,
        },
    };
    Ok(Some(Notice {
        event: said,
        live: event["live"].as_bool().or_else(|| subscription["live"].as_bool()).unwrap_or(false),
        account: id(data, "account").or_else(|| id(subscription, "account")),
        tags: tags(&subscription["tags"]),
    }))
}

fn is_known(short: &str) -> bool {
    matches!(
        short,
        "activated"
            | "updated"
            | "trial.reminder"
            | "payment.reminder"
            | "charge.completed"
            | "charge.failed"
            | "payment.overdue"
            | "canceled"
            | "uncanceled"
            | "deactivated"
            | "paused"
            | "resumed"
    )
}

/// How it stands. The kind is what happened; the state beside it may be that of before, or is not there.
fn state(kind: &str, subscription: &Value) -> Option<SubscriptionState> {
    use SubscriptionState::{Active, Canceled, Deactivated, Paused};
    let told: Option<SubscriptionState> = subscription["state"].as_str().and_then(|word| word.parse().ok());
    let but = |not: SubscriptionState| told.filter(|told| *told != not).or(Some(Active));
    // A pause begins with the next period; until then it is only intended
    // (https://developer.fastspring.com/docs/pausing-subscriptions).
    let only_intended = subscription["isPauseScheduled"] == Value::Bool(true);
    match kind {
        _ if told == Some(Deactivated) => told,
        "deactivated" => Some(Deactivated),
        "canceled" => Some(Canceled),
        "paused" if !only_intended => Some(Paused),
        "activated" => told.or(Some(Active)),
        "uncanceled" => but(Canceled),
        "resumed" => but(Paused),
        _ => told,
    }
}

fn period_end(state: Option<SubscriptionState>, subscription: &Value) -> Option<Timestamp> {
    let ends = matches!(state, Some(SubscriptionState::Canceled | SubscriptionState::Deactivated));
    let names = if ends { ["deactivationDate", "end", "next"] } else { ["next", "nextChargeDate", "end"] };
    names.iter().find_map(|name| moment(subscription, name))
}

/// What is given under a name: an id, or an object that has its id under the same name, or under `id`.
pub(super) fn id(parent: &Value, field: &str) -> Option<String> {
    let value = &parent[field];
    name(value).or_else(|| name(&value[field])).or_else(|| name(&value["id"]))
}

pub(super) fn name(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let fits = !text.is_empty() && text.chars().count() <= LONGEST_NAME;
    fits.then(|| text.to_owned())
}

pub(super) fn moment(parent: &Value, field: &str) -> Option<Timestamp> {
    let number = |suffix: &str| parent[format!("{field}{suffix}")].as_i64();
    let millis = number("").or_else(|| number("Value")).or_else(|| number("InSeconds")?.checked_mul(1_000))?;
    // What no calendar has could be kept, and not be read again.
    let kept = jiff::Timestamp::from_millisecond(millis).ok()?;
    Some(Timestamp::from_millis(kept.as_millisecond()))
}

pub(super) fn tags(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_object().into_iter().flatten();
    pairs.filter_map(|(tag, value)| Some((tag.clone(), value.as_str()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn event(kind: &str, data: &Value) -> Value {
        json!({
            "id": "evt_1", "live": true, "processed": false, "type": kind, "created": 1_700_000_000_500_i64,
            "data": data
        })
    }

    fn notice(kind: &str, data: &Value) -> Notice {
        read(&event(kind, data)).expect("it is readable").expect("it is of use")
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// As <https://developer.fastspring.com/reference/subscriptionactivated> has it, without expansion.
    fn activated() -> Value {
        json!({
            "id": "subABC", "quote": null, "subscription": "subABC", "active": true, "state": "active",
            "changed": 1_700_000_000_000_i64, "changedValue": 1_700_000_000_000_i64, "changedInSeconds": 1_700_000_000,
            "changedDisplay": "11/14/23", "live": true, "currency": "USD", "account": "acct1",
            "product": "core-monthly", "sku": "core", "quantity": 1, "price": 99.0, "nextInSeconds": 1_702_592_000, "end": null,
            "deactivationDate": null, "tags": {"tenant": "t1", "seats": 3}
        })
    }

    #[test]
    fn an_activation_is_read() {
        let found = notice("subscription.activated", &activated());
        assert_eq!((found.live, found.account.as_deref()), (true, Some("acct1")));
        assert_eq!(found.tags, BTreeMap::from([("tenant".to_owned(), "t1".to_owned())]));
        let expected = SubscriptionEvent {
            id: "evt_1".to_owned(),
            kind: "subscription.activated".to_owned(),
            subscription: "subABC".to_owned(),
            created: at(1_700_000_000_500),
            changed: Some(at(1_700_000_000_000)),
            state: Some(SubscriptionState::Active),
            product: Some("core-monthly".to_owned()),
            period_end: Some(at(1_702_592_000_000)),
            charge: None,
        };
        assert_eq!(found.event, expected);
    }

    #[test]
    fn expanded_objects_say_the_same() {
        let mut data = activated();
        data["account"] = json!({"id": "acct1", "account": "acct1", "contact": {"first": "Jane"}});
        data["product"] = json!({"product": "core-monthly", "parent": "core", "display": {"en": "Core"}});
        assert_eq!(notice("subscription.activated", &data), notice("subscription.activated", &activated()));
    }

    #[test]
    fn a_charge_is_read_with_and_without_its_subscription() {
        // https://developer.fastspring.com/reference/subscription-charge-failed
        let plain = json!({"reason": "EXPIRED_CARD", "account": "acct1", "quote": null, "subscription": "subABC"});
        let found = notice("subscription.charge.failed", &plain);
        assert_eq!((found.event.subscription.as_str(), found.account.as_deref()), ("subABC", Some("acct1")));
        assert_eq!((found.event.charge, found.event.state, found.event.changed), (Some(Charge::Failed), None, None));

        let expanded = json!({"reason": "EXPIRED_CARD", "account": {"id": "acct1"}, "subscription": activated()});
        let found = notice("subscription.charge.failed", &expanded);
        assert_eq!((found.event.subscription.as_str(), found.account.as_deref()), ("subABC", Some("acct1")));
        assert_eq!((found.event.charge, found.event.state), (Some(Charge::Failed), Some(SubscriptionState::Active)));
        assert_eq!(found.event.product.as_deref(), Some("core-monthly"));

        // https://developer.fastspring.com/reference/subscriptionchargecompleted
        let completed = json!({
            "order": {"id": "ord1"}, "currency": "USD", "total": 99.0, "status": "successful",
            "timestamp": 1_700_000_000_000_i64, "sequence": 2, "account": "acct1", "subscription": "subABC"
        });
        let found = notice("subscription.charge.completed", &completed).event;
        assert_eq!((found.charge, found.state, found.product), (Some(Charge::Succeeded), None, None));
        let overdue = notice("subscription.payment.overdue", &activated()).event;
        assert_eq!(overdue.charge, Some(Charge::Failed));
    }

    #[test]
    fn the_kind_is_what_happened() {
        use SubscriptionState::{Active, Canceled, Deactivated, Overdue, Paused, Trial};
        for (kind, word, scheduled, expected) in [
            ("activated", json!("trial"), false, Some(Trial)),
            ("activated", json!(null), false, Some(Active)),
            ("updated", json!("overdue"), false, Some(Overdue)),
            ("updated", json!("asleep"), false, None),
            ("canceled", json!("active"), false, Some(Canceled)),
            ("canceled", json!("deactivated"), false, Some(Deactivated)),
            ("uncanceled", json!("canceled"), false, Some(Active)),
            ("uncanceled", json!("overdue"), false, Some(Overdue)),
            ("deactivated", json!("canceled"), false, Some(Deactivated)),
            ("paused", json!("active"), false, Some(Paused)),
            ("paused", json!("active"), true, Some(Active)),
            ("updated", json!("paused"), false, Some(Paused)),
            ("resumed", json!("paused"), false, Some(Active)),
            ("trial.reminder", json!("trial"), false, Some(Trial)),
        ] {
            let data = json!({"id": "subABC", "state": word, "isPauseScheduled": scheduled});
            let found = notice(&format!("subscription.{kind}"), &data).event.state;
            assert_eq!(found, expected, "{kind} {word} {scheduled}");
        }
    }

    #[test]
    fn what_is_cancelled_ends_when_it_is_deactivated() {
        let mut data = activated();
        data["deactivationDate"] = json!(1_702_000_000_000_i64);
        let end = |kind: &str| notice(kind, &data).event.period_end;
        assert_eq!(end("subscription.canceled"), Some(at(1_702_000_000_000)));
        assert_eq!(end("subscription.updated"), Some(at(1_702_592_000_000)));
    }

    #[test]
    fn a_test_order_is_not_live() {
        let mut sent = event("subscription.activated", &activated());
        sent["live"] = json!(false);
        assert_eq!(read(&sent).map(|found| found.map(|notice| notice.live)), Ok(Some(false)));
        sent["live"] = Value::Null;
        sent["data"]["live"] = Value::Null;
        assert_eq!(read(&sent).map(|found| found.map(|notice| notice.live)), Ok(Some(false)));
    }

    #[test]
    fn other_kinds_are_left_alone_and_what_lacks_an_id_is_refused() {
        for kind in ["order.completed", "return.created", "subscription.group.updated", "subscription", ""] {
            assert_eq!(read(&event(kind, &json!({}))), Ok(None), "{kind}");
        }
        let without = |field: &'static str| {
            let mut sent = event("subscription.updated", &json!({"subscription": "subABC"}));
            sent[field] = Value::Null;
            read(&sent).expect_err(field).field
        };
        let found = ["id", "type", "created", "data"].map(without);
        assert_eq!(found, ["id", "type", "created", "data.subscription"]);
        let endless = json!({"subscription": "s".repeat(201)});
        assert!(read(&event("subscription.updated", &endless)).is_err());
        // Beyond the calendar is as good as nothing.
        let far = notice("subscription.updated", &json!({"subscription": "subABC", "next": i64::MAX})).event;
        assert_eq!(far.period_end, None);
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_breaks_the_reading(
            kind in prop::sample::select(vec!["updated", "charge.failed", "canceled"]),
            field in prop::sample::select(vec!["id", "subscription", "product", "account", "changed", "next", "tags"]),
            value in prop_oneof![
                Just(json!(null)), Just(json!([1])), Just(json!({"id": {"id": []}})), Just(json!(true)),
                any::<i64>().prop_map(Value::from), any::<f64>().prop_map(Value::from), ".{0,5}".prop_map(Value::from),
            ],
        ) {
            let mut data = activated();
            data[field] = value.clone();
            let _ = read(&event(&format!("subscription.{kind}"), &data));
            let _ = read(&value);
        }
    }
}
