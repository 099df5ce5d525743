/**
 * The status light: one tone and one sentence about how current this page is. Pure.
 *
 * @import { FeedStatus } from "../feed/feed-status.js"
 */
import { formatSpan } from "../lib/format.js";

const DAY = 86_400_000;
const HOUR = 3_600_000;

/**
 * @typedef {object} Health  The answer of /health/ready, as far as it is shown.
 * @property {boolean} ready
 * @property {string[]} [reasons]
 * @property {string | null} [last_event_at]
 * @property {string | null} [last_refused_at]
 * @property {number} [spooled]
 * @property {string} [customer_index]
 * @property {Subscription | null} [subscription]
 *
 * @typedef {{ state: string, expires_at: string | null, detail: string | null }} Subscription
 *
 * @typedef {"green" | "amber" | "red" | "quiet"} LightTone
 * @typedef {{ tone?: LightTone, text?: string }} Part  One part of the sentence.
 */

/**
 * What is said of a feed that is neither live nor polling, where there is no sentence that says more.
 *
 * @type {Record<string, string>}
 */
const STREAM = {
  connecting: "Connecting…",
  reconnecting: "Reconnecting… calls may come late",
  denied: "Signed out · sign in to see calls",
  blocked: "This page cannot reach the service",
};

/**
 * What is worst is said first and alone: a person can only do one thing about it. What the service said before it stopped
 * answering is not worth more than that it does not answer.
 *
 * @param {Pick<FeedStatus, "state" | "message" | "unanswered" | "trouble">} feed
 * @param {Health | null} health  null while unknown
 * @param {number} now  epoch milliseconds on the service's clock
 * @returns {{ tone: LightTone, text: string }}
 */
export function statusLight(feed, health, now) {
  const { state, message, unanswered } = feed;
  if (state === "denied" || state === "blocked") return { tone: "red", text: message ?? STREAM[state] };
  const unready = health && !health.ready ? health.reasons?.[0] : null;
  const isAway = unanswered || (state === "reconnecting" && !health);
  if (isAway) return { tone: "red", text: unready ?? "No answer from the service · trying again · check that it runs" };
  const problem = feed.trouble?.message ?? unready;
  if (problem) return { tone: "red", text: problem };
  if (state === "connecting") return { tone: "quiet", text: STREAM[state] };
  if (state === "reconnecting") return { tone: "amber", text: STREAM[state] };

  const live = feed.state === "polling" ? "Checking every few seconds · a proxy holds the stream back" : "Live";
  const stream = [live, lastEvent(health, now)];
  const subscription = aboutSubscription(health?.subscription, now);
  const webhooks = subscription.tone ? {} : aboutWebhooks(health, now);
  const names = subscription.tone ? null : aboutNames(health);
  const tone = subscription.tone ?? webhooks.tone ?? (feed.state === "polling" ? "amber" : "green");
  return { tone, text: [...stream, webhooks.text ?? names ?? subscription.text].filter(Boolean).join(" · ") };
}

/**
 * Callers who are not in the index yet are searched for one after the other.
 *
 * @param {Health | null} health
 */
function aboutNames(health) {
  return health?.customer_index === "building" ? "customers’ numbers are being indexed, names may come late" : null;
}

/**
 * What needs attention before RingCentral gives the address up.
 *
 * @param {Health | null} health
 * @param {number} now
 * @returns {Part}
 */
function aboutWebhooks(health, now) {
  const refused = now - Date.parse(health?.last_refused_at ?? "");
  if (refused < HOUR) return { tone: "amber", text: `a webhook was turned away ${formatSpan(refused)} ago · check the verification token` };
  if (health?.spooled) return { tone: "amber", text: "calls wait on this machine’s disk for the database" };
  return {};
}

/**
 * @param {Health | null} health
 * @param {number} now
 */
function lastEvent(health, now) {
  if (!health) return null;
  return health.last_event_at ? `last event ${formatSpan(now - Date.parse(health.last_event_at))} ago` : "no event yet";
}

/**
 * @param {Subscription | null | undefined} subscription
 * @param {number} now
 * @returns {Part}
 */
function aboutSubscription(subscription, now) {
  if (!subscription) return {};
  const { state, expires_at, detail } = subscription;
  if (state === "missing") return { tone: "amber", text: detail ?? "no RingCentral subscription · run “caller-popup subscription ensure”" };
  if (state === "blacklisted") {
    return { tone: "red", text: detail ?? "RingCentral stopped sending · check that the webhook URL answers, then renew the subscription" };
  }
  if (state === "unknown" || !expires_at) return { text: detail ?? "subscription not checked yet" };
  const left = Date.parse(expires_at) - now;
  if (left <= 0) return { tone: "red", text: "subscription ended · run “caller-popup subscription ensure”" };
  return { tone: left < DAY ? "amber" : undefined, text: `subscription ends in ${formatSpan(left)}` };
}
