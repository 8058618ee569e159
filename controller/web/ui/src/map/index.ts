export { default as MapView } from "./MapView.svelte";
export type { MapArea, MapCluster } from "./cluster-map";
export { asPlaces, fromPlaces, inside, type Figure, type Point } from "./geometry";
