use proptest::prelude::*;

use super::*;

const HOUR: i64 = 3_600_000;
const GRACE: Duration = Duration::from_secs(3 * 3_600);

fn hour(count: i64) -> Timestamp {
    Timestamp::from_millis(count * HOUR)
}

fn plans() -> BTreeMap<String, Plan> {
    BTreeMap::from([("core-monthly".to_owned(), Plan::Core), ("studio-monthly".to_owned(), Plan::Studio)])
}

/// An event that came to be at an hour, and says nothing.
fn event(kind: &str, at: i64) -> SubscriptionEvent {
    SubscriptionEvent {
        id: format!("evt_{at:02}"),
        kind: format!("subscription.{kind}"),
        subscription: "sub".to_owned(),
        created: hour(at),
        changed: None,
        state: None,
        product: None,
        period_end: None,
        charge: None,
    }
}

fn told(kind: &str, at: i64, state: SubscriptionState) -> SubscriptionEvent {
    SubscriptionEvent { state: Some(state), ..event(kind, at) }
}

fn activated(at: i64) -> SubscriptionEvent {
    SubscriptionEvent {
        product: Some("core-monthly".to_owned()),
        period_end: Some(hour(100)),
        ..told("activated", at, SubscriptionState::Active)
    }
}

fn charge(at: i64, charge: Charge) -> SubscriptionEvent {
    let kind = if charge == Charge::Failed { "charge.failed" } else { "charge.completed" };
    SubscriptionEvent { charge: Some(charge), ..event(kind, at) }
}

fn after<'a>(events: impl IntoIterator<Item = &'a SubscriptionEvent>) -> Subscription {
    let mut subscription = Subscription::new("sub");
    for event in events {
        let _ = subscription.apply(event);
    }
    subscription
}

fn plan(subscription: &Subscription, at: i64) -> Plan {
    subscription.effective_plan(hour(at), GRACE, &plans())
}

#[test]
fn nothing_known_is_the_free_plan() {
    let subscription = Subscription::new("sub");
    assert_eq!((subscription.state(), plan(&subscription, 0)), (None, Plan::Free));
    // Paid, but for what?
    let subscription = after(&[charge(1, Charge::Succeeded)]);
    assert_eq!((subscription.state(), plan(&subscription, 1)), (None, Plan::Free));
    let elsewhere = SubscriptionEvent { product: Some("hat".to_owned()), ..activated(1) };
    assert_eq!(plan(&after(&[elsewhere]), 1), Plan::Free);
}

#[test]
fn the_first_payment_ends_a_trial() {
    let trial = told("activated", 1, SubscriptionState::Trial);
    assert_eq!(after([&trial]).state(), Some(SubscriptionState::Trial));
    assert_eq!(after(&[charge(2, Charge::Succeeded), trial]).state(), Some(SubscriptionState::Active));
}

#[test]
fn a_missing_payment_leaves_the_plan_for_the_grace() {
    let mut subscription = after(&[activated(1), charge(10, Charge::Failed)]);
    assert_eq!(subscription.state(), Some(SubscriptionState::Overdue));
    assert_eq!((plan(&subscription, 12), plan(&subscription, 13)), (Plan::Core, Plan::Free));
    // Another attempt does not begin the grace anew.
    let again = subscription.apply(&charge(12, Charge::Failed));
    assert!(again.is_nothing(), "{again}");
    assert_eq!(subscription.grace_until(GRACE), Some(hour(13)));
    // What is paid ends it, and what failed before it is no matter.
    let _ = subscription.apply(&charge(20, Charge::Succeeded));
    assert_eq!((subscription.state(), plan(&subscription, 20)), (Some(SubscriptionState::Active), Plan::Core));
    assert!(subscription.apply(&charge(19, Charge::Failed)).is_nothing());
}

