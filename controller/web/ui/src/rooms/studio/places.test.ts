import { expect, it } from "vitest";
import type { shapes } from "../../api";
import { NOWHERE } from "../../design/targets";
import { chosenClusters, isAway, namesOf, reachable, type Places } from "./places.svelte";

const area = (id: string, parent_id: string | null) => ({ id, parent_id, name: id }) as shapes.AreaView;
const cluster = (id: string, area_id: string, state = "active") =>
  ({ id, area_id, name: `Cụm ${id}`, state }) as shapes.ClusterView;
const places: Places = {
  zones: [],
  areas: [area("d", null), area("a", "d"), area("b", "d")],
  clusters: [cluster("1", "a"), cluster("2", "b"), cluster("3", "b", "disabled")],
  states: new Map([
    ["1", { cluster_id: "1", state: "offline" } as shapes.ClusterStateView],
    ["2", { cluster_id: "2", state: "idle" } as shapes.ClusterStateView],
  ]),
};

it("a choice means the clusters in use below it", () => {
  const ids = (choice: Partial<typeof NOWHERE>) =>
    chosenClusters(places, { ...NOWHERE, ...choice }).map((each) => each.id);
  expect(ids({ areas: ["d"] })).toEqual(["1", "2"]);
  expect(ids({ clusters: ["2"] })).toEqual(["2"]);
  expect(ids({ everywhere: true })).toEqual(["1", "2"]);
  expect(ids({})).toEqual([]);
});

it("shows only what a right reaches", () => {
  const { areas, clusters } = reachable(places, { everywhere: false, areas: ["b"] });
  expect([areas.map((each) => each.id), clusters.map((each) => each.id)]).toEqual([["b"], ["2"]]);
});

it("names who is away", () => {
  expect([isAway(places, "1"), isAway(places, "2"), isAway(places, "9")]).toEqual([true, false, false]);
  expect(namesOf(places, ["2", "9"])).toEqual(["Cụm 2", "9"]);
});
