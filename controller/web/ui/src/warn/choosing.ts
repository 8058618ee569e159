/** From the map to the tree's choice and back. Pure. */
import { NOWHERE, treeOf, toggled, type Choice, type TreeNode } from "../design/targets";
import { inside, type Figure } from "../map/geometry";
import type { Places } from "./places";

type Known = Pick<Places, "areas" | "clusters">;

/** Every cluster that a choice holds. */
export function chosenIds({ areas, clusters }: Known, choice: Choice): Set<string> {
  if (choice.everywhere) return new Set(clusters.map((each) => each.id));
  const parent = new Map(areas.map((each) => [each.id, each.parent_id]));
  const within = (area: string): boolean => {
    for (let at: string | null | undefined = area; at; at = parent.get(at)) if (choice.areas.includes(at)) return true;
    return false;
  };
  return new Set(
    clusters.filter((each) => choice.clusters.includes(each.id) || within(each.area_id)).map((each) => each.id),
  );
}

/** The choice after a click on a cluster of the map. */
export function toggleCluster({ areas, clusters }: Known, choice: Choice, id: string): Choice {
  const roots = treeOf(areas, clusters);
  const find = (nodes: readonly TreeNode[]): TreeNode | undefined => {
    for (const node of nodes) {
      const found = node.kind === "cluster" && node.id === id ? node : find(node.children);
      if (found) return found;
    }
    return undefined;
  };
  const node = find(roots);
  return node ? toggled(roots, node, choice) : choice;
}

export function isNowhere(choice: Choice): boolean {
  return !choice.everywhere && choice.areas.length === 0 && choice.clusters.length === 0;
}

/** The choice with what lies in the figures, for operations that take no figures. */
export function withFigures(known: Known, choice: Choice, figures: readonly Figure[]): Choice {
  if (figures.length === 0) return choice;
  const within = known.clusters.filter(({ latitude, longitude }) =>
    figures.some((figure) => latitude !== null && longitude !== null && inside(figure, [latitude, longitude])),
  );
  return { ...NOWHERE, clusters: [...new Set([...chosenIds(known, choice), ...within.map((each) => each.id)])] };
}
