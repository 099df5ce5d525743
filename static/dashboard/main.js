/**
 * The dashboard: a status light, the calls of now, the recent ones, and the popup in the corner.
 *
 * It reads through the popup's own feed, so a page has one picture of the calls and a browser one stream. What the
 * stream leaves out (calls this viewer dismissed, and calls from before) is read over HTTP.
 */
import "../call-popup.js";
import { activeRows, isShown } from "../model/call.js";
import { CallTable } from "./call-table.js";
import { History } from "./views/history.js";
import { Reading } from "../lib/visible-refresh.js";
import { get, readiness } from "../lib/service.js";
import { Session } from "./session.js";
import { SignIn } from "./sign-in.js";
import { Simulator } from "./simulator.js";
import { statusLight } from "./status-light.js";

/** The stream is silent about dismissed calls, so while one is still going on the list is read again this often. */
const SILENT_CALLS_MS = 5_000;
const HEALTH_MS = 10_000;
/** What every dashboard wants to read after the same event, such as a restart of the service, they read within this. */
const SPREAD_MS = 4_000;
const RECENT = 10;

const element = (id) => document.getElementById(id);
const { feed } = document.querySelector("call-popup");
const config = { customer_url: null };
const context = () => ({ now: feed.now(), customerUrl: config.customer_url });

const active = new CallTable(element("active"), ["status", "caller", "line", "agent", "time"], context);
const recent = new CallTable(element("recent"), ["result", "caller", "line", "answeredBy", "when"], context);
const history = new History(context, complain);
const signIn = new SignIn(enter);
const session = new Session({
  onOther: () => feed.restart({ anew: true }),
  onEnd: signOut,
  onFailure: (error) => complain(`You could not be signed out. ${error.message}`),
});
const simulator = new Simulator(complain);

const activeReading = new Reading(loadActive, () => !document.hidden);
const recentReading = new Reading(loadRecent, () => !document.hidden && !element("live").hidden);
const healthReading = new Reading(loadHealth, () => !document.hidden);

let followed = feed.calls;
let read = null;
let past = null;
let health = null;
let silentAlarm;
/** Stands for whoever looks at this page; another object once it may be somebody else. */
let viewer = {};

// --- Live ----------------------------------------------------------------------------------------------------------

function follow() {
  const before = followed;
  followed = feed.calls;
  if (feed.status.state === "denied") leave();
  else if (followed !== before) {
    const now = new Map(followed.map((call) => [call.id, call]));
    const live = before.filter(isShown);
    // Dismissed just now: the row stays, from what we know. Gone without an end: we missed it, and history knows.
    read = (read ?? []).concat(live.filter((call) => now.get(call.id)?.dismissed));
    const lost = live.filter((call) => !now.has(call.id));
    read = read.filter((call) => !lost.some((other) => other.id === call.id));
    if (lost.length) recentReading.due(SPREAD_MS);
  }
  show();
}

function show() {
  light();
  if (read) showActive();
  if (past) showRecent();
}

function showActive() {
  const { rows, silent } = activeRows(followed, read);
  active.show(rows);
  element("active").hidden = rows.length === 0;
  element("active-empty").hidden = rows.length > 0;
  const ringing = rows.filter((call) => call.status === "ringing").length;
  document.title = ringing ? `(${ringing}) Calls` : "Calls";
  clearTimeout(silentAlarm);
  if (silent) silentAlarm = setTimeout(() => activeReading.due(), SILENT_CALLS_MS);
}

function showRecent() {
  const ended = followed.filter((call) => call.status === "ended");
  const rows = [...new Map([...past, ...ended].map((call) => [call.id, call])).values()]
    .sort((a, b) => Date.parse(b.timestamp) - Date.parse(a.timestamp))
    .slice(0, RECENT);
  recent.show(rows);
  element("recent").hidden = rows.length === 0;
  element("recent-empty").hidden = rows.length > 0;
}

