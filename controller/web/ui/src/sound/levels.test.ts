import { expect, it } from "vitest";
import { levelOf, samples16, settled, SILENCE_DB, wavOf } from "./levels";

it("tells how loud a frame is", () => {
  const loud = levelOf(new Float32Array(960).map((_, i) => 0.5 * Math.sin(i / 5)));
  expect(loud.rms).toBeCloseTo(-9, 0);
  expect(loud.peak).toBeCloseTo(-6, 0);
  expect(levelOf(new Float32Array(960))).toEqual({ rms: SILENCE_DB, peak: SILENCE_DB });
});

it("holds samples beyond full scale there", () => {
  expect([...new Int16Array(samples16(new Float32Array([2, -2, 0])))]).toEqual([32767, -32767, 0]);
});

it("writes a WAV file that says what it holds", async () => {
  const file = wavOf([samples16(new Float32Array(960)), samples16(new Float32Array(960))], 48_000);
  const bytes = new DataView(await file.arrayBuffer());
  expect([file.size, bytes.getUint32(40, true), bytes.getUint32(24, true)]).toEqual([44 + 3840, 3840, 48_000]);
});

it("a meter rises at once and falls slowly", () => {
  const loud = { rms: -12, peak: -6 };
  const silent = { rms: SILENCE_DB, peak: SILENCE_DB };
  expect(settled(silent, loud, 0.1)).toEqual(loud);
  expect(settled(loud, silent, 0.5)).toEqual({ rms: -24, peak: -18 });
});
