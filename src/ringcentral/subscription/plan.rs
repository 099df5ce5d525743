//! What to do about the subscriptions RingCentral lists: pure, and asks no clock.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Url;

use super::{LIFETIME, Status, Subscription};

/// The subscription we want.
#[derive(Clone, Debug)]
pub struct DesiredSubscription {
    /// Where it delivers.
    pub address: Url,
    /// What it delivers; `~` stands for the id of the owner.
    pub filters: Vec<String>,
    /// The one that was created with our verification token. Those of others cannot be told from the list, and the
    /// deliveries of one with another token would be refused until RingCentral blacklists us.
    pub subscription_id: Option<String>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// This one is right and has time.
    Keep(String),
    /// This one is right and its time runs out.
    Renew(String),
    /// Make one.
    Create,
    /// This one is dead, or brings every event a second time.
    Delete(String),
}

/// The steps from what is listed to one living subscription, in order. Subscriptions that deliver elsewhere belong to
/// others and are left alone. One that delivers is deleted only after its successor stands, so that no call is missed
/// in between; a dead one before, because it blocks nothing but may count against the limit.
pub fn plan(listed: &[Subscription], ours: &DesiredSubscription, now: DateTime<Utc>) -> Vec<Step> {
    let mut at_ours: Vec<_> = listed.iter().filter(|one| one.address.as_ref() == Some(&ours.address)).collect();
    // The Active ones first: a dead one must never be the one that is kept.
    at_ours.sort_by_key(|one| (one.status != Status::Active, std::cmp::Reverse(one.expires_at)));
    let delete = |one: &&Subscription| Step::Delete(one.id.clone());
    if let Some(kept) = at_ours.iter().find(|one| one.is_right(ours, now)) {
        let others = at_ours.iter().filter(|one| one.id != kept.id).map(delete);
        return std::iter::once(kept.keep_or_renew(now)).chain(others).collect();
    }
    let (delivering, dead): (Vec<_>, Vec<_>) = at_ours.into_iter().partition(|one| one.delivers(now));
    let before = dead.iter().map(delete);
    before.chain([Step::Create]).chain(delivering.iter().map(delete)).collect()
}

impl Subscription {
    /// Every one of `filters` is among this subscription's.
    pub(super) fn covers(&self, filters: &[String]) -> bool {
        filters.iter().all(|wanted| self.filters.iter().any(|listed| matches(wanted, listed)))
    }

    fn is_right(&self, ours: &DesiredSubscription, now: DateTime<Utc>) -> bool {
        self.delivers(now) && self.covers(&ours.filters) && ours.subscription_id.as_ref() == Some(&self.id)
    }

    fn keep_or_renew(&self, now: DateTime<Utc>) -> Step {
        let half = TimeDelta::from_std(LIFETIME / 2).expect("a week fits");
        match self.expires_at {
            Some(end) if end - now < half => Step::Renew(self.id.clone()),
            _ => Step::Keep(self.id.clone()),
        }
    }
}

/// Whether a listed filter is the one we wanted: answers hold real ids where `~` was sent, and the parameters in any
/// order.
fn matches(wanted: &str, listed: &str) -> bool {
    let (wanted, listed) = (Filter::of(wanted), Filter::of(listed));
    let same = |(wanted, listed): (&&str, &&str)| wanted == listed || *wanted == "~" || *listed == "~";
    wanted.path.len() == listed.path.len()
        && wanted.path.iter().zip(&listed.path).all(same)
        && wanted.parameters == listed.parameters
}

struct Filter<'a> {
    path: Vec<&'a str>,
    parameters: Vec<&'a str>,
}

