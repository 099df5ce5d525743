/**
 * The status light: one tone and one honest sentence about how current this page is. Pure.
 */
import { formatSpan } from "../model/call.js";

const DAY = 86_400_000;
const HOUR = 3_600_000;

const STREAM = {
  connecting: ["quiet", "Connecting…"],
  reconnecting: ["amber", "Reconnecting… calls may come late"],
  offline: ["red", "No answer from the service · trying again · check that it runs"],
  denied: ["red", "Signed out · sign in to see calls"],
};

/**
 * `{tone, text}`: `tone` is `green`, `amber`, `red` or `quiet`.
 *
 * `feed` is a CallFeed's status, `health` the answer of /health/ready or null while unknown, `now` epoch milliseconds on the
 * server's clock. What is worst is said first and alone: a person can only do one thing about it.
 */
export function statusLight(feed, health, now) {
  const problem = feed.trouble?.message ?? (health && !health.ready ? health.reasons?.[0] : null);
  if (problem && feed.state !== "denied") return { tone: "red", text: problem };
  if (STREAM[feed.state]) {
    const [tone, text] = STREAM[feed.state];
    return { tone, text };
  }

  const live = feed.state === "polling" ? "Checking every few seconds · a proxy holds the stream back" : "Live";
  const said = [live, lastEvent(health, now)];
  const subscription = aboutSubscription(health?.subscription, now);
  const webhooks = subscription.tone ? {} : aboutWebhooks(health, now);
  const tone = subscription.tone ?? webhooks.tone ?? (feed.state === "polling" ? "amber" : "green");
  return { tone, text: [...said, webhooks.text ?? subscription.text].filter(Boolean).join(" · ") };
}

/** What somebody should look at before RingCentral gives the address up. */
function aboutWebhooks(health, now) {
  const refused = now - Date.parse(health?.last_refused_at ?? "");
  if (refused < HOUR) return { tone: "amber", text: `a webhook was turned away ${formatSpan(refused)} ago · check the verification token` };
  if (health?.spooled > 0) return { tone: "amber", text: "calls wait on this machine’s disk for the database" };
  return {};
}

function lastEvent(health, now) {
  if (!health) return null;
  return health.last_event_at ? `last event ${formatSpan(now - Date.parse(health.last_event_at))} ago` : "no event yet";
}

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
