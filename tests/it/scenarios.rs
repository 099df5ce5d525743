//! The proof that order does not matter: every scenario, told in every order with repetitions and with time passing at
//! odd moments, ends in the same call, in one row of the history, without a popup where there must be none.

use caller_popup::call::{Call, CallEvent};
use caller_popup::simulator::{Scenario, scenarios};
use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use crate::keeper::{Keeper, public, read};
use crate::support::from_environment;

/// Of this many notifications there are 5,040 orders, and all are tried.
const ALL_ORDERS_UP_TO: usize = 7;
/// Of more, this many are drawn unless `SHUFFLES` says otherwise; `scripts/long` draws 10,000.
const SHUFFLES: usize = 1_000;
/// One seed for all runs, so that a failure can be run again.
const SEED: u64 = 20_251_019;

/// A test for each scenario, so that they share the cores, and one that none was forgotten.
macro_rules! every_order_of {
    ($($test:ident: $name:literal),+ $(,)?) => {
        $(
            #[test]
            fn $test() {
                told_in_every_order($name);
            }
        )+

        #[test]
        fn no_scenario_is_left_out() {
            let tried = [$($name),+, "guide"];
            assert!(scenarios().iter().all(|choice| tried.contains(&choice.name)));
        }
    };
}

every_order_of! {
    a_direct_call: "direct",
    an_unknown_caller: "unknown",
    a_withheld_number: "withheld",
    a_menu_then_a_person: "ivr",
    a_queue_of_five: "queue",
    a_queue_nobody_answers: "queue-missed",
    a_missed_call: "missed",
    a_voicemail: "voicemail",
    a_rejected_call: "rejected",
    a_caller_who_leaves_in_the_menu: "menu-abandoned",
    a_blind_transfer: "blind-transfer",
    an_attended_transfer: "attended-transfer",
    a_conference: "conference",
    a_parked_call: "park",
    a_call_in_a_park_location: "park-location",
    a_call_that_changes_phones: "call-switch",
    a_colleague_calling: "ext-to-ext",
    our_own_call: "outbound",
    a_ringout: "ringout",
    presence_that_flaps: "presence-only",
    presence_beside_telephony: "both-sources",
}

/// The guide's flat body carries nothing to put it in order by, so it is told in order; what it may do is stutter, and
/// the same session may be used for another call.
#[test]
fn the_flat_body_may_stutter_and_its_session_may_be_used_again() {
    let scenario = Scenario::named("guide").unwrap();
    let mut keeper = Keeper::default();
    let mut now = start();
    for _ in 0..2 {
        for (_, notification) in scenario.notifications(start(), SEED) {
            for _ in 0..2 {
                now += TimeDelta::milliseconds(10);
                keeper.deliver(&mut read(&notification, now), now);
            }
        }
    }
    let history: Vec<_> = keeper.history().collect();
    assert_eq!((keeper.active().count(), history.len()), (0, 2));
    for call in history {
        expect("guide", &scenario, call);
    }
}

fn told_in_every_order(name: &str) {
    let scenario = Scenario::named(name).unwrap();
    let mut told: Vec<_> = scenario.notifications(start(), SEED).iter().map(|(_, body)| read(body, start())).collect();
    let in_order: Vec<usize> = (0..told.len()).collect();
    let last = play(name, &scenario, &mut told, &in_order, None);
    expect(name, &scenario, &last);

    let mut random = SmallRng::seed_from_u64(SEED);
    let mut check = |order: &[usize]| {
        let order = with_repetitions(order, &mut random);
        let call = play(name, &scenario, &mut told, &order, Some(&mut random));
        assert_eq!(call, last, "{name} told in the order {order:?}");
    };
    if in_order.len() <= ALL_ORDERS_UP_TO {
        permute(&mut in_order.clone(), 0, &mut check);
    } else {
        let (mut order, mut shuffling) = (in_order, SmallRng::seed_from_u64(SEED + 1));
        for _ in 0..from_environment("SHUFFLES", SHUFFLES) {
            order.shuffle(&mut shuffling);
            check(&order);
        }
    }
}

/// Tells what was told in this order and answers the one call it must leave behind. With `random`, sweeps happen in
/// between, some after enough time for a grace to be over.
fn play(
    name: &str,
    scenario: &Scenario,
    told: &mut [Vec<Vec<CallEvent>>],
    order: &[usize],
    mut random: Option<&mut SmallRng>,
) -> Call {
    let mut keeper = Keeper::default();
    let mut now = start();
    for &index in order {
        if let Some(random) = random.as_deref_mut()
            && random.random_bool(0.2)
        {
            now += TimeDelta::milliseconds(random.random_range(0..10_000));
            keeper.sweep(now);
        }
        keeper.deliver(&mut told[index], now);
        let forbidden = !keeper.popped.is_empty() && !scenario.expect.popup;
        assert!(!forbidden, "{name} showed a popup when told in the order {order:?}");
    }
    keeper.close(now);
    assert_eq!(keeper.active().count(), 0, "{name} goes on when told in the order {order:?}");
    let history: Vec<_> = keeper.history().collect();
    assert_eq!(history.len(), scenario.expect.rows, "{name} told in the order {order:?}: {history:#?}");
    public(history[0])
}

fn expect(name: &str, scenario: &Scenario, call: &Call) {
    let expect = &scenario.expect;
    assert_eq!(call.result, Some(expect.result), "result of {name}");
    assert_eq!(call.direction, expect.direction, "direction of {name}");
    assert_eq!(call.answered_by.as_ref().map(|e| &e.extension_id), expect.answered_by.as_ref(), "{name} answered by");
    assert_eq!(call.from_number, expect.from_number, "caller's number of {name}");
    assert_eq!(call.from_name, expect.from_name, "caller's name of {name}");
    assert_eq!(call.queue, expect.queue, "queue of {name}");
}

/// About one notification in seven comes again, at any later time.
fn with_repetitions(order: &[usize], random: &mut SmallRng) -> Vec<usize> {
    let mut again = order.to_vec();
    for &index in order {
        if random.random_bool(0.15) {
            let first = again.iter().position(|&other| other == index).unwrap_or_default();
            again.insert(random.random_range(first + 1..=again.len()), index);
        }
    }
    again
}

fn permute(order: &mut [usize], from: usize, check: &mut impl FnMut(&[usize])) {
    if from == order.len() {
        return check(order);
    }
    for index in from..order.len() {
        order.swap(from, index);
        permute(order, from + 1, check);
        order.swap(from, index);
    }
}

fn start() -> DateTime<Utc> {
    "2026-03-02T15:00:00Z".parse().unwrap()
}
