import { describe, expect, it } from "vitest";
import { EVERYWHERE, NOWHERE } from "../design/targets";
import { chosenIds, isNowhere, toggleCluster, withFigures } from "./choosing";

const known = {
  areas: [
    { id: "d", parent_id: null, name: "Đakrông" },
    { id: "a", parent_id: "d", name: "Tà Rụt" },
  ],
  clusters: ["1", "2", "3"].map((id) => ({ id, area_id: "a", name: id, latitude: 16 + Number(id), longitude: 107 })),
} as unknown as Parameters<typeof chosenIds>[0];

describe("a choice on the map", () => {
  it("shows what the tree holds", () => {
    expect(chosenIds(known, { ...NOWHERE, areas: ["d"] })).toEqual(new Set(["1", "2", "3"]));
    expect(chosenIds(known, { ...NOWHERE, clusters: ["2"] })).toEqual(new Set(["2"]));
    expect(chosenIds(known, EVERYWHERE).size).toBe(3);
  });

  it("takes one cluster out of an area, and puts it back", () => {
    const without = toggleCluster(known, { ...NOWHERE, areas: ["a"] }, "2");
    expect(chosenIds(known, without)).toEqual(new Set(["1", "3"]));
    expect(chosenIds(known, toggleCluster(known, without, "2"))).toEqual(new Set(["1", "2", "3"]));
    expect(toggleCluster(known, without, "gone")).toEqual(without);
  });

  it("takes in what lies in a figure", () => {
    const figure = { kind: "circle", centre: [17, 107], km: 5 } as const;
    const both = withFigures(known, { ...NOWHERE, clusters: ["3"] }, [figure]);
    expect([...both.clusters].sort()).toEqual(["1", "3"]);
    expect(withFigures(known, EVERYWHERE, [])).toBe(EVERYWHERE);
  });

  it("knows nowhere", () => {
    expect([NOWHERE, EVERYWHERE, { ...NOWHERE, areas: ["d"] }].map(isNowhere)).toEqual([true, false, false]);
  });
});
