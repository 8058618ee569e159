export { live, TOPICS, type Topic } from "./stream.svelte";
export { Resource, resource } from "./resource.svelte";
export { now } from "./now.svelte";
export type { Connection } from "./machine";
