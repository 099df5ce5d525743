/**
 * How current the calls of a feed are, and why they are not. Pure.
 *
 * @typedef {"connecting" | "live" | "polling" | "reconnecting" | "denied" | "blocked"} FeedState
 *   `polling`: a proxy holds the stream back; `denied`: the viewer has to sign in, or may not see calls; `blocked`: the page's
 *   own policy or the service's settings keep this page from the service
 *
 * @typedef {object} FeedStatus
 * @property {FeedState} state
 * @property {string | null} message  why, as a sentence for a person: the service's own where there is one
 * @property {string | null} code  the service's name of the refusal, while `denied`
 * @property {boolean} unanswered  the service was asked and did not answer as it should
 * @property {{ code: string, message: string } | null} trouble  the service's own error, while it still serves
 * @property {number} troubleAt  when it came, in epoch milliseconds, like all times here
 * @property {number} heardAt  when the last event or answer came
 * @property {number} clockOffset  how far the service's clock is ahead of this one's
 */

/** How long an error of the service is shown while nothing but heartbeats follows. */
const TROUBLE_MS = 35_000;

/** @type {Readonly<FeedStatus>} */
export const NO_STATUS = Object.freeze({
  state: "connecting", message: null, code: null, unanswered: false, trouble: null, troubleAt: 0, heardAt: 0, clockOffset: 0,
});

/**
 * What an event of the service changes.
 *
 * @param {Readonly<FeedStatus>} status
 * @param {any} data
 * @param {"live" | null} state  what the event proves of the line
 * @param {number} now
 * @returns {FeedStatus}
 */
export function statusAfter(status, data, state, now) {
  const next = { ...status, heardAt: now };
  if (state) Object.assign(next, { state, message: null, code: null, unanswered: false });
  if (data.server_time) next.clockOffset = Date.parse(data.server_time) - now || 0;
  const outlived = data.type === "heartbeat" && now - status.troubleAt > TROUBLE_MS;
  if (data.type === "error") Object.assign(next, { trouble: data.error, troubleAt: now });
  else if (data.call || data.type === "connected" || data.type === "resync" || outlived) next.trouble = null;
  return next;
}

/**
 * Do these two mean the same to a person?
 *
 * @param {Readonly<FeedStatus>} one
 * @param {Readonly<FeedStatus>} other
 */
export const isSameStatus = (one, other) => one.state === other.state && one.message === other.message;
