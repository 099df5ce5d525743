/**
 * Every situation of `<call-popup>` without a server: the events of the stream, made by hand.
 *
 * `demo.html#Known%20caller,Withheld` plays situations at once, by the names of their buttons.
 *
 * @import { Call, CallEvent } from "../model/call.js"
 */
import { el, find } from "../lib/dom.js";
import { callerName, reduce } from "../model/call.js";
import { CallPopup } from "../widget/call-popup.js";

/** @type {Record<string, string>} */
const REASONS = {
  denied: "The token ended 3 minutes ago.",
  blocked: "This page's Content-Security-Policy forbids connections to https://calls.example.com. Add it to connect-src.",
};

/** The smallest feed there is: a list of calls and the rule that changes it. */
class HandFeed extends EventTarget {
  /** @type {Call[]} */
  calls = [];
  status = { state: "live", message: "" };

  now() {
    return Date.now();
  }

  /** @param {string} state  of the line to the service */
  report(state) {
    this.status = { state, message: REASONS[state] ?? "" };
    this.dispatchEvent(new Event("statuschange"));
  }

  /** @param {CallEvent} event */
  send(event) {
    this.calls = reduce(this.calls, event);
    this.dispatchEvent(new Event("change"));
  }

  /** @param {string} id */
  dismiss(id) {
    const call = this.calls.find((other) => other.id === id);
    if (call) this.send({ type: "dismissed", call });
  }
}

/** @typedef {Partial<Call>} Details */

const sarah = {
  from_number: "+14165551234",
  from_display: "(416) 555-1234",
  customer_id: "68e8929ff0f6291c7d863496",
  customer_name: "Sarah Customer",
  customer_email: "sarah@example.com",
  match: "exact",
};
const unknown = { from_number: "+16045550188", from_display: "(604) 555-0188", queue: "Support queue" };
/**
 * @param {string} customer_name
 * @param {Details} more
 */
const named = (customer_name, more = {}) => ({ ...sarah, customer_name, ...more });

/** @type {Record<string, Details[]>} */
const RINGS = {
  "Known caller": [{ ...sarah, queue: "Sales" }],
  "Unknown caller": [unknown],
  "Unknown, with caller ID": [{ ...unknown, from_name: "Calgary, AB" }],
  "Withheld number": [{ queue: "Sales" }],
  "Possible match": [named("Sarah Customer", { match: "possible" })],
  "Shared number": [named("Haddad & Sons", { match: "shared", customers: [{}, {}, {}] })],
  "Customer without email": [named("Priya Natarajan", { customer_email: null })],
  "Number from abroad": [named("Amir Haddad", { from_number: "+442079460958", from_display: "+44 20 7946 0958" })],
  "Very long names": [
    named("Maximiliane-Theodora von und zu Hohenberg-Sigmaringen-Donaudampfschifffahrt", {
      customer_email: "maximiliane-theodora.von.und.zu.hohenberg@donaudampfschifffahrtsgesellschaft.example.com",
      queue: "Customer happiness, second floor, German-speaking, after five o'clock",
    }),
  ],
  "Markup as a name": [named("<img src=x onerror=alert(1)>", { queue: "<b>Sales</b>" })],
  "Arabic name": [named("سارة الأحمد", { queue: "المبيعات" })],
  "Two at once": [{ ...sarah, queue: "Sales" }, { ...unknown, from_name: "Calgary, AB" }],
  "Six at once": [unknown, sarah, named("Priya Natarajan"), {}, named("Amir Haddad"), named("Lee Wong")],
  "Our own call": [{ ...sarah, direction: "Outbound", from_number: "+15879876543", to_number: "+14165551234", to_display: "(416) 555-1234" }],
};

/** @param {string | null} name */
const by = (name) => ({ answered_at: new Date().toISOString(), answered_by: name ? { extension_id: "102", name } : null });
/**
 * @param {Call["result"]} result
 * @returns {Details}
 */
const end = (result) => ({ status: "ended", result, ended_at: new Date().toISOString() });

/** @type {Record<string, "dismiss" | (() => Details)>} */
const CHANGES = {
  "Answered by Dana P.": () => ({ status: "connected", ...by("Dana P.") }),
  "Answered by me": () => ({ status: "connected", ...by("Me"), answered_by: { extension_id: "101", name: "Me" } }),
  "Answered, unknown by whom": () => ({ status: "connected", ...by(null) }),
  "On hold": () => ({ status: "on_hold" }),
  Parked: () => ({ status: "parked" }),
  Voicemail: () => ({ status: "voicemail" }),
  "Customer found": () => sarah,
  "Caller hung up: missed": () => end("missed"),
  "Call ended": () => end("answered"),
  "Back in the queue": () => ({ status: "setup" }),
  "Rings again": () => ({ status: "ringing", answered_by: null, answered_at: null }),
  "Dismissed on another device": "dismiss",
};

