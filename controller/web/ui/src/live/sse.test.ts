import { expect, it } from "vitest";
import { SseParser } from "./sse";

it("puts messages together however the bytes are cut", () => {
  const text = ': beat\n\nevent: change\nid: 7\ndata: {"topic":"agent",\ndata: "ids":[]}\n\ndata:x\n\n';
  for (let cut = 1; cut < text.length; cut += 1) {
    const parser = new SseParser();
    expect([...parser.push(text.slice(0, cut)), ...parser.push(text.slice(cut))]).toEqual([
      null,
      { event: "change", data: '{"topic":"agent",\n"ids":[]}', id: "7" },
      { event: "message", data: "x", id: "7" },
    ]);
  }
});

it("a heartbeat moves the place to go on from", () => {
  const parser = new SseParser();
  expect(parser.push(": \nid: r.9\n\n")).toEqual([null]);
  expect(parser.lastId).toBe("r.9");
});
