import { expect, it } from "vitest";
import type { shapes } from "../../api";
import { cadenceOf, voiceOf } from "./state";

const recording = (more: object) =>
  ({ state: "ready", sha256: "a", decision: null, ...more }) as unknown as shapes.RecordingView;

it("a recording is approved when somebody said so", () => {
  expect(
    [
      undefined,
      recording({ state: "processing" }),
      recording({ state: "refused" }),
      recording({}),
      recording({ decision: { approved: true } }),
      recording({ decision: { approved: false } }),
    ].map(voiceOf),
  ).toEqual(["processing", "processing", "failed", "ready", "approved", "rejected"]);
});

it.each([
  [null, "none"],
  [7_200, "h2"],
  [3_000, "h1"],
  [80_000, "h6"],
])("%s seconds is %s", (seconds, cadence) => {
  expect(cadenceOf(seconds)).toBe(cadence);
});
