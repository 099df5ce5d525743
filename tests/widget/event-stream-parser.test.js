/** Server-Sent Events from bytes, as the HTML standard says an EventSource reads them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { EventStreamParser } from "../../static/feed/event-stream-parser.js";

const bytes = (text) => new TextEncoder().encode(text);

/** What comes of a stream that arrives in these chunks. */
function read(chunks, lastEventId) {
  const events = [];
  const retries = [];
  const parser = new EventStreamParser({ event: ({ type, data, lastEventId }) => events.push([type, data, lastEventId]), retry: (ms) => retries.push(ms) }, lastEventId);
  for (const chunk of chunks) parser.push(typeof chunk === "string" ? bytes(chunk) : chunk);
  return { events, retries };
}

const STREAM = "\uFEFFretry: 1500\n\nid: e-1\nevent: call\ndata: {\"name\":\"Zoë 📞\"}\n\n: a comment\n\ndata:one\ndata\ndata: two\n\nid\nevent: heartbeat\ndata: {}\n\n";
const EXPECTED = [["call", "{\"name\":\"Zoë 📞\"}", "e-1"], ["message", "one\n\ntwo", "e-1"], ["heartbeat", "{}", ""]];

test("a stream is read the same wherever its chunks are cut and however its lines end", () => {
  for (const end of ["\n", "\r\n", "\r"]) {
    const all = bytes(STREAM.replaceAll("\n", end));
    for (let cut = 0; cut <= all.length; cut += 1) {
      assert.deepEqual(read([all.slice(0, cut), all.slice(cut)]), { events: EXPECTED, retries: [1500] }, `${JSON.stringify(end)}, cut at ${cut}`);
    }
    assert.deepEqual(read([...all].map((byte) => Uint8Array.of(byte))).events, EXPECTED, `${JSON.stringify(end)}, byte by byte`);
  }
});

test("an event is there with its blank line, also when that is a CR whose LF has yet to come", () => {
  assert.deepEqual(read(["data: 1\r\n\r"]).events, [["message", "1", ""]]);
  assert.deepEqual(read(["data: 1\r\n\r", "\ndata: 2\r\n\r\n"]).events, [["message", "1", ""], ["message", "2", ""]]);
  assert.deepEqual(read(["data: 1\n", ""]).events, []);
});

test("a stream that ends within an event loses that event only", () => {
  assert.deepEqual(read(["data: 1\n\ndata: 2\n"]).events, [["message", "1", ""]]);
});

test("a block without data is no event, and its name is forgotten", () => {
  assert.deepEqual(read(["event: call\n\ndata: 1\n\n"]).events, [["message", "1", ""]]);
  assert.deepEqual(read(["id: 7\n\ndata: 1\n\n"]).events, [["message", "1", "7"]], "its id is not");
});

test("data that is empty is data, one space is dropped, colons are kept", () => {
  assert.deepEqual(read(["data\n\n", "data:  a: b:c \n\n"]).events, [["message", "", ""], ["message", " a: b:c ", ""]]);
});

test("the id is that of the stream before until another comes; one with a NUL is none", () => {
  assert.deepEqual(read(["data: 1\n\nid: a\0b\ndata: 2\n\nid: 9\ndata: 3\n\n"], "8").events.map(([, , id]) => id), ["8", "8", "9"]);
});

test("retry is a number of digits, and unknown fields mean nothing", () => {
  assert.deepEqual(read(["retry: 20\nretry: 2s\nretry: -1\nretry:\nretry: 30\nRetry: 40\nother: x\n\n"]), { events: [], retries: [20, 30] });
});
