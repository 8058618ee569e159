import { expect, it } from "vitest";
import type { shapes } from "../../api";
import { failures, outcome, phase } from "./phase";

const result = (more: Partial<shapes.ResultView>) =>
  ({
    passed: false,
    missing: false,
    code: "",
    checks: [],
    finished_at: null,
    tested_at: null,
    ...more,
  }) as shapes.ResultView;

it("a box passed, failed, is silent, or has time left", () => {
  const check = { name: "stock", ok: false, detail: "" };
  expect(
    [
      result({ passed: true }),
      result({ code: "quiet_hours" }),
      result({ tested_at: "2026-01-01T00:00:00Z", checks: [check] }),
      result({ missing: true }),
      result({}),
    ].map(outcome),
  ).toEqual(["good", "bad", "bad", "silentBox", "waiting"]);
  expect(failures(result({ code: "muted", checks: [check, { ...check, name: "clock", ok: true }] }))).toContain(
    "muted",
  );
  const counters = { name: "counters", ok: false, detail: "" };
  expect(failures(result({ code: "counters", checks: [counters] }))).toBe("bộ đếm lệnh"); // once, and in words
});

it("a drill runs until it is stopped, over, or answered by every box", () => {
  const drill = (more: object) =>
    phase({ kind: "drill", cancelled_at: null, over: false, boxes: 2, tested: 0, finished: 0, ...more });
  expect(drill({})).toBe("running");
  expect(drill({ over: true })).toBe("over");
  expect(drill({ cancelled_at: "2026-01-01T00:00:00Z", over: true })).toBe("cancelled");
  expect(drill({ finished: 2 })).toBe("over");
  expect(drill({ kind: "silent", tested: 1 })).toBe("running");
  expect(drill({ kind: "silent", tested: 2 })).toBe("over");
});
