import { expect, it } from "vitest";
import { Gate } from "./gate";

const loud = () => new Float32Array(960).fill(0.5);

it("lets through untouched what an open microphone hears", () => {
  const frame = loud();
  expect(new Gate().pass(frame)).toBe(frame);
});

it("sends silence while it is shut, and fades over one frame", () => {
  const gate = new Gate();
  gate.open = false;
  const shutting = gate.pass(loud());
  expect([shutting[0], shutting.at(-1)! < 0.001]).toEqual([0.5, true]);
  expect(gate.pass(loud()).every((sample) => sample === 0)).toBe(true);
  gate.open = true;
  const opening = gate.pass(loud());
  expect([opening[0], opening.at(-1)! > 0.499]).toEqual([0, true]);
});

it("is shut from the first sample when it never was open", () => {
  const gate = new Gate();
  gate.shut();
  expect(gate.pass(loud()).every((sample) => sample === 0)).toBe(true);
});
