/**
 * How `<call-popup>` looks. One constructable sheet for all its instances, so a Content-Security-Policy without
 * 'unsafe-inline' holds.
 *
 * A host page brings its own colours with custom properties on the element (or any ancestor):
 * `--call-popup-surface`, `-line`, `-ink`, `-secondary`, `-tertiary`, `-accent`, `-on-accent`, `-ringing`, `-connected`,
 * `-hold`, `-missed`, `-width`, `-radius`, `-shadow`, `-font`; and reaches any part with
 * `::part(stack|card|bar|pill|close|avatar|name|number|detail|timer|view|dismiss|more|minimize|recent|status)`.
 *
 * Light or dark follows the `color-scheme` of the host page, so a page that is only light keeps light cards.
 *
 * The element itself carries `!important`, which in a shadow tree outranks the page: resets such as `* { all: initial }` must not
 * bring it into the flow. Everything that is seen is in `.layer`, to which no style of the page is inherited.
 */

/**
 * Every colour of the front end, light and dark. The pages read them from tokens.css, which is derived from this table:
 * `UPDATE=1 node --test tests/widget/tokens.test.js` writes it, and without UPDATE the test compares. The widget carries them
 * itself, because it has no style sheet of its own on a page of another site.
 */
export const COLOURS = {
  page: ["#f6f7f9", "#0c111d"],
  surface: ["#ffffff", "#161b26"],
  line: ["#e4e7ec", "#2a3140"],
  ink: ["#101828", "#f2f4f7"],
  secondary: ["#475467", "#b8c0cc"],
  tertiary: ["#667085", "#98a2b3"],
  accent: ["#1d4ed8", "#528bff"],
  "on-accent": ["#ffffff", "#0c111d"],
  ringing: ["#2563eb", "#84adff"],
  connected: ["#067647", "#75e0a7"],
  hold: ["#b54708", "#fec84b"],
  missed: ["#b42318", "#fda29b"],
  field: ["#98a2b3", "#667085"],
  selected: ["#f2f4f7", "#1f2633"],
};

/** @param {keyof typeof COLOURS} name */
const colour = (name) => `var(--call-popup-${name}, light-dark(${COLOURS[name].join(", ")}))`;

/** What a page may set on the element or around it. */
export const CUSTOM_PROPERTIES = [
  ...["surface", "line", "ink", "secondary", "tertiary", "accent", "on-accent", "ringing", "connected", "hold", "missed"],
  ...["width", "radius", "shadow", "font"],
].map((name) => `--call-popup-${name}`);