#[test]
fn a_payment_of_between_two_failures_begins_the_grace_with_the_second() {
    let (first, paid, second) = (charge(2, Charge::Failed), charge(5, Charge::Succeeded), charge(9, Charge::Failed));
    let subscription = after(&[activated(1), first, second, paid]);
    assert_eq!(subscription.unpaid_since(), Some(hour(9)));
}

#[test]
fn the_word_of_the_provider_mends_a_charge_that_was_lost() {
    let mut subscription = after(&[activated(1), charge(10, Charge::Failed)]);
    let _ = subscription.apply(&told("updated", 40, SubscriptionState::Active));
    assert_eq!((subscription.unpaid_since(), plan(&subscription, 41)), (None, Plan::Core));
    let _ = subscription.apply(&told("updated", 50, SubscriptionState::Overdue));
    assert_eq!((subscription.unpaid_since(), plan(&subscription, 53)), (Some(hour(50)), Plan::Free));
    // A failed charge may show the state of before.
    let failed = SubscriptionEvent { state: Some(SubscriptionState::Active), ..charge(10, Charge::Failed) };
    assert_eq!(after(&[activated(1), failed]).state(), Some(SubscriptionState::Overdue));
}

#[test]
fn what_is_cancelled_holds_until_its_period_ends() {
    let cancelled = told("canceled", 10, SubscriptionState::Canceled);
    let subscription = after(&[cancelled.clone(), activated(1)]);
    assert_eq!(subscription.state(), Some(SubscriptionState::Canceled));
    assert_eq!((plan(&subscription, 99), plan(&subscription, 100)), (Plan::Core, Plan::Free));
    let subscription = after(&[told("uncanceled", 11, SubscriptionState::Active), cancelled, activated(1)]);
    assert_eq!((subscription.state(), plan(&subscription, 100)), (Some(SubscriptionState::Active), Plan::Core));
}

#[test]
fn what_is_paused_may_not_be_used() {
    let mut subscription = after(&[activated(1), told("paused", 10, SubscriptionState::Paused)]);
    assert_eq!((subscription.state(), plan(&subscription, 11)), (Some(SubscriptionState::Paused), Plan::Free));
    let _ = subscription.apply(&told("resumed", 12, SubscriptionState::Active));
    assert_eq!(plan(&subscription, 12), Plan::Core);
}

#[test]
fn an_old_event_that_is_sent_again_under_a_new_id_changes_nothing() {
    let upgrade = SubscriptionEvent {
        product: Some("studio-monthly".to_owned()),
        ..told("updated", 10, SubscriptionState::Active)
    };
    let mut subscription = after(&[activated(1), upgrade]);
    let again = SubscriptionEvent { changed: Some(hour(1)), id: "evt_zz".to_owned(), ..activated(30) };
    let change = subscription.apply(&again);
    assert!(change.is_nothing(), "{change}");
    assert_eq!(plan(&subscription, 31), Plan::Studio);
}

#[test]
fn the_end_is_final() {
    let mut subscription = after(&[activated(1), told("deactivated", 10, SubscriptionState::Deactivated)]);
    for late in [activated(20), told("uncanceled", 21, SubscriptionState::Active), charge(22, Charge::Succeeded)] {
        let change = subscription.apply(&late);
        assert!(!change.differences.iter().any(|difference| difference.aspect == Aspect::State), "{change}");
        assert_eq!((subscription.state(), plan(&subscription, 30)), (Some(SubscriptionState::Deactivated), Plan::Free));
    }
}

#[test]
fn a_change_says_what_and_why() {
    let mut subscription = Subscription::new("sub");
    let change = subscription.apply(&activated(1));
    assert_eq!(
        change.to_string(),
        "subscription.activated (evt_01): state from none to active, product from none to core-monthly, \
         period_end from none to 1970-01-05T04:00:00.000Z"
    );
    assert_eq!(subscription.apply(&activated(1)).to_string(), "subscription.activated (evt_01): nothing new");
    let foreign = SubscriptionEvent { subscription: "another".to_owned(), ..charge(2, Charge::Failed) };
    assert!(subscription.apply(&foreign).is_nothing());
    assert_eq!(
        subscription.apply(&charge(3, Charge::Failed)).to_string(),
        "subscription.charge.failed (evt_03): state from active to overdue, \
         unpaid_since from none to 1970-01-01T03:00:00.000Z"
    );
}

