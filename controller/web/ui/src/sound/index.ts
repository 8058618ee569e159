export { default as Listen } from "./Listen.svelte";
export { default as Microphone } from "./Microphone.svelte";
export { default as Talk } from "./Talk.svelte";
export { default as Player } from "./Player.svelte";
export { freshly } from "./fresh";
export { listening } from "./listening.svelte";
export { microphones } from "./microphones.svelte";
export { Recorder, LONGEST_S } from "./recorder.svelte";
export { speaking, type LiveWish, type SpeakingState } from "./speaking.svelte";
