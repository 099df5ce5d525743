/**
 * The widget's public address; widget/call-popup.js says what it is.
 *
 * The imports name every module of the widget, so that a page of another site has them all after two round trips: a browser
 * asks for what a module imports as soon as it has the module. tests/widget/modules.test.js compares the list with the
 * modules' own imports.
 */
import "./feed/blockade.js";
import "./feed/call-feed.js";
import "./feed/call-poll.js";
import "./feed/call-stream.js";
import "./feed/credential.js";
import "./feed/dismissal.js";
import "./feed/feed-status.js";
import "./feed/page-events.js";
import "./feed/stream-state.js";
import "./feed/tabs.js";
import "./lib/backoff.js";
import "./lib/deadline.js";
import "./lib/dom.js";
import "./lib/format.js";
import "./lib/service.js";
import "./model/call.js";
import "./model/card-view.js";
import "./widget/announcer.js";
import "./widget/attributes.js";
import "./widget/call-card.js";
import "./widget/card-stack.js";
import "./widget/countdown.js";
import "./widget/folded-calls.js";
import "./widget/folded-list.js";
import "./widget/line-monitor.js";
import "./widget/line-notice.js";
import "./widget/line-status.js";
import "./widget/seen-calls.js";
import "./widget/shortcut.js";
import "./widget/style.js";
import "./widget/top-layer.js";

export * from "./widget/call-popup.js";