async function loadActive() {
  await asking("api/ringcentral/active-calls", ({ calls }) => {
    const gone = (read ?? []).some((call) => !calls.some((other) => other.id === call.id));
    read = calls;
    if (gone) recentReading.due(SPREAD_MS);
  });
}

async function loadRecent() {
  await asking(`api/ringcentral/calls?limit=${RECENT}`, ({ calls }) => {
    past = calls;
  });
}

/** Reads, shows what that brought, and says in a sentence what went wrong. */
async function asking(path, take) {
  const asker = viewer;
  try {
    const answer = await get(path);
    if (asker !== viewer) return;
    take(answer);
    signIn.done();
    complain(null);
    show();
    // Somebody signed in where this browser's leader has not seen it: in another tab, or on the way over RingCentral.
    if (feed.status.state === "denied") feed.restart({ anew: true });
  } catch (error) {
    if (asker !== viewer) return;
    if (error.denied) leave(error);
    else complain(`Calls could not be read. ${error.message}`, again);
  }
}

// --- The header ----------------------------------------------------------------------------------------------------

async function loadHealth() {
  try {
    health = await readiness();
  } catch {
    // No answer from here says less than the stream's own state does.
    health = null;
  }
  light();
}

function light() {
  const { tone, text } = statusLight(feed.status, health, feed.now());
  const place = element("light");
  place.dataset.tone = tone;
  if (place.firstElementChild.textContent !== text) place.firstElementChild.textContent = text;
}

/** A sentence above the tables, with a way out; null takes it away. */
function complain(sentence, again) {
  const notice = element("notice");
  notice.hidden = !sentence;
  notice.replaceChildren(sentence ?? "");
  if (!sentence || !again) return;
  const button = document.createElement("button");
  button.className = "button";
  button.textContent = "Try again";
  button.addEventListener("click", again);
  notice.append(button);
}

function route() {
  const name = location.hash === "#history" ? "history" : "live";
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  for (const view of document.querySelectorAll(".view")) view.hidden = view.id !== name;
  if (name === "history") history.load();
  else recentReading.look();
}

// --- Start ---------------------------------------------------------------------------------------------------------

/** When a person does not want to wait. */
function again() {
  feed.restart();
  start();
}

/** Somebody signed in; everything begins again for them. */
function enter() {
  feed.restart({ anew: true });
}

/** Nobody may see calls here any more; `error` is the service's refusal, if it said more than "no". */
function leave(error) {
  forget();
  session.hide();
  signIn.ask(error);
}

/** Takes away what was read for whoever looked until now. */
function forget() {
  viewer = {};
  [read, past] = [null, null];
  active.load();
  recent.load();
  history.forget();
  document.title = "Calls";
  clearTimeout(silentAlarm);
}

function signOut() {
  complain(null);
  feed.restart({ anew: true });
  leave();
  signIn.confirm();
}

function start() {
  healthReading.due();
  session.show();
  get("api/ringcentral/config").then((answer) => {
    Object.assign(config, answer);
    simulator.offer(answer.simulator);
    show();
  }, () => {});
  route();
  // Also where nobody looks yet: the title says how many ring.
  loadActive();
  recentReading.due();
}

feed.addEventListener("change", follow);
feed.addEventListener("fresh", () => {
  // Somebody signed in elsewhere.
  if (signIn.asks) return start();
  activeReading.due(SPREAD_MS);
  recentReading.due(SPREAD_MS);
});
feed.addEventListener("anew", () => {
  if (feed.status.state === "denied") return;
  forget();
  start();
});
document.addEventListener("visibilitychange", () => {
  for (const reading of [activeReading, recentReading, healthReading]) reading.look();
});
addEventListener("hashchange", route);
setInterval(() => {
  active.tick();
  light();
}, 1_000);
setInterval(() => {
  recent.tick();
  healthReading.due();
}, HEALTH_MS);
start();