/** @type {Record<string, { set: (value: string) => void, [choice: string]: any }>} */
const SETTINGS = {
  Theme: { "The system's": "light dark", Light: "light", Dark: "dark", set: (value) => document.documentElement.style.setProperty("color-scheme", value) },
  Corner: {
    "Top right": "top-right", "Top left": "top-left", "Bottom right": "bottom-right", "Bottom left": "bottom-left",
    set: (value) => (popup.position = value),
  },
  Direction: { "Left to right": "ltr", "Right to left": "rtl", set: (value) => (document.documentElement.dir = value) },
  Screen: { "As it is": "", "320 px wide": "narrow", set: (value) => stage.replaceChildren(value ? narrowScreen() : popup) },
  Colours: { Default: "", "The host page's own": "plum", set: (value) => stage.classList.toggle("plum", Boolean(value)) },
  "Line to the service": {
    Live: "live", "Service away": "reconnecting", "Token refused": "denied", "Blocked by the page": "blocked",
    set: (value) => feed.report(value),
  },
  "Dialog of the page": { None: "", Modal: "modal", set: (value) => (value ? openDialog() : null) },
  "Auto-dismiss": { "30 s": 30, "5 s": 5, Never: 0, set: (value) => (popup.autoDismiss = Number(value)) },
};

const feed = new HandFeed();
const stage = find(document, "#stage", HTMLElement);
const popup = new CallPopup();
popup.feed = feed;
popup.extension = "101";
popup.customerUrl = "#customer-{id}";

/** This page in a frame: the popup is in the top layer, which only a window can make narrow. */
const narrowScreen = () => el("iframe", { className: "narrow", title: "320 px wide", src: location.href });

function openDialog() {
  const dialog = el("dialog", { "aria-label": "A dialog of the page" }, el("p", {}, "The rest of the page is inert, and the cards can be used."));
  dialog.append(el("button", { type: "button", className: "button", onclick: () => dialog.remove() }, "Close"));
  stage.append(dialog);
  dialog.showModal();
}

let count = 0;

/** @param {Details} details */
function ring(details) {
  count += 1;
  const blank = { from_number: null, from_name: null, to_number: "+15879876543", to_display: "(587) 987-6543", direction: "Inbound" };
  /** @type {Call} */
  const call = { id: `demo-${count}`, status: "ringing", timestamp: new Date().toISOString(), answered_by: null, customers: [], rev: 1 };
  feed.send({ type: "call", call: { ...blank, ...call, ...details } });
}

/** @param {"dismiss" | (() => Details)} what */
function change(what) {
  const call = feed.calls.find((other) => !other.dismissed && other.status !== "ended");
  if (!call) return;
  if (what === "dismiss") return feed.dismiss(call.id);
  const changed = { ...call, ...what(), rev: call.rev + 1 };
  feed.send({ type: ["setup", "ended"].includes(changed.status) ? "call_ended" : "call_updated", call: changed });
}

/**
 * @param {string} name
 * @param {() => void} onclick
 */
const button = (name, onclick) => el("button", { type: "button", className: "button", onclick }, name);

/** @param {[string, { set: (value: string) => void, [choice: string]: any }]} entry */
function setting([name, { set, ...choices }]) {
  const options = Object.entries(choices).map(([text, value]) => new Option(text, value));
  const select = el("select", {}, ...options);
  select.addEventListener("change", () => set(select.value));
  return el("label", {}, name, select);
}

/** @param {Event} event */
function log(event) {
  const { call, customer, state, message } = /** @type {CustomEvent} */ (event).detail;
  const words = call ? [callerName(call), `call ${call.id}`, customer && `customer ${customer.id}`] : [state, message];
  const list = find(document, "#events", HTMLElement);
  list.querySelector(".none")?.remove();
  list.prepend(el("li", {}, [event.type, ...words].filter(Boolean).join(" · ")));
}

const ringAll = (/** @type {Details[]} */ calls) => calls.forEach(ring);
const fill = (/** @type {string} */ id, /** @type {Node[]} */ ...children) => find(document, `#${id}`, HTMLElement).replaceChildren(...children);
fill("rings", ...Object.entries(RINGS).map(([name, calls]) => button(name, () => ringAll(calls))));
fill("changes", ...Object.entries(CHANGES).map(([name, what]) => button(name, () => change(what))));
fill("page", ...Object.entries(SETTINGS).map(setting));
document.addEventListener("call-popup:view", (event) => {
  event.preventDefault();
  log(event);
});
document.addEventListener("call-popup:dismiss", log);
document.addEventListener("call-popup:status", log);
stage.append(popup);
const placeBelowHeader = () => (popup.offset = find(document, "header", HTMLElement).offsetHeight + 16);
addEventListener("resize", placeBelowHeader);
placeBelowHeader();

for (const name of decodeURIComponent(location.hash.slice(1)).split(",")) {
  if (RINGS[name]) ringAll(RINGS[name]);
  if (CHANGES[name]) change(CHANGES[name]);
}
