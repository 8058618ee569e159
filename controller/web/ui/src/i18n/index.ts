export { language, type Language } from "./language.svelte";
export { count, plural, words, type Words } from "./words";
export * as times from "./times";
export { languageName, tongues } from "./tongues";
