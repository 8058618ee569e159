import { expect, it } from "vitest";
import type { shapes } from "../../api";
import { filterOf, findingsOf, passes, queryOf, standingOf } from "./standing";

const recording = (more: Partial<shapes.RecordingView>): shapes.RecordingView => ({
  id: "rc_1",
  area_id: "a",
  title: "Bản tin Tà Rụt",
  language: "vi",
  original_name: "thu-am.mp3",
  state: "ready",
  sha256: "0",
  duration_s: 60,
  bytes: 1,
  report: {},
  progress: null,
  decision: null,
  used_by: [],
  for_alerts: false,
  created_by: "us_1",
  created_by_name: "Hồ Thị Lan",
  created_at: "2026-11-30T00:00:00Z",
  ...more,
});
const decision = (approved: boolean) => ({
  approved,
  by: "Bình",
  by_name: "",
  at: "2026-11-30T00:00:00Z",
  reason: "",
});

it("stands as the desk says", () => {
  expect(standingOf(recording({}))).toBe("waiting");
  expect(standingOf(recording({ decision: decision(true) }))).toBe("approved");
  expect(standingOf(recording({ decision: decision(false) }))).toBe("returned");
  expect(standingOf(recording({ state: "processing", decision: decision(true) }))).toBe("processing");
  expect(standingOf(recording({ state: "refused" }))).toBe("refused");
});

it("is found without diacritics, by title, file and person", () => {
  const all = { words: "", area: "", standing: "", language: "" };
  for (const words of ["ta rut", "thu-am", "lan ban tin"])
    expect(passes(recording({}), { ...all, words }, null)).toBe(true);
  expect(passes(recording({}), { ...all, words: "a vao" }, null)).toBe(false);
  expect(passes(recording({}), all, new Set(["b"]))).toBe(false);
  expect(passes(recording({ language: null }), { ...all, language: "none" }, null)).toBe(true);
  expect(passes(recording({}), { ...all, standing: "approved" }, null)).toBe(false);
});

it("a filter survives being an address", () => {
  const filter = { words: "tiêm phòng", area: "ar_1", standing: "", language: "bru" };
  expect(filterOf(new URLSearchParams(queryOf(filter)))).toEqual(filter);
  expect(queryOf({ words: "", area: "", standing: "", language: "" })).toBe("");
});

it("findings are a list, whatever came", () => {
  expect(findingsOf({ warnings: ["silent"] })).toEqual(["silent"]);
  expect(findingsOf({})).toEqual([]);
});
