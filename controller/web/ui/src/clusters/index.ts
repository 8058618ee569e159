export { below, fleetPlaces, fleetStates, type Fleet, type FleetCluster, type States } from "./fleet.svelte";
export { KINDS, LOOKS, type Kind } from "./kinds";
export { isQuiet, whyOf, type Place, type Why } from "./why";
export { classWords, faultWords, t as clusterWords } from "./words";
export { default as StateBadge } from "./StateBadge.svelte";
