/** Areas, zones, clusters and how they are now: what every part of the studio asks for. */
import { api, call, everything, type shapes } from "../../api";
import type { Choice } from "../../design";
import { resource, type Resource } from "../../live";
import { within, type Reach } from "../../shell/reach";

export interface Places {
  areas: shapes.AreaView[];
  zones: shapes.ZoneView[];
  clusters: shapes.ClusterView[];
  states: Map<string, shapes.ClusterStateView>;
}

export function placesResource(): Resource<Places> {
  return resource(
    async (signal): Promise<Places> => {
      const [areas, zones, clusters, now] = await Promise.all([
        everything<shapes.AreaView>((query) => api.GET("/api/v1/areas", { params: { query }, signal })),
        everything<shapes.ZoneView>((query) => api.GET("/api/v1/zones", { params: { query }, signal })),
        everything<shapes.ClusterView>((query) => api.GET("/api/v1/clusters", { params: { query }, signal })),
        call(api.GET("/api/v1/clusters/states", { signal })) as unknown as Promise<shapes.ClusterStatesView>,
      ]);
      return { areas, zones, clusters, states: new Map(now.states.map((state) => [state.cluster_id, state])) };
    },
    { topics: ["area", "cluster", "zone", "box"] },
  );
}

/** Only what a right reaches. */
export function reachable({ areas, clusters }: Places, reach: Reach | undefined) {
  const held = within(areas, reach);
  return {
    areas: areas.filter((area) => held.has(area.id)),
    clusters: clusters.filter((cluster) => held.has(cluster.area_id) && cluster.state !== "disabled"),
  };
}

/** The clusters in use that a choice means. */
export function chosenClusters({ areas, clusters }: Places, choice: Choice): shapes.ClusterView[] {
  const inside = within(areas, { everywhere: choice.everywhere, areas: choice.areas });
  return clusters.filter(
    (cluster) => cluster.state !== "disabled" && (inside.has(cluster.area_id) || choice.clusters.includes(cluster.id)),
  );
}

const AWAY = new Set(["offline", "never_seen", "no_box"]);
export function isAway(places: Places, clusterId: string): boolean {
  const state = places.states.get(clusterId);
  return state !== undefined && AWAY.has(state.state);
}

export function namesOf(places: Places, ids: Iterable<string>): string[] {
  const names = new Map(places.clusters.map((cluster) => [cluster.id, cluster.name]));
  return [...ids].map((id) => names.get(id) ?? id);
}