const css = `
:host {
  position: fixed !important;
  inset: 0 0 auto auto !important;
  z-index: 2147483647 !important;
  inline-size: 0 !important;
  block-size: 0 !important;
  margin: 0 !important;
  padding: 0 !important;
  border: 0 !important;
  overflow: visible !important;
  transform: none !important;
  float: none !important;
  display: block;
}
:host([hidden]) { display: none !important; }
@media print { :host { display: none !important; } }

.layer {
  all: initial;
  display: none;
  visibility: inherit;
  color-scheme: inherit;
  direction: inherit;
  --_surface: ${colour("surface")};
  --_line: ${colour("line")};
  --_ink: ${colour("ink")};
  --_secondary: ${colour("secondary")};
  --_tertiary: ${colour("tertiary")};
  --_accent: ${colour("accent")};
  --_on-accent: ${colour("on-accent")};
  --_ringing: ${colour("ringing")};
  --_connected: ${colour("connected")};
  --_hold: ${colour("hold")};
  --_missed: ${colour("missed")};
  --_neutral: var(--_tertiary);
  --_radius: var(--call-popup-radius, 14px);
  --_shadow: var(--call-popup-shadow, 0 1px 2px light-dark(#1018280d, #0006), 0 12px 28px -8px light-dark(#10182833, #000c));
  position: fixed;
  inset: 0 0 auto auto;
  z-index: 2147483647;
  inline-size: calc(var(--call-popup-width, 336px) + 48px);
  max-inline-size: 100%;
  container-type: inline-size;
  pointer-events: none;
}
.layer.open { display: block; }
.layer[data-theme="light"] { color-scheme: light; }
.layer[data-theme="dark"] { color-scheme: dark; }
.layer[data-theme="system"] { color-scheme: light dark; }
.layer[data-position$="left"] { right: auto; left: 0; }
.layer[data-position^="bottom"] { top: auto; bottom: 0; }

.stack {
  box-sizing: border-box;
  isolation: isolate;
  display: flex;
  flex-direction: column;
  max-block-size: 100vh;
  max-block-size: 100dvh;
  padding-block-start: var(--_offset);
  color: var(--_ink);
  font: 400 14px/20px var(--call-popup-font, system-ui, sans-serif);
  font-variant-numeric: tabular-nums;
  text-align: start;
  cursor: default;
}
.layer[data-position^="bottom"] .stack { padding-block: 0 var(--_offset); }
.cards, .list {
  display: flex;
  flex: 0 1 auto;
  flex-direction: column;
  gap: 12px;
  min-block-size: 0;
  padding: 0 24px 12px;
  overflow: hidden auto;
  overscroll-behavior: contain;
  scrollbar-width: none;
  mask-image: linear-gradient(to top, transparent, #000 12px);
}
/* Room for the shadow, which a scroll container clips. */
.cards:not(:empty), .list { margin-block-start: -12px; padding-block-start: 12px; }
.list { padding-block-end: 28px; }
.list[hidden] { display: none; }
.cards:empty { display: none; }

.card {
  position: relative;
  flex: none;
  box-sizing: border-box;
  padding: 19px 15px 16px;
  overflow: hidden;
  background: var(--_surface);
  border: 1px solid var(--_line);
  border-radius: var(--_radius);
  box-shadow: var(--_shadow);
  pointer-events: auto;
  transition: opacity 160ms ease-in, margin 160ms ease-in-out;
}
.card.arriving { animation: arrive 160ms ease-out; }
.card[hidden] { display: none; }
.card.leaving { z-index: -1; margin-block-end: calc(-12px - var(--_height)); opacity: 0; pointer-events: none; }
@keyframes arrive { from { opacity: 0; transform: translateY(-8px); } }

.card { --_tone: var(--_neutral); }
.card[data-tone="ringing"] { --_tone: var(--_ringing); }
.card[data-tone="connected"] { --_tone: var(--_connected); }
.card[data-tone="hold"] { --_tone: var(--_hold); }
.card[data-tone="missed"] { --_tone: var(--_missed); }

.bar { position: absolute; inset: 0 0 auto; block-size: 3px; background: color-mix(in srgb, var(--_tone) 10%, transparent); }
.bar::before {
  content: "";
  display: block;
  block-size: 100%;
  background: var(--_accent);
  transform-origin: left;
  animation: run-out var(--_life, 30s) linear forwards;
}
.bar:dir(rtl)::before { transform-origin: right; }
.card.waits .bar::before { animation-play-state: paused; }
.card.still .bar { display: none; }
@keyframes run-out { to { transform: scaleX(0); } }

p { margin: 0; }
.top, .caller, .facts, .actions { display: flex; align-items: center; }
.top { justify-content: space-between; gap: 8px; }
.pill {
  display: flex;
  align-items: center;
  gap: 6px;
  min-inline-size: 0;
  padding: 2px 8px;
  border-radius: 999px;
  color: var(--_tone);
  background: light-dark(oklch(from var(--_tone) 0.97 calc(c * 0.07) h), oklch(from var(--_tone) 0.27 calc(c * 0.45) h));
  font-size: 12px;
  line-height: 18px;
}
.pill::before { content: ""; flex: none; inline-size: 6px; block-size: 6px; border-radius: 50%; background: currentColor; }
.cut { min-inline-size: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }

.close {
  flex: none;
  display: grid;
  place-items: center;
  inline-size: 28px;
  block-size: 28px;
  margin: -4px;
  margin-inline-end: -1px;
  padding: 0;
  border: 0;
  border-radius: 8px;
  color: var(--_secondary);
  background: none;
}
.close svg { inline-size: 16px; block-size: 16px; fill: none; stroke: currentColor; stroke-width: 1.5; stroke-linecap: round; }

.caller { gap: 12px; margin-block: 13px 12px; min-block-size: 44px; }
.avatar {
  flex: none;
  display: grid;
  place-items: center;
  inline-size: 44px;
  block-size: 44px;
  border-radius: 50%;
  color: var(--_accent);
  background: light-dark(oklch(from var(--_accent) 0.97 calc(c * 0.06) h), oklch(from var(--_accent) 0.27 calc(c * 0.35) h));
  font-size: 14px;
  font-weight: 600;
}
.unknown .avatar { color: var(--_secondary); background: color-mix(in srgb, var(--_tertiary) 10%, var(--_surface)); }
.who { flex: 1; min-inline-size: 0; }
.name { font-size: 17px; line-height: 24px; font-weight: 600; }
.number { color: var(--_secondary); }
.unknown .number { color: var(--_tertiary); }

.facts {
  justify-content: space-between;
  gap: 12px;
  padding-block: 13px 15px;
  border-block-start: 1px solid var(--_line);
  color: var(--_secondary);
  font-size: 13px;
  line-height: 18px;
}
.timer { flex: none; margin-inline-start: auto; color: var(--_ink); }

.actions { gap: 8px; }
.view, .dismiss, .small {
  box-sizing: border-box;
  padding: 7px 11px;
  border: 1px solid var(--_line);
  border-radius: 8px;
  color: var(--_ink);
  background: var(--_surface);
  font: inherit;
  text-align: center;
  text-decoration: none;
}
.view { flex: 1; border-color: transparent; color: var(--_on-accent); background: var(--_accent); }
.view[hidden] { display: none; }
.view[hidden] + .dismiss { flex: 1; }

.card.compact { padding: 10px 15px 12px; }
.compact.still { padding-block-start: 10px; }
.compact :is(.avatar, .detail, .dismiss) { display: none; }
.compact .caller { gap: 8px; min-block-size: 0; margin-block: 6px 0; }
.compact .name { font-size: 14px; line-height: 20px; }
.compact .number { font-size: 13px; line-height: 18px; }
.compact .pill { margin-inline-end: 52px; }
.compact.keeps .pill { margin-inline-end: 68px; }
.compact .facts { position: absolute; inset-block-start: 12px; inset-inline-end: 52px; padding: 0; border: 0; line-height: 22px; }
.compact .actions { position: absolute; inset-block-end: 12px; inset-inline-end: 15px; }
.compact .view { padding: 5px 9px; font-size: 13px; line-height: 18px; }
.compact .view:not([hidden]) { flex: none; }
.compact:has(.view:not([hidden])) .who { margin-inline-end: 116px; }

.footer { display: flex; flex: none; flex-wrap: wrap; justify-content: center; gap: 8px; padding: 0 24px 16px; }
.footer:not(:has(> :not([hidden]))) { display: none; }
.small { display: flex; align-items: center; gap: 6px; padding: 4px 12px; border-radius: 999px; font-size: 12px; line-height: 18px; box-shadow: var(--_shadow); pointer-events: auto; }
.small[hidden] { display: none; }
.folded { --_tone: var(--_neutral); margin-left: auto; }
.layer[data-position$="left"] .folded { order: -1; margin: 0 auto 0 0; }
.folded[data-tone="ringing"] { --_tone: var(--_ringing); }
.folded::before { content: ""; flex: none; inline-size: 6px; block-size: 6px; border-radius: 50%; background: var(--_tone); }
.minimize.few { display: none; }

.notice {
  display: flex;
  flex: none;
  align-items: start;
  gap: 8px;
  max-inline-size: calc(100% - 72px);
  margin: 0 24px 28px auto;
  padding: 7px 11px;
  border: 1px solid var(--_line);
  border-radius: var(--_radius);
  color: var(--_secondary);
  background: var(--_surface);
  font-size: 12px;
  line-height: 18px;
  box-shadow: var(--_shadow);
  pointer-events: auto;
}
.notice[hidden] { display: none; }
.layer[data-position$="left"] .notice { margin: 0 auto 28px 24px; }
.notice p { min-inline-size: 0; overflow-wrap: anywhere; }
.notice strong { display: block; color: var(--_hold); font-weight: 600; }
.notice .close { margin: -5px -7px 0 0; }
button, a { cursor: pointer; -webkit-tap-highlight-color: transparent; }
.close:hover, .dismiss:hover, .small:hover { background: color-mix(in srgb, var(--_ink) 6%, var(--_surface)); }
.view:hover { background: color-mix(in srgb, var(--_accent) 88%, var(--_ink)); }
:focus-visible { outline: 2px solid var(--_accent); outline-offset: 2px; }
.close:focus-visible { outline-offset: -2px; }

.announcer { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

@container (max-width: 383px) {
  .cards, .list, .footer { padding-inline: 16px; }
  .notice { max-inline-size: calc(100% - 56px); margin-right: 16px; }
  .minimize.few:not([hidden]) { display: flex; }
}
@media (prefers-reduced-motion: reduce) {
  .card.arriving { animation-name: appear; } .card { transition-property: opacity; }
  .bar::before { animation-timing-function: steps(10, end); }
}
@keyframes appear { from { opacity: 0; } }
`;

/** @type {CSSStyleSheet | undefined} */
let sheet;

/** Made when the first popup is: where there is no DOM, there is no CSSStyleSheet either. */
export function styleSheet() {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
  }
  return sheet;
}