#[test]
fn the_failures_that_are_kept_are_bounded() {
    let failures: Vec<_> = (1..100).map(|at| charge(at, Charge::Failed)).collect();
    let subscription = after(&failures);
    assert_eq!(subscription.failed.len(), Subscription::MOST_FAILURES);
    assert_eq!(subscription, after(failures.iter().rev()));
    // Wherever a payment of between them is told, the same are left.
    let paid = [charge(40, Charge::Succeeded)];
    let (last, first) = (after(failures.iter().chain(&paid)), after(paid.iter().chain(&failures)));
    assert_eq!((last.failed.len(), &last), (Subscription::MOST_FAILURES, &first));
}

/// Events of a day whose times, ids and sayings meet often.
fn events() -> impl Strategy<Value = Vec<SubscriptionEvent>> {
    let one = (
        (0_u8..12, 0_i64..24, prop::option::of(0_i64..24), prop::bool::weighted(0.95)),
        prop::option::of(prop::sample::select(SubscriptionState::ALL.to_vec())),
        prop::option::of(prop::sample::select(vec!["core-monthly", "studio-monthly", "hat"])),
        prop::option::of(0_i64..48),
        prop::option::of(prop::sample::select(vec![Charge::Succeeded, Charge::Failed])),
    );
    let event = one.prop_map(|((id, created, changed, ours), state, product, end, charge)| SubscriptionEvent {
        id: format!("evt_{id}"),
        subscription: if ours { "sub" } else { "another" }.to_owned(),
        changed: changed.map(hour),
        state,
        product: product.map(str::to_owned),
        period_end: end.map(hour),
        charge,
        ..event("updated", created)
    });
    prop::collection::vec(event, 0..14)
}

/// Events that do not end it too often.
fn mostly_alive() -> impl Strategy<Value = Vec<SubscriptionEvent>> {
    (events(), prop::bool::weighted(0.3)).prop_map(|(mut events, may_end)| {
        if !may_end {
            events.retain(|event| event.state != Some(SubscriptionState::Deactivated));
        }
        events
    })
}

/// The same events in some order, some of them more than once.
fn told_anyhow() -> impl Strategy<Value = (Vec<SubscriptionEvent>, Vec<SubscriptionEvent>)> {
    (mostly_alive(), prop::collection::vec(any::<prop::sample::Index>(), 0..10)).prop_flat_map(|(events, again)| {
        let mut all = events.clone();
        if !events.is_empty() {
            all.extend(again.iter().map(|index| index.get(&events).clone()));
        }
        (Just(events), Just(all).prop_shuffle())
    })
}

