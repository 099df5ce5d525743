import assert from "node:assert/strict";
import { test } from "node:test";
import { matchesShortcut } from "../../static/widget/shortcut.js";

const pressed = (details) => ({ key: "", code: "", altKey: false, shiftKey: false, ctrlKey: false, metaKey: false, ...details });

test("a shortcut matches by its letter or the place of its key, with exactly its modifiers", () => {
  const alt = { altKey: true, shiftKey: true };
  assert.ok(matchesShortcut("Alt+Shift+C", pressed({ key: "C", ...alt })));
  assert.ok(matchesShortcut("Alt+Shift+C", pressed({ key: "Ç", code: "KeyC", ...alt })));
  assert.ok(!matchesShortcut("Alt+Shift+C", pressed({ key: "c", altKey: true })));
  assert.ok(!matchesShortcut("Alt+Shift+C", pressed({ key: "C", ctrlKey: true, ...alt })));
  assert.ok(!matchesShortcut("", pressed({ key: "C", ...alt })));
});
