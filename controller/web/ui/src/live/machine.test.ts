import { describe, expect, it } from "vitest";
import { INITIAL, retryDelay, STALE_MS, step, type LiveEvent } from "./machine";

function after(...events: [number, LiveEvent["type"]][]) {
  return events.reduce((state, [now, type]) => step(state, { type }, now), INITIAL);
}

describe("the banner never pretends", () => {
  it("is live only while something is heard", () => {
    expect(after([0, "connect"]).connection).toBe("connecting");
    expect(after([0, "heard"], [STALE_MS, "tick"]).connection).toBe("live");
    expect(after([0, "heard"], [STALE_MS + 1, "tick"]).connection).toBe("stale");
  });

  it("stays offline while trying", () => {
    const state = after([0, "heard"], [1, "failed"], [2, "connect"], [3, "tick"]);
    expect(state).toEqual({ connection: "offline", heard: 0, tries: 1 });
    expect(step(state, { type: "heard" }, 4)).toEqual({ connection: "live", heard: 4, tries: 0 });
  });

  it("says so when there is no stream", () => {
    expect(after([0, "connect"], [1, "absent"], [99_999, "tick"]).connection).toBe("polling");
    expect(after([0, "absent"], [1, "failed"]).connection).toBe("offline");
  });
});

it("tries again soon, then ever later, never beyond some seconds", () => {
  expect(retryDelay(0, 0.5)).toBe(500);
  expect(retryDelay(3, 0.5)).toBe(4_000);
  expect(retryDelay(50, 1)).toBeLessThanOrEqual(15_000 * 1.25);
});
