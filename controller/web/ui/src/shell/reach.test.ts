import { expect, it } from "vitest";
import { placesOf, within } from "./reach";

const areas = [
  { id: "d", parent_id: null, name: "Huyện" },
  { id: "b", parent_id: "d", name: "Xã B" },
  { id: "a", parent_id: "d", name: "Xã A" },
  { id: "v", parent_id: "a", name: "Thôn" },
  { id: "x", parent_id: "unseen", name: "Xã X" },
];

it("a right holds for everything below", () => {
  expect([...within(areas, { everywhere: false, areas: ["a"] })]).toEqual(["a", "v"]);
  expect(within(areas, { everywhere: true, areas: [] }).size).toBe(5);
  expect(within(areas, undefined).size).toBe(0);
});

it("places stand in the order of the tree", () => {
  expect(placesOf(areas, { everywhere: false, areas: ["d"] }).map((place) => place.label)).toEqual([
    "Huyện",
    "\u2003Xã A",
    "\u2003\u2003Thôn",
    "\u2003Xã B",
  ]);
  expect(placesOf(areas, { everywhere: false, areas: ["v", "x"] }).map((place) => place.label)).toEqual([
    "Thôn",
    "Xã X",
  ]);
});
