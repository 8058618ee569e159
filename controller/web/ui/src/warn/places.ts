/** Areas, zones and clusters, as every "where" of these rooms needs them. */
import { api, call, everything, type shapes } from "../api";
import type { State } from "../design";
import { resource, type Resource } from "../live";
import type { MapCluster } from "../map";

export interface Places {
  areas: shapes.AreaView[];
  zones: shapes.ZoneView[];
  /** Those in use. */
  clusters: shapes.ClusterView[];
  /** Cluster id -> cluster, also those that are switched off. */
  byId: Map<string, shapes.ClusterView>;
  /** Cluster id -> what it does now. */
  states: Map<string, State>;
}

const STATE: Record<string, State> = {
  playing: "playing",
  idle: "ok",
  faulty: "fault",
  muted: "muted",
  unknown: "unknown",
  offline: "offline",
  never_seen: "offline",
  no_box: "idle",
};

async function loadPlaces(signal: AbortSignal): Promise<Places> {
  const [areas, zones, clusters, now] = await Promise.all([
    everything<shapes.AreaView>((query) => api.GET("/api/v1/areas", { params: { query }, signal })),
    everything<shapes.ZoneView>((query) => api.GET("/api/v1/zones", { params: { query }, signal })),
    everything<shapes.ClusterView>((query) => api.GET("/api/v1/clusters", { params: { query }, signal })),
    call(api.GET("/api/v1/clusters/states", { signal })),
  ]);
  return {
    areas,
    zones,
    clusters: clusters.filter((each) => each.state !== "disabled"),
    byId: new Map(clusters.map((each) => [each.id, each])),
    states: new Map(now.states.map((each) => [each.cluster_id, STATE[each.state] ?? "idle"])),
  };
}

export function places(): Resource<Places> {
  return resource(loadPlaces, { topics: ["area", "cluster", "zone"], everySeconds: 60 });
}

/** Clusters as the map shows them. */
export function onMap({ clusters, states }: Places): MapCluster[] {
  return clusters.map(({ id, name, area_id, latitude, longitude }) => ({
    id,
    name,
    area_id,
    latitude,
    longitude,
    state: states.get(id) ?? "idle",
  }));
}

/** The name of a cluster; its id when it is not known (any more). */
export function nameOf(places: Places | undefined, id: string): string {
  return places?.byId.get(id)?.name ?? id;
}
