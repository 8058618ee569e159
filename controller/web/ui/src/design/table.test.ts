import { expect, it } from "vitest";
import { sorted } from "./table";
import { slice } from "./window";

it("sorts numbers by size and names as they are read", () => {
  const columns = [
    { key: "name", label: "", text: (row: [string, number]) => row[0] },
    { key: "n", label: "", text: (row: [string, number]) => row[1] },
  ];
  const rows: [string, number][] = [
    ["Thôn 10", 2],
    ["Thôn 9", 10],
    ["Ấp 1", 1],
  ];
  const names = (key: string, down: boolean) => sorted(rows, columns, { key, down }).map((row) => row[0]);
  expect(names("name", false)).toEqual(["Ấp 1", "Thôn 9", "Thôn 10"]);
  expect(names("n", true)).toEqual(["Thôn 9", "Thôn 10", "Ấp 1"]);
  expect(sorted(rows, columns, null)).toBe(rows);
});

it("draws only what can be seen, and keeps the height", () => {
  const part = slice(1_500, 40, 20_000, 600);
  expect(part.to - part.from).toBeLessThan(50);
  expect(part.before + (part.to - part.from) * 40 + part.after).toBe(1_500 * 40);
  expect(slice(3, 40, 9_999, 600)).toEqual({ from: 3, to: 3, before: 120, after: 0 });
});
