/**
 * One card of the popup: the DOM of a call, and the countdown that lets it go.
 *
 * A card knows nothing of its siblings or the server. It shows what `cardOf` says, waits while a person uses it, and calls
 * back: `onView(event, call, customer)`, `onDismiss(byKeyboard)`, `onGone()` when its time is over.
 */
import { cardOf, customerUrl, formatDuration } from "../model/call.js";

const CROSS = "M4 4l8 8M12 4l-8 8";

/** A timer that can wait. Real time, not ticks: a background tab that is throttled ends on time all the same. */
class Countdown {
  #left;
  #since = null;
  #timer;
  #then;

  constructor(ms, then) {
    this.#left = ms;
    this.#then = then;
  }

  run(running) {
    if (running === (this.#since !== null)) return;
    if (running) {
      this.#since = Date.now();
      this.#timer = setTimeout(this.#then, this.#left);
    } else {
      clearTimeout(this.#timer);
      this.#left = Math.max(0, this.#left - (Date.now() - this.#since));
      this.#since = null;
    }
  }

  stop() {
    clearTimeout(this.#timer);
  }
}

export class CallCard {
  call = null;
  element = make("article", "card");
  #parts;
  #options;
  #countdown = null;
  #stays;
  #hovered = false;
  #focused = false;
  #shown = true;

  /** `options`: `lifeMs` (0 = until dismissed), `extensions`, `urlTemplate`, `onView`, `onDismiss`, `onGone`. */
  constructor(call, options) {
    this.#options = options;
    this.#build();
    this.#listen();
    this.update(call);
  }

  /** Somebody points at it or has the focus in it: it must not change its place or go. */
  get inUse() {
    return this.#hovered || this.#focused;
  }

  set shown(shown) {
    this.element.hidden = !shown;
    this.#shown = shown;
    this.#wait();
  }

  /** Shows the newest state of the call. The countdown starts over only when its kind changes. */
  update(call) {
    this.call = call;
    const { extensions, urlTemplate } = this.#options;
    const view = cardOf(call, extensions());
    const { pill, avatar, name, number, detail, view: link, close } = this.#parts;
    const { element } = this;
    element.dataset.tone = view.tone;
    element.dataset.call = call.id;
    element.classList.toggle("unknown", !view.customer);
    element.setAttribute("aria-label", `${view.state}: ${view.title}`);
    fill(pill, view.state, view.line);
    avatar.textContent = view.initials;
    fillOne(name, view.title, view.titleIsNumber);
    fillOne(number, view.subtitle, view.subtitleIsNumber);
    fillOne(detail, view.detail, false);
    close.setAttribute("aria-label", `Dismiss call from ${view.title}`);
    const url = customerUrl(urlTemplate(), view.customer, document.baseURI);
    link.hidden = !url;
    if (url) link.href = url;
    else link.removeAttribute("href");
    this.customer = view.customer;
    this.since = Date.parse(view.since);
    this.#schedule(view);
  }

  /** Advances the live timer to `now`, the server's clock. It stands still once the call is over. */
  tick(now) {
    const end = this.call.ended_at ? Date.parse(this.call.ended_at) : now;
    this.#parts.timer.textContent = formatDuration(end - this.since);
  }

  /** Fades out while the others close up, and is removed; cannot be used meanwhile. */
  leave() {
    const { element } = this;
    this.#countdown?.stop();
    element.inert = true;
    element.style.setProperty("--_height", `${element.offsetHeight}px`);
    element.classList.add("leaving");
    setTimeout(() => element.remove(), 160);
  }

  #schedule({ stays, mine }) {
    const kind = stays ?? (mine ? "mine" : "auto");
    if (kind === this.#stays) return;
    this.#stays = kind;
    this.#countdown?.stop();
    const ms = stays ?? (mine ? 0 : this.#options.lifeMs);
    const never = stays === null && ms === 0;
    this.#countdown = never ? null : new Countdown(ms, () => this.#options.onGone(this, kind === "auto"));
    this.element.classList.toggle("still", never || stays !== null);
    this.element.style.setProperty("--_life", `${ms}ms`);
    this.#wait();
  }

  #wait() {
    const waits = this.inUse || !this.#shown;
    this.#countdown?.run(!waits);
    this.element.classList.toggle("waits", waits);
  }

  #listen() {
    const { element } = this;
    const use = (change) => () => {
      change();
      this.#wait();
    };
    // The card's listeners live and die with its own element, so they need no signal.
    // Moved, not entered: a card that slides under a resting pointer is not in use.
    element.addEventListener("pointermove", use(() => (this.#hovered = true)));
    element.addEventListener("pointerleave", use(() => (this.#hovered = false)));
    element.addEventListener("focusin", use(() => (this.#focused = true)));
    element.addEventListener("focusout", use(() => (this.#focused = false)));
    for (const button of [this.#parts.close, this.#parts.dismiss]) {
      // A click with the mouse leaves the focus where the person types.
      button.addEventListener("mousedown", (event) => event.preventDefault());
      button.addEventListener("click", () => this.#options.onDismiss(this));
    }
    this.#parts.view.addEventListener("click", (event) => this.#options.onView(event, this));
  }

  #build() {
    const parts = {};
    const part = (tag, name, ...children) => (parts[name] = make(tag, name, ...children));
    const { element } = this;
    element.setAttribute("role", "group");
    element.tabIndex = -1;
    part("span", "pill");
    part("button", "close", cross()).type = "button";
    part("span", "avatar").setAttribute("aria-hidden", "true");
    part("p", "name").classList.add("cut");
    part("p", "number").classList.add("cut");
    part("span", "detail").classList.add("cut");
    part("span", "timer");
    part("a", "view").textContent = "View customer";
    part("button", "dismiss").type = "button";
    parts.dismiss.textContent = "Dismiss";
    element.append(
      make("div", "bar"),
      make("div", "top", parts.pill, parts.close),
      make("div", "caller", parts.avatar, make("div", "who", parts.name, parts.number)),
      make("div", "facts", parts.detail, parts.timer),
      make("div", "actions", parts.view, parts.dismiss),
    );
    this.#parts = parts;
  }
}

function make(tag, name, ...children) {
  const element = document.createElement(tag);
  element.className = name;
  element.setAttribute("part", name);
  element.append(...children);
  return element;
}

function cross() {
  const namespace = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(namespace, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(namespace, "path");
  path.setAttribute("d", CROSS);
  svg.append(path);
  return svg;
}

/** Each value in a `<bdi>` of its own: a Hebrew name or an English number does not turn the words beside it around. */
function bdi(text, isNumber) {
  const element = document.createElement("bdi");
  if (isNumber) element.dir = "ltr";
  element.textContent = text;
  return element;
}

function fillOne(element, text, isNumber) {
  element.hidden = !text;
  element.title = text ?? "";
  element.replaceChildren(...(text ? [bdi(text, isNumber)] : []));
}

function fill(pill, state, line) {
  const words = make("span", "cut", bdi(state, false), ...(line ? [" · ", bdi(line, false)] : []));
  words.removeAttribute("part");
  pill.title = [state, line].filter(Boolean).join(" · ");
  pill.replaceChildren(words);
}
