/**
 * The dashboard's page: its views by address, on the feed of the popup in the corner.
 *
 * @import { View } from "./router.js"
 */
import { CallFeed } from "../feed/call-feed.js";
import { find } from "../lib/dom.js";
import { Service } from "../lib/service.js";
import { CallPopup } from "../widget/call-popup.js";
import { Dashboard } from "./dashboard.js";
import { keepBelow } from "./keep-below.js";
import { HistoryView } from "./views/history.js";
import { LiveView } from "./views/live.js";

/** @type {Record<string, () => View>} */
const VIEWS = { live: () => new LiveView(), history: () => new HistoryView() };

const routes = Object.entries(VIEWS).map(([name, create]) => {
  const root = find(document, `#${name}`, HTMLElement);
  const link = find(document, `nav a[href="#${name}"]`, HTMLElement);
  return [name, { root, link, create }];
});
const popup = find(document, "call-popup", CallPopup);
keepBelow(find(document, "header", HTMLElement), popup);
const { feed } = popup;
if (!(feed instanceof CallFeed)) throw new Error("the dashboard's popup has a feed of its own");
new Dashboard(document, Object.fromEntries(routes), feed, new Service()).start();
