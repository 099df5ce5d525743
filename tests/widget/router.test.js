/** The dashboard's views: which one an address shows, and that each viewer gets views of their own. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Router, routeOf } from "../../static/dashboard/router.js";

let seen;
let roots;
let links;
let router;
beforeEach(() => {
  seen = [];
  roots = { live: { hidden: false }, history: { hidden: true } };
  links = { live: new Link(), history: new Link() };
  const route = (name) => ({ root: roots[name], link: links[name], create: () => new View(name) });
  router = new Router({ live: route("live"), history: route("history") });
});

class Link {
  current = null;
  setAttribute(name, value) {
    assert.equal(name, "aria-current");
    this.current = value;
  }
  removeAttribute() {
    this.current = null;
  }
}

class View {
  constructor(name) {
    this.name = name;
  }
  mount(root, { signal, viewer }) {
    this.signal = signal;
    seen.push(`${this.name} mounted for ${viewer}${root.hidden ? ", hidden" : ""}`);
  }
  show() {
    seen.push(`${this.name} shown`);
  }
  unmount() {
    seen.push(`${this.name} unmounted${this.signal.aborted ? "" : ", and still running"}`);
  }
}

const since = () => seen.splice(0);

test("an address names a view, and any other the first", () => {
  const names = ["live", "history"];
  assert.deepEqual(["", "#", "#live", "#history", "#nothing", "#constructor", "history"].map((hash) => routeOf(hash, names)),
    ["live", "live", "live", "history", "live", "live", "history"]);
});

test("views are mounted once, and shown each time", () => {
  router.mount("", { viewer: "dana" });
  router.show("");
  assert.deepEqual(since(), ["live mounted for dana", "history mounted for dana, hidden", "live shown"]);
  router.show("#history");
  router.show("#live");
  assert.deepEqual(since(), ["history shown", "live shown"]);
});

test("only the shown view is visible, and its link is the current page", () => {
  router.mount("#history", { viewer: "dana" });
  assert.deepEqual([roots.live.hidden, roots.history.hidden], [true, false]);
  assert.deepEqual([links.live.current, links.history.current], [null, "page"]);
  assert.deepEqual(since(), ["live mounted for dana, hidden", "history mounted for dana"]);
});

test("another viewer gets other views, and those of the one before have ended", () => {
  router.mount("", { viewer: "dana" });
  since();
  router.mount("", { viewer: "kim" });
  assert.deepEqual(since(), ["live unmounted", "history unmounted", "live mounted for kim", "history mounted for kim, hidden"]);
});

test("without a viewer tabs change, and no view is asked for anything", () => {
  router.mount("", { viewer: "dana" });
  router.unmount();
  since();
  router.show("#history");
  assert.deepEqual([since(), router.isMounted, roots.history.hidden], [[], false, false]);
});
