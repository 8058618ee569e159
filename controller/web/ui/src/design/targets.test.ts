import { describe, expect, it } from "vitest";
import {
  chosenClusters,
  EVERYWHERE,
  found,
  NOWHERE,
  plain,
  tickOf,
  tickOfZone,
  toggled,
  treeOf,
  zoneKept,
  zonesIn,
  zoneToggled,
  type TreeNode,
} from "./targets";

const areas = [
  { id: "d", parent_id: null, name: "Đakrông" },
  { id: "a", parent_id: "d", name: "Tà Rụt" },
  { id: "b", parent_id: "d", name: "A Vao" },
];
const clusters = ["a1", "a2", "b1", "b2", "b10"].map((id) => ({ id, area_id: id[0]!, name: id }));
const roots = treeOf(areas, clusters);
const node = (id: string): TreeNode => {
  const all = (list: TreeNode[]): TreeNode[] => list.flatMap((each) => [each, ...all(each.children)]);
  return all(roots).find((each) => each.id === id)!;
};

describe("the tree", () => {
  it("counts and orders as people do", () => {
    expect(roots.map((each) => [each.id, each.clusters])).toEqual([["d", 5]]);
    expect(node("b").children.map((each) => each.id)).toEqual(["b1", "b2", "b10"]);
  });
  it("shows at the top what has no visible parent", () => {
    expect(treeOf(areas.slice(1), clusters).map((each) => each.id)).toEqual(["b", "a"]);
  });
});

describe("ticking", () => {
  it("an area is the area, its parts need no mention", () => {
    const choice = toggled(roots, node("a"), { ...NOWHERE, clusters: ["a1", "b1"] });
    expect(choice).toEqual({ ...NOWHERE, areas: ["a"], clusters: ["b1"] });
    expect(["d", "a", "a2", "b", "b2"].map((id) => tickOf(node(id), choice))).toEqual([
      "some",
      "all",
      "all",
      "some",
      "none",
    ]);
    expect(chosenClusters(roots, choice)).toBe(3);
  });
  it("a part taken out leaves the others", () => {
    expect(toggled(roots, node("b10"), { ...NOWHERE, areas: ["d"] })).toEqual({
      ...NOWHERE,
      areas: ["a"],
      clusters: ["b1", "b2"],
    });
    expect(toggled(roots, node("a"), EVERYWHERE)).toEqual({ ...NOWHERE, areas: ["b"] });
  });
  it("twice is as before", () => {
    const once = toggled(roots, node("b1"), NOWHERE);
    expect(toggled(roots, node("b1"), once)).toEqual(NOWHERE);
    expect(chosenClusters(roots, EVERYWHERE)).toBe(5);
  });
});

describe("zones", () => {
  const [river, stream] = zonesIn(roots, [
    { id: "z2", name: "Ven suối", clusters: ["b1", "gone"] },
    { id: "z3", name: "Ở huyện khác", clusters: ["gone"] },
    { id: "z1", name: "Ven sông", clusters: ["a1", "b2"] },
  ]);
  it("are what stands in the tree, by name", () => {
    expect([river, stream].map((zone) => [zone!.id, zone!.nodes.map((each) => each.id)])).toEqual([
      ["z1", ["a1", "b2"]],
      ["z2", ["b1"]],
    ]);
  });
  it("pick their clusters, and let them go again", () => {
    const chosen = zoneToggled(roots, river!, { ...NOWHERE, clusters: ["a1", "b10"] });
    expect([...chosen.clusters].sort()).toEqual(["a1", "b10", "b2"]);
    expect(zoneToggled(roots, river!, chosen)).toEqual({ ...NOWHERE, clusters: ["b10"] });
    expect([NOWHERE, { ...NOWHERE, areas: ["a"] }, EVERYWHERE].map((each) => tickOfZone(river!, each))).toEqual([
      "none",
      "some",
      "all",
    ]);
  });
  it("taken out of a whole leave the rest of it", () => {
    expect(zoneToggled(roots, river!, EVERYWHERE)).toEqual({ ...NOWHERE, clusters: ["b1", "b10", "a2"] });
  });
  it("that are kept stay zones, whatever else is ticked, and count once", () => {
    const kept = zoneKept(river!, { ...NOWHERE, clusters: ["a1"] });
    expect(kept).toEqual({ ...NOWHERE, clusters: ["a1"], zones: ["z1"] });
    expect(chosenClusters(roots, kept, [river!])).toBe(2);
    expect(toggled(roots, node("b"), kept).zones).toEqual(["z1"]);
    expect(chosenClusters(roots, toggled(roots, node("b"), kept), [river!])).toBe(4);
    expect(zoneKept(river!, kept).zones).toEqual([]);
  });
});

it("is found without diacritics, with the way to it", () => {
  expect(plain("Tà Rụt, Đakrông")).toBe("ta rut, dakrong");
  expect([...found(roots, "ta rut")!].map((each) => each.id).sort()).toEqual(["a", "a1", "a2", "d"]);
  expect(found(roots, " ")).toBeNull();
});
