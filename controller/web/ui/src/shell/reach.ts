/** Where a right holds: the areas it was granted over and everything below them. Pure. */
import type { AreaNode } from "../design/targets";

export interface Reach {
  everywhere: boolean;
  areas: readonly string[];
}

/** The ids among `areas` that the right holds in. */
export function within(areas: readonly AreaNode[], reach: Reach | undefined): Set<string> {
  if (!reach) return new Set();
  if (reach.everywhere) return new Set(areas.map((area) => area.id));
  const parents = new Map(areas.map((area) => [area.id, area.parent_id]));
  const holds = (id: string | null | undefined, depth = 0): boolean =>
    id !== null && id !== undefined && depth < 50 && (reach.areas.includes(id) || holds(parents.get(id), depth + 1));
  return new Set(areas.filter((area) => holds(area.id)).map((area) => area.id));
}

/** The areas of a right in the order of the tree, each indented below its parent: what a list of places shows. */
export function placesOf(areas: readonly AreaNode[], reach: Reach | undefined): { value: string; label: string }[] {
  const held = within(areas, reach);
  const order = new Intl.Collator("vi", { numeric: true });
  const known = new Set(areas.map((area) => area.id));
  const out: { value: string; label: string }[] = [];
  const visit = (parent: string | null, depth: number) => {
    const here = areas.filter((area) =>
      parent === null ? !known.has(area.parent_id ?? "") : area.parent_id === parent,
    );
    for (const area of here.sort((a, b) => order.compare(a.name, b.name))) {
      if (held.has(area.id)) out.push({ value: area.id, label: "\u2003".repeat(depth) + area.name });
      visit(area.id, held.has(area.id) ? depth + 1 : depth);
    }
  };
  visit(null, 0);
  return out;
}
