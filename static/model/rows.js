/**
 * The rows of the tables of calls, from what the stream says and what was read over HTTP. Pure.
 *
 * @import { Call } from "./call.js"
 */
import { isOnScreen, isShown, newestFirst } from "./call.js";

/**
 * The rows of an "active now" table, newest first.
 *
 * The stream says nothing more about calls this viewer dismissed, so those come from `read` until it is read again;
 * `silent` says that there are such rows.
 *
 * @param {Call[]} followed  the calls of the feed
 * @param {Call[]} read  the last answer of active-calls, as `readAfter` keeps it
 */
export function activeRows(followed, read) {
  const byId = mapOf(followed);
  const live = followed.filter(isShown);
  const others = read.filter((call) => isOnScreen(call) && !isSuperseded(call, byId.get(call.id)));
  return { rows: newestFirst([...live, ...others]), silent: others.length > 0 };
}

/**
 * What remains of an answer of active-calls after the feed changed. What the stream ended, or lost, is dropped for good: the
 * feed forgets calls that ended, and a row must not come back when it does. What was dismissed just now stays as it was known, and
 * what the stream says of a dismissed call is news: the service never got the dismissal.
 *
 * @param {Call[]} read
 * @param {Call[]} before  the calls of the feed before
 * @param {Call[]} followed  and now
 */
export function readAfter(read, before, followed) {
  const byId = mapOf(followed);
  const live = mapOf(before.filter(isShown));
  const known = mapOf(before);
  const isNews = (/** @type {Call} */ { id, rev }) => live.has(id) || rev > (known.get(id)?.rev ?? -1);
  const dismissed = followed.filter((call) => call.dismissed && isOnScreen(call) && isNews(call)).map((call) => live.get(call.id) ?? call);
  const kept = read.filter((call) => {
    const now = byId.get(call.id);
    return now ? isOnScreen(now) || now.rev < call.rev : !live.has(call.id);
  });
  return [...mapOf([...kept, ...dismissed]).values()];
}

/**
 * The newest calls that ended: those read over HTTP, and on top of them what the stream saw end since.
 *
 * @param {Call[]} followed  the calls of the feed
 * @param {Call[]} read  the last answer of the call history
 * @param {number} limit
 */
export function recentRows(followed, read, limit) {
  const ended = followed.filter((call) => call.status === "ended");
  return newestFirst([...mapOf([...read, ...ended]).values()]).slice(0, limit);
}

/**
 * Is the stream's last word on a call newer than what was read? A call that ended may ring again since, and what changes about
 * one that was dismissed the stream does not say.
 *
 * @param {Call} read
 * @param {Call | undefined} followed
 */
function isSuperseded(read, followed) {
  if (!followed) return false;
  return isShown(followed) || (!isOnScreen(followed) && followed.rev >= read.rev);
}

/**
 * By id; of two with the same id the last one.
 *
 * @param {Call[]} calls
 */
const mapOf = (calls) => new Map(calls.map((call) => [call.id, call]));
