//! What FastSpring tells of orders: the invoices of an organisation.
//!
//! An order is told by `order.completed` and `order.failed`; a charge that repeats mentions its order, and so does what is
//! given back (<https://developer.fastspring.com/reference/orders-1>,
//! <https://developer.fastspring.com/reference/subscriptionchargecompleted>). Which comes first does not matter.

use mainstay_domain::Timestamp;
use mainstay_store::{Invoice, InvoiceState};
use serde_json::Value;

use super::fastspring::{Unreadable, id, moment, name, tags};

/// What an event says of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderNotice {
    /// The invoice.
    pub invoice: Invoice,
    /// Whether real money is paid.
    pub live: bool,
    /// The customer's account there.
    pub account: Option<String>,
    /// The first subscription that was ordered.
    pub subscription: Option<String>,
    /// The organisation that was named along with the order.
    pub organisation: Option<String>,
}

/// Reads one element of `events`. Nothing, when it tells of no order.
///
/// # Errors
/// When it lacks the id of the order, or any time.
pub fn read(event: &Value) -> Result<Option<OrderNotice>, Unreadable> {
    let data = &event["data"];
    let (order, state, whole) = match event["type"].as_str() {
        Some("order.completed") => (data, InvoiceState::Paid, true),
        Some("order.failed") => (data, InvoiceState::Failed, true),
        Some("return.created") => (&data["original"], InvoiceState::Returned, false),
        Some("subscription.charge.completed") => (&data["order"], InvoiceState::Paid, false),
        Some("subscription.charge.failed") => (&data["order"], InvoiceState::Failed, false),
        _ => return Ok(None),
    };
    let number = name(&order["id"]).or_else(|| name(&order["order"])).or_else(|| name(order));
    let Some(number) = number else {
        // A charge may fail before there is an order.
        let unread = Unreadable { field: "data.id" };
        return if whole { Err(unread) } else { Ok(None) };
    };
    let money = |field: &str| micros(&order[field]).or_else(|| micros(&data[field]));
    let text = |field: &str| name(&order[field]).or_else(|| name(&data[field]));
    let item = data["items"].as_array().and_then(|items| items.iter().find_map(|item| id(item, "subscription")));
    Ok(Some(OrderNotice {
        invoice: Invoice {
            id: number,
            reference: text("reference").unwrap_or_default(),
            total_micros: money("total").unwrap_or_default(),
            currency: text("currency").unwrap_or_default(),
            url: link(&order["invoiceUrl"]).or_else(|| link(&data["invoiceUrl"])).unwrap_or_default(),
            state,
            whole,
            issued_at: issued(event, order).ok_or(Unreadable { field: "created" })?,
        },
        live: event["live"].as_bool().or_else(|| data["live"].as_bool()).unwrap_or(false),
        account: id(data, "account").or_else(|| id(order, "account")),
        subscription: id(data, "subscription").or(item),
        organisation: tags(&data["tags"]).remove(super::apply::ORGANISATION_TAG),
    }))
}

fn issued(event: &Value, order: &Value) -> Option<Timestamp> {
    moment(order, "changed").or_else(|| moment(event, "created"))
}

/// An amount in millionths.
fn micros(value: &Value) -> Option<i64> {
    let amount = value.as_f64().filter(|amount| amount.abs() < 1e12)?;
    format!("{amount:.6}").replace('.', "").parse().ok()
}

/// An address that a browser may be sent to.
fn link(value: &Value) -> Option<String> {
    value.as_str().filter(|text| text.starts_with("https://") && text.len() <= 2_000).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_one(kind: &str, data: &Value) -> OrderNotice {
        let event = json!({"id": "e", "type": kind, "live": true, "created": 1_700_000_000_500_i64, "data": data});
        read(&event).expect("it is readable").expect("it tells of an order")
    }

    #[test]
    fn an_order_is_read() {
        let data = json!({
            "id": "ord1", "order": "ord1", "reference": "ACME-1", "completed": true, "changed": 1_700_000_000_000_i64,
            "currency": "USD", "total": 99.1, "invoiceUrl": "https://acme.onfastspring.com/invoice/1",
            "account": "acct1", "tags": {"organisation": "t1"},
            "items": [{"product": "core-monthly", "subscription": "sub1"}],
        });
        let found = read_one("order.completed", &data);
        let expected = Invoice {
            id: "ord1".to_owned(),
            reference: "ACME-1".to_owned(),
            total_micros: 99_100_000,
            currency: "USD".to_owned(),
            url: "https://acme.onfastspring.com/invoice/1".to_owned(),
            state: InvoiceState::Paid,
            whole: true,
            issued_at: Timestamp::from_millis(1_700_000_000_000),
        };
        assert_eq!(found.invoice, expected);
        assert_eq!((found.account.as_deref(), found.subscription.as_deref()), (Some("acct1"), Some("sub1")));
        assert_eq!((found.organisation.as_deref(), found.live), (Some("t1"), true));
    }

    #[test]
    fn a_charge_and_a_return_mention_their_order() {
        let charge = json!({"order": {"id": "ord1"}, "currency": "USD", "total": 99.0, "subscription": "sub1"});
        let found = read_one("subscription.charge.completed", &charge);
        assert_eq!((found.invoice.id.as_str(), found.invoice.total_micros), ("ord1", 99_000_000));
        assert_eq!((found.invoice.whole, found.subscription.as_deref()), (false, Some("sub1")));
        assert_eq!(read_one("subscription.charge.completed", &json!({"order": "ord2"})).invoice.id, "ord2");
        let given_back = json!({"return": "r1", "original": {"id": "ord1", "account": "acct1", "total": 5.0}});
        let found = read_one("return.created", &given_back);
        assert_eq!((found.invoice.state, found.account.as_deref()), (InvoiceState::Returned, Some("acct1")));
    }

    #[test]
    fn what_tells_of_no_order_is_left_alone() {
        let event = |kind: &str| json!({"id": "e", "type": kind, "created": 1, "data": {"subscription": "sub1"}});
        for kind in ["subscription.charge.failed", "subscription.updated", "order.approval.pending", ""] {
            assert_eq!(read(&event(kind)), Ok(None), "{kind}");
        }
        assert!(read(&event("order.completed")).is_err());
        let script = json!({"id": "ord1", "invoiceUrl": "javascript:alert(1)"});
        assert_eq!(read_one("order.completed", &script).invoice.url, "");
    }
}
