//! What to do about the subscriptions RingCentral lists: pure, and asks no clock.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Url;

use super::webhook_secret::is_unguessable;
use super::{LIFETIME, Status, Subscription};

/// The subscription we want.
#[derive(Clone, Debug)]
pub struct DesiredSubscription {
    /// Where it delivers.
    pub address: Url,
    /// What it delivers; `~` stands for the id of the owner.
    pub filters: Vec<String>,
    /// The one that was created with our verification token. The token is not in the list, and the deliveries of one with
    /// another token would be refused until RingCentral blacklists us.
    pub subscription_id: Option<String>,
    /// The one of another program that was taken over; its deliveries are authenticated by its id.
    pub adopted: Option<String>,
    /// Whether one of another program may be taken over; not where the settings name a token.
    pub adopts: bool,
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
    /// This one delivers, and not what we want or not to what is known as ours: it stays, with our filters and lifetime.
    Update(String),
    /// This one is dead, or brings every event a second time.
    Delete(String),
}

/// The steps from what is listed to one living subscription, in order. Subscriptions that deliver elsewhere belong to
/// others and are left alone. One of another program that delivers here, such as the setup guide's script, is taken over while
/// none of ours delivers. One that delivers is deleted only after another one delivers what we want, so that no call is
/// missed in between; a dead one before, because it blocks nothing but may count against the limit.
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
    let taken = ours.takes_over(&delivering);
    let change = taken.map_or(Step::Create, |one| Step::Update(one.id.clone()));
    let others = delivering.iter().filter(|one| taken.is_none_or(|taken| one.id != taken.id));
    dead.iter().map(delete).chain([change]).chain(others.map(delete)).collect()
}

impl DesiredSubscription {
    /// The one of these that is given our filters instead of being replaced.
    fn takes_over<'a>(&self, delivering: &[&'a Subscription]) -> Option<&'a Subscription> {
        let is = |id: &Option<String>, one: &Subscription| id.as_ref() == Some(&one.id);
        if !self.adopts || delivering.iter().any(|one| is(&self.subscription_id, one)) {
            return None;
        }
        let adopted = delivering.iter().find(|one| is(&self.adopted, one));
        adopted.or_else(|| delivering.iter().find(|one| is_unguessable(&one.id))).copied()
    }
}

impl Step {
    /// For the log: ids may stand for a token there.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Keep(_) => "keep",
            Self::Renew(_) => "renew",
            Self::Create => "create",
            Self::Update(_) => "update",
            Self::Delete(_) => "delete",
        }
    }
}

impl Subscription {
    /// Every one of `filters` is among this subscription's.
    pub(super) fn covers(&self, filters: &[String]) -> bool {
        filters.iter().all(|wanted| self.filters.iter().any(|listed| matches(wanted, listed)))
    }

    fn is_right(&self, ours: &DesiredSubscription, now: DateTime<Utc>) -> bool {
        let adopted = ours.adopted.as_ref().filter(|_| ours.adopts);
        let is_authenticated = [ours.subscription_id.as_ref(), adopted].contains(&Some(&self.id));
        self.delivers(now) && self.covers(&ours.filters) && is_authenticated
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
            adopted: None,
            adopts: true,
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

    const THEIRS: &str = "dd2f0ff2-580e-4581-a277-76f9c9a54bc9";
    const TWIN: &str = "1423e408-e25c-4421-8dd1-5f754e2f5648";

    fn update(id: &str) -> Step {
        Step::Update(id.into())
    }

    #[test]
    fn one_of_another_program_is_taken_over_and_only_one() {
        let all = [listed(THEIRS, Status::Active), listed(TWIN, Status::Active), blacklisted("ours")];
        assert_eq!(steps(&all), [delete("ours"), update(THEIRS), delete(TWIN)]);
        // From then on it is the one that is kept.
        let adopting = DesiredSubscription { subscription_id: None, adopted: Some(TWIN.into()), ..ours() };
        assert_eq!(plan(&all[..2], &adopting, now()), [keep(TWIN), delete(THEIRS)]);
    }

    #[test]
    fn one_that_was_taken_over_is_renewed_and_given_other_filters_in_place() {
        let adopting = DesiredSubscription { subscription_id: None, adopted: Some(TWIN.into()), ..ours() };
        let mut old = listed(TWIN, Status::Active);
        old.expires_at = Some(now() + TimeDelta::days(3));
        assert_eq!(plan(&[old.clone()], &adopting, now()), [Step::Renew(TWIN.into())]);
        old.filters.truncate(1);
        assert_eq!(plan(&[listed(THEIRS, Status::Active), old], &adopting, now()), [update(TWIN), delete(THEIRS)]);
        assert_eq!(plan(&[blacklisted(TWIN)], &adopting, now()), [delete(TWIN), Step::Create]);
    }

    #[test]
    fn one_of_another_program_goes_where_ours_delivers_or_the_settings_name_a_token() {
        let mut narrow = listed("ours", Status::Active);
        narrow.filters.truncate(1);
        let both = [narrow, listed(THEIRS, Status::Active)];
        assert_eq!(steps(&both), [Step::Create, delete("ours"), delete(THEIRS)]);
        let configured =
            DesiredSubscription { subscription_id: None, adopted: Some(THEIRS.into()), adopts: false, ..ours() };
        assert_eq!(plan(&both[1..], &configured, now()), [Step::Create, delete(THEIRS)]);
    }

    #[test]
    fn one_whose_id_can_be_guessed_is_replaced() {
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
