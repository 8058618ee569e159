/** The nine states of a cluster, as the controller judges them (`controller.services.cluster_states`). */
import type { shapes } from "../api";
import type { State } from "../design";

export type Kind = shapes.ClusterStateView["state"];

/** Worst first: the order of what somebody should look at. */
export const KINDS: readonly Kind[] = [
  "faulty",
  "offline",
  "never_seen",
  "unknown",
  "muted",
  "no_box",
  "playing",
  "idle",
  "disabled",
];

/** How each looks. */
export const LOOKS: Record<Kind, State> = {
  faulty: "fault",
  offline: "offline",
  never_seen: "offline",
  unknown: "unknown",
  muted: "muted",
  no_box: "unknown",
  playing: "playing",
  idle: "ok",
  disabled: "idle",
};