impl<'a> Filter<'a> {
    fn of(text: &'a str) -> Self {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let mut parameters: Vec<&str> = query.split('&').filter(|one| !one.is_empty()).collect();
        parameters.sort_unstable();
        Self { path: path.split('/').collect(), parameters }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: [&str; 2] =
        ["/restapi/v1.0/account/~/telephony/sessions", "/restapi/v1.0/subscription/~?threshold=259200&interval=43200"];

    fn now() -> DateTime<Utc> {
        "2026-01-05T10:00:00Z".parse().unwrap()
    }

    fn ours() -> DesiredSubscription {
        DesiredSubscription {
            address: "https://popup.example.com/api/webhooks/ringcentral".parse().unwrap(),
            filters: WANTED.map(str::to_owned).to_vec(),
            subscription_id: Some("ours".into()),
        }
    }

    fn listed(id: &str, status: Status) -> Subscription {
        Subscription {
            id: id.into(),
            status,
            filters: vec![
                "/restapi/v1.0/account/809646016/telephony/sessions".into(),
                "/restapi/v1.0/subscription/dd2f0ff2?interval=43200&threshold=259200".into(),
            ],
            disabled: Vec::new(),
            address: Some(ours().address),
            expires_at: Some(now() + TimeDelta::days(6)),
        }
    }

    fn blacklisted(id: &str) -> Subscription {
        listed(id, Status::Blacklisted("Read timed out".into()))
    }

    fn steps(listed: &[Subscription]) -> Vec<Step> {
        plan(listed, &ours(), now())
    }

    fn keep(id: &str) -> Step {
        Step::Keep(id.into())
    }

    fn delete(id: &str) -> Step {
        Step::Delete(id.into())
    }

    #[test]
    fn where_there_is_none_one_is_created() {
        assert_eq!(steps(&[]), [Step::Create]);
    }

    #[test]
    fn one_that_is_right_is_kept_although_its_ids_are_resolved() {
        assert_eq!(steps(&[listed("ours", Status::Active)]), [keep("ours")]);
    }

    #[test]
    fn it_is_renewed_when_half_its_life_is_over() {
        let mut old = listed("ours", Status::Active);
        old.expires_at = Some(now() + TimeDelta::days(3));
        assert_eq!(steps(&[old]), [Step::Renew("ours".into())]);
    }

    #[test]
    fn duplicates_and_dead_ones_go_and_the_active_one_stays() {
        let all = [blacklisted("dead"), listed("twin", Status::Active), listed("ours", Status::Active)];
        let steps = steps(&all);
        assert_eq!(steps[0], keep("ours"));
        assert_eq!(steps.len(), 3);
        assert!(steps.contains(&delete("dead")) && steps.contains(&delete("twin")));
    }

    #[test]
    fn a_blacklisted_one_is_replaced() {
        assert_eq!(steps(&[blacklisted("ours")]), [delete("ours"), Step::Create]);
    }

    #[test]
    fn words_of_other_releases_mean_that_it_is_down() {
        let suspended = listed("ours", Status::Unknown("Suspended".into()));
        assert_eq!(steps(&[suspended]), [delete("ours"), Step::Create]);
    }

    #[test]
    fn one_that_delivers_the_wrong_events_goes_after_its_successor_stands() {
        let mut narrow = listed("ours", Status::Active);
        narrow.filters.truncate(1);
        assert_eq!(steps(&[narrow]), [Step::Create, delete("ours")]);
    }

    #[test]
    fn one_with_an_unknown_token_is_replaced_too() {
        assert_eq!(steps(&[listed("stranger", Status::Active)]), [Step::Create, delete("stranger")]);
    }

    #[test]
    fn what_delivers_elsewhere_is_left_alone() {
        let mut staging = blacklisted("staging");
        staging.address = Some("https://staging.example.com/api/webhooks/ringcentral".parse().unwrap());
        assert_eq!(steps(&[staging, listed("ours", Status::Active)]), [keep("ours")]);
    }

    #[test]
    fn an_expired_one_that_is_still_listed_is_dead() {
        let mut expired = listed("ours", Status::Active);
        expired.expires_at = Some(now());
        assert_eq!(steps(&[expired]), [delete("ours"), Step::Create]);
    }

    #[test]
    fn filters_match_by_pattern_and_never_across_accounts() {
        let sessions = "/restapi/v1.0/account/1/telephony/sessions";
        assert!(matches("/restapi/v1.0/account/~/telephony/sessions", sessions));
        assert!(!matches("/restapi/v1.0/account/2/telephony/sessions", sessions));
        assert!(!matches(
            "/restapi/v1.0/account/~/telephony/sessions",
            "/restapi/v1.0/account/1/extension/2/telephony/sessions"
        ));
        assert!(!matches(
            "/restapi/v1.0/account/~/telephony/sessions",
            "/restapi/v1.0/account/1/telephony/sessions?direction=Inbound"
        ));
    }
}
