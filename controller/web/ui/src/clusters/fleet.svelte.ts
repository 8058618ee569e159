/**
 * Every cluster one may see with its place and its state. Places are loaded anew when they change; a state that comes
 * with an event is shown at once, without another request.
 */
import { api, call, everything, type shapes } from "../api";
import { live, resource, type Resource } from "../live";
import type { Place } from "./why";

export interface FleetCluster {
  cluster: shapes.ClusterView;
  area: shapes.AreaView | undefined;
  /** "Xã Tà Rụt › Thôn A": from below the topmost area that is seen. */
  areaPath: string;
  place: Place;
}
export interface Fleet {
  areas: readonly shapes.AreaView[];
  clusters: readonly FleetCluster[];
}
export type States = ReadonlyMap<string, shapes.ClusterStateView>;

/** Areas and clusters, for as long as the component that asks is shown. */
export function fleetPlaces(): Resource<Fleet> {
  return resource(
    async (signal) => {
      const [areas, clusters] = await Promise.all([
        everything<shapes.AreaView>((query) => api.GET("/api/v1/areas", { params: { query }, signal })),
        everything<shapes.ClusterView>((query) => api.GET("/api/v1/clusters", { params: { query }, signal })),
      ]);
      return { areas, clusters: joined(areas, clusters) };
    },
    { topics: ["area", "cluster"] },
  );
}

/** States by cluster, kept true by the event stream. */
export function fleetStates(): { readonly resource: Resource<States>; readonly states: States | undefined } {
  let told = $state.raw<States>(new Map());
  const loaded = resource(
    async (signal) => {
      const { states } = await call(api.GET("/api/v1/clusters/states", { signal }));
      told = new Map();
      return new Map(states.map((state) => [state.cluster_id, state]));
    },
    { topics: ["cluster", "agent", "area"], everySeconds: 60 },
  );
  $effect(() =>
    live.onTopic("box", (ids, { states }) => {
      if (ids === null || !Array.isArray(states)) return loaded.soon();
      const fresh = new Map(told);
      for (const state of states as shapes.ClusterStateView[]) fresh.set(state.cluster_id, state);
      told = fresh;
    }),
  );
  const merged = $derived(loaded.data && (told.size > 0 ? new Map([...loaded.data, ...told]) : loaded.data));
  return {
    resource: loaded,
    get states() {
      return merged;
    },
  };
}

/** An area and everything below it. */
export function below(areas: readonly shapes.AreaView[], id: string): ReadonlySet<string> {
  const found = new Set([id]);
  for (let grew = true; grew;) {
    const before = found.size;
    for (const area of areas) if (area.parent_id !== null && found.has(area.parent_id)) found.add(area.id);
    grew = found.size > before;
  }
  return found;
}

function joined(areas: readonly shapes.AreaView[], clusters: readonly shapes.ClusterView[]): FleetCluster[] {
  const known = new Map(areas.map((area) => [area.id, area]));
  return clusters.map((cluster) => {
    const area = known.get(cluster.area_id);
    return {
      cluster,
      area,
      areaPath: pathOf(area, known),
      place: { timezone: cluster.timezone, quiet: area?.effective_quiet_hours ?? null },
    };
  });
}

function pathOf(area: shapes.AreaView | undefined, known: ReadonlyMap<string, shapes.AreaView>): string {
  const names: string[] = [];
  for (let at = area; at; at = at.parent_id === null ? undefined : known.get(at.parent_id)) names.unshift(at.name);
  return (names.length > 1 ? names.slice(1) : names).join(" › ");
}
