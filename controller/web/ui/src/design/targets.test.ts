import { describe, expect, it } from "vitest";
import { chosenClusters, EVERYWHERE, found, NOWHERE, plain, tickOf, toggled, treeOf, type TreeNode } from "./targets";

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
    expect(choice).toEqual({ everywhere: false, areas: ["a"], clusters: ["b1"] });
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
      everywhere: false,
      areas: ["a"],
      clusters: ["b1", "b2"],
    });
    expect(toggled(roots, node("a"), EVERYWHERE)).toEqual({ everywhere: false, areas: ["b"], clusters: [] });
  });
  it("twice is as before", () => {
    const once = toggled(roots, node("b1"), NOWHERE);
    expect(toggled(roots, node("b1"), once)).toEqual(NOWHERE);
    expect(chosenClusters(roots, EVERYWHERE)).toBe(5);
  });
});

it("is found without diacritics, with the way to it", () => {
  expect(plain("Tà Rụt, Đakrông")).toBe("ta rut, dakrong");
  expect([...found(roots, "ta rut")!].map((each) => each.id).sort()).toEqual(["a", "a1", "a2", "d"]);
  expect(found(roots, " ")).toBeNull();
});
