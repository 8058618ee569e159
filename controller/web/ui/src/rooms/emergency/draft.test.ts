import { describe, expect, it } from "vitest";
import { NOWHERE } from "../../design/targets";
import { emptyDraft, missing, shapeOf, type Draft } from "./draft";

const now = new Date("2026-11-30T09:00:00Z");
const draft = (more: Partial<Draft>): Draft => ({ ...emptyDraft(), ...more });
const there = { choice: { ...NOWHERE, areas: ["a"] } };

describe("a draft", () => {
  it.each<[Partial<Draft>, string | null]>([
    [{}, "what"],
    [{ template: "tp_1" }, "where"],
    [{ template: "tp_1", ...there }, null],
    [{ template: "tp_1", figures: [{ kind: "circle", centre: [16, 107], km: 2 }] }, null],
    [{ kind: "text", ...there }, "title"],
    [{ kind: "text", title: "Vỡ đập", ...there }, "what"],
    [{ kind: "text", title: "Vỡ đập", words: [{ language: "vi", text: "Chạy" }], ...there }, null],
    [{ kind: "voice", title: "Vỡ đập", ...there }, null],
  ])("%o lacks %s", (more, lack) => {
    expect(missing(draft(more))).toBe(lack);
  });

  it("of a template says nothing of its own", () => {
    const shape = shapeOf(draft({ template: "tp_1", title: "x", ...there }), now);
    expect(shape).toMatchObject({ kind: "template", template: "tp_1", title: "", words: [], repetition: null });
    expect(shape).toMatchObject({ everywhere: false, areas: ["a"], clusters: [], polygons: [], circles: [] });
  });

  it("of words leaves out what was not written, and fixes its end", () => {
    const shape = shapeOf(
      draft({
        kind: "text",
        title: " Vỡ đập ",
        words: [
          { language: "vi", text: " Chạy ngay. " },
          { language: "bru", text: "  " },
        ],
        repetition: { times: 2, gapS: 5, cadence: "h2", until: "h6" },
        ...there,
      }),
      now,
    );
    expect(shape.title).toBe("Vỡ đập");
    expect(shape.words).toEqual([{ language: "vi", text: "Chạy ngay." }]);
    expect(shape.repetition).toEqual({ times: 2, gap_s: 5, every_s: 7200, until: "2026-11-30T15:00:00.000Z" });
  });
});
