/** What a cluster's boxes amount to, worst first. */
import type { shapes } from "../../api";
import type { State } from "../../design";

export function stateOf(cluster: shapes.ClusterView, agents: readonly shapes.AgentView[]): State {
  if (cluster.state === "disabled" || agents.length === 0) return "idle";
  if (agents.every((agent) => !agent.online)) return "offline";
  if (agents.some((agent) => agent.faults.length > 0)) return "fault";
  if (agents.some((agent) => !agent.online)) return "warn";
  return agents.some((agent) => agent.sounding) ? "playing" : "ok";
}
