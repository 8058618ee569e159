/** One cluster with its place, state and boxes, kept true. */
import { api, call, everything, type shapes } from "../../api";
import { live, resource, type Resource } from "../../live";
import type { Place } from "../../clusters";

export interface ClusterPage {
  cluster: shapes.ClusterView;
  area: shapes.AreaView;
  place: Place;
  state: shapes.ClusterStateView | undefined;
  /** Kept silent by order: whether or not its boxes have heard of it yet. */
  hold: shapes.HoldView | undefined;
  boxes: readonly shapes.AgentView[];
}

export function clusterPage(id: () => string): Resource<ClusterPage> {
  const page = resource(
    async (signal): Promise<ClusterPage> => {
      const path = { cluster_id: id() };
      const cluster = await call(api.GET("/api/v1/clusters/{cluster_id}", { params: { path }, signal }));
      const [area, { states }, holds, agents] = await Promise.all([
        call(api.GET("/api/v1/areas/{area_id}", { params: { path: { area_id: cluster.area_id } }, signal })),
        call(api.GET("/api/v1/clusters/states", { params: { query: { area_id: cluster.area_id } }, signal })),
        call(api.GET("/api/v1/holds", { signal })),
        everything<shapes.AgentView>((query) => api.GET("/api/v1/agents", { params: { query }, signal })),
      ]);
      return {
        cluster,
        area,
        place: { timezone: cluster.timezone, quiet: area.effective_quiet_hours },
        state: states.find((state) => state.cluster_id === cluster.id),
        hold: holds.items.find((hold) => hold.cluster_id === cluster.id),
        boxes: agents.filter((agent) => agent.cluster_id === cluster.id && agent.state === "approved"),
      };
    },
    { topics: ["cluster", "area", "agent", "order"], concerns: (ids) => ids.length > 0, everySeconds: 20 },
  );
  $effect(() => live.onTopic("box", (ids) => (ids === null || ids.includes(id())) && page.soon()));
  return page;
}