/// The plan by all events at once, without a state that is carried from one to the next.
fn plan_at_once(events: &[SubscriptionEvent], now: Timestamp) -> Plan {
    let ours: Vec<_> = events.iter().filter(|event| event.subscription == "sub").collect();
    let said = |event: &&SubscriptionEvent| (event.changed.unwrap_or(event.created), event.created, event.id.clone());
    let ended = Some(SubscriptionState::Deactivated);
    let life = |state| if state == SubscriptionState::Overdue { SubscriptionState::Active } else { state };
    let lives = ours.iter().filter_map(|event| Some((said(event), life(event.state?))));
    let Some(state) = lives.filter(|(_, state)| Some(*state) != ended).max() else { return Plan::Free };
    let end = ours.iter().filter_map(|event| event.period_end.map(|end| (said(event), end))).max();
    let product = ours.iter().filter_map(|event| event.product.clone().map(|product| (said(event), product))).max();
    let payments: Vec<_> = ours
        .iter()
        .filter_map(|event| match (event.charge, event.state) {
            (Some(charge), _) => Some(((event.created, event.created, event.id.clone()), charge == Charge::Succeeded)),
            (None, Some(SubscriptionState::Active)) => Some((said(event), true)),
            (None, Some(SubscriptionState::Overdue)) => Some((said(event), false)),
            _ => None,
        })
        .collect();
    let paid = payments.iter().filter(|(_, paid)| *paid).map(|(stamp, _)| stamp).max();
    let unpaid = payments.iter().filter(|(stamp, good)| !good && Some(stamp) > paid).map(|(stamp, _)| stamp.0).min();
    let holds = match state.1 {
        SubscriptionState::Paused => false,
        SubscriptionState::Canceled => end.is_none_or(|(_, end)| end > now),
        _ => true,
    };
    if !holds || ours.iter().any(|event| event.state == ended) || unpaid.is_some_and(|since| since.plus(GRACE) <= now) {
        return Plan::Free;
    }
    product.and_then(|(_, product)| plans().get(&product).copied()).unwrap_or(Plan::Free)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn neither_order_nor_repetition_matters((events, told) in told_anyhow()) {
        let (one, other) = (after(&events), after(&told));
        prop_assert_eq!(&one, &other);
        for at in 0..60 {
            prop_assert_eq!(plan(&one, at), plan(&other, at));
            prop_assert_eq!(plan(&one, at), plan_at_once(&events, hour(at)), "at {}", at);
        }
    }

    #[test]
    fn what_was_heard_is_nothing_new((events, told) in told_anyhow()) {
        let mut subscription = after(&told);
        let before = subscription.clone();
        for event in &events {
            prop_assert!(subscription.apply(event).is_nothing());
        }
        prop_assert_eq!(subscription, before);
    }

    #[test]
    fn what_has_ended_stays_ended(before in events(), later in events(), at in 0_i64..24) {
        let mut subscription = after(before.iter().chain(&[told("deactivated", at, SubscriptionState::Deactivated)]));
        for event in &later {
            let _ = subscription.apply(event);
            prop_assert_eq!(subscription.state(), Some(SubscriptionState::Deactivated));
            for at in 0..60 {
                prop_assert_eq!(plan(&subscription, at), Plan::Free);
            }
        }
    }

    #[test]
    fn it_is_kept_as_text((_, told) in told_anyhow(), split in any::<prop::sample::Index>()) {
        let (first, rest) = told.split_at(if told.is_empty() { 0 } else { split.index(told.len()) });
        let text = serde_json::to_string(&after(first)).expect("JSON");
        let mut subscription: Subscription = serde_json::from_str(&text).expect("a subscription");
        for event in rest {
            let _ = subscription.apply(event);
        }
        prop_assert_eq!(subscription, after(&told));
    }

    #[test]
    fn the_history_leads_to_what_holds((_, told) in told_anyhow()) {
        let mut subscription = Subscription::new("sub");
        let mut history = BTreeMap::new();
        for event in &told {
            for Difference { aspect, from, to } in subscription.apply(event).differences {
                prop_assert_eq!(history.insert(aspect.as_str(), to).flatten(), from);
            }
        }
        for aspect in Aspect::ALL {
            prop_assert_eq!(history.remove(aspect.as_str()).flatten(), aspect.of(&subscription));
        }
    }

    #[test]
    fn the_plan_changes_by_time_at_its_turns_only((_, told) in told_anyhow()) {
        let subscription = after(&told);
        for at in 0_i64..72 {
            let (now, before) = (hour(at), plan(&subscription, at));
            match subscription.next_turn(now, GRACE) {
                Some(turn) => {
                    prop_assert!(turn > now);
                    let last = Timestamp::from_millis(turn.as_millis() - 1);
                    prop_assert_eq!(subscription.effective_plan(last, GRACE, &plans()), before);
                }
                None => prop_assert_eq!(plan(&subscription, 10_000), before),
            }
            // What time has ended gives nothing, and says so.
            if subscription.run_out(now, GRACE).is_some() {
                prop_assert_eq!(before, Plan::Free);
            }
        }
    }
}
