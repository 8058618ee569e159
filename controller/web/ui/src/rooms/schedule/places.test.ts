import { expect, it } from "vitest";
import { NOWHERE } from "../../design/targets";
import { mayPlanIn, ownerOf } from "./places";

const areas = new Map(
  [
    ["d", null],
    ["a", "d"],
    ["b", "d"],
    ["c", "d"],
  ].map(([id, parent_id]) => [id!, { id: id!, parent_id: parent_id ?? null }]),
);
const clusters = new Map([["a1", { id: "a1", area_id: "a" }]]);
const all = { everywhere: false, areas: ["d"] };

it("belongs to the smallest area that holds all places", () => {
  expect(ownerOf({ ...NOWHERE, areas: ["a", "b", "c"] }, areas, clusters, all)).toBe("d");
  expect(ownerOf({ ...NOWHERE, areas: ["a"], clusters: ["a1"] }, areas, clusters, all)).toBe("a");
  expect(ownerOf({ ...NOWHERE, clusters: ["a1"] }, areas, clusters, { everywhere: true, areas: [] })).toBe("a");
});

it("belongs where its author may plan", () => {
  const two = { everywhere: false, areas: ["a", "b"] };
  expect(ownerOf({ ...NOWHERE, areas: ["a", "b"] }, areas, clusters, two)).toBe("a");
  expect(ownerOf(NOWHERE, areas, clusters, two)).toBeNull();
  expect([mayPlanIn("a", areas, two), mayPlanIn("c", areas, two), mayPlanIn("a", areas, undefined)]).toEqual([
    true,
    false,
    false,
  ]);
});
