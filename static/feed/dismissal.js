/**
 * Telling the service that this viewer dismissed a call, until it has heard it.
 */
import { backoff } from "../lib/backoff.js";

/** So often it is told while the service cannot take it, about a minute in all. */
const TRIES = 6;
/** The same while it knows no such call: another instance may, and a tick later this one too. */
const TRIES_UNKNOWN = 3;

/**
 * Resolves to whether the service took it the first time. Otherwise it is told again later, for as long as `goesOn()` says
 * that there is still something to dismiss. `post` sends it and resolves to the answer; `random` is Math.random.
 */
export async function tellDismissal(post, goesOn, random, tries = 1) {
  const { ok, status } = await post().catch(() => ({ ok: false, status: 0 }));
  if (ok) return true;
  const passes = [0, 404, 429].includes(status) || status >= 500;
  if (passes && tries < (status === 404 ? TRIES_UNKNOWN : TRIES)) {
    setTimeout(() => goesOn() && tellDismissal(post, goesOn, random, tries + 1), backoff(tries - 1, random()));
  }
  return false;
}
