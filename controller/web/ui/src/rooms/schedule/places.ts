/** Whose programme it is, and where somebody may plan at all. Pure. */
import type { Choice } from "../../design";

interface Area {
  id: string;
  parent_id: string | null;
}
interface Cluster {
  id: string;
  area_id: string;
}
export interface Reach {
  everywhere: boolean;
  areas: readonly string[];
}

/** From the area up to its root. */
function upwards(id: string, areas: ReadonlyMap<string, Area>): string[] {
  const way: string[] = [];
  for (let area = areas.get(id); area && !way.includes(area.id); area = areas.get(area.parent_id ?? ""))
    way.push(area.id);
  return way;
}

export function mayPlanIn(id: string, areas: ReadonlyMap<string, Area>, reach: Reach | undefined): boolean {
  return reach !== undefined && (reach.everywhere || upwards(id, areas).some((each) => reach.areas.includes(each)));
}

/** The smallest area that holds everything chosen and that one may plan in; else that of the first place. */
export function ownerOf(
  choice: Choice,
  areas: ReadonlyMap<string, Area>,
  clusters: ReadonlyMap<string, Cluster>,
  reach: Reach | undefined,
  zones: ReadonlyMap<string, { area_id: string }> = new Map(),
): string | null {
  const places = [
    ...choice.areas,
    ...choice.clusters.map((id) => clusters.get(id)?.area_id ?? ""),
    ...choice.zones.map((id) => zones.get(id)?.area_id ?? ""),
  ];
  const ways = places.map((id) => upwards(id, areas)).filter((way) => way.length > 0);
  const common = (ways[0] ?? []).find((id) => ways.every((way) => way.includes(id)) && mayPlanIn(id, areas, reach));
  return common ?? ways[0]?.[0] ?? null;
}
