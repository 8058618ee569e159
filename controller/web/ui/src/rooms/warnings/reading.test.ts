import { describe, expect, it } from "vitest";
import type { shapes } from "../../api";
import { mayAccept, readingOf, said } from "./reading";

const area = { desc: "Tà Rụt", polygons: ["16.4,107 16.4,107.1 16.5,107.1 16.4,107"], circles: ["16.4,107 3"] };

describe("a reading", () => {
  it("gives words and figures, each figure once", () => {
    const { infos, figures } = readingOf({
      infos: [
        { language: "vi", event: "Lũ", headline: "Lũ lớn", areas: [area] },
        { language: "en", event: "Flood", headline: null, areas: [area] },
      ],
    });
    expect(infos.map((each) => [each.language, each.headline, each.areas])).toEqual([
      ["vi", "Lũ lớn", ["Tà Rụt"]],
      ["en", "", ["Tà Rụt"]],
    ]);
    expect(figures.map((each) => each.kind)).toEqual(["polygon", "circle"]);
  });

  it.each([{}, { infos: null }, { infos: ["x", { areas: 3 }] }])("%o breaks nothing", (reading) => {
    expect(readingOf(reading).figures).toEqual([]);
  });
});

it("what may sound is real, intact and undecided", () => {
  const warning = (more: object) =>
    ({ state: "shown", status: "Actual", signature: "none", proposal: {}, ...more }) as shapes.WarningView;
  expect(mayAccept(warning({}))).toBe(true);
  for (const more of [{ status: "Test" }, { signature: "invalid" }, { state: "declined" }, { proposal: null }])
    expect(mayAccept(warning(more))).toBe(false);
});

it("unknown words stay as they came", () => {
  expect([said({ a: "A" }, "a"), said({ a: "A" }, "b")]).toEqual(["A", "b"]);
});
