/** The one sound that this page plays to its user. */
import { SvelteSet } from "svelte/reactivity";

class Player {
  #heard = new SvelteSet<string>();
  #audio: HTMLAudioElement | null = null;
  #playing = $state<string | null>(null);
  #failed = $state<string | null>(null);

  /** The address that sounds now. */
  get playing(): string | null {
    return this.#playing;
  }

  /** The address that could not be played last. */
  get failed(): string | null {
    return this.#failed;
  }

  /** Whether it was heard to its end on this page. */
  heard(src: string): boolean {
    return this.#heard.has(src);
  }

  toggle(src: string): void {
    if (this.#playing === src) return this.stop(src);
    this.#end();
    this.#failed = null;
    const audio = new Audio(src);
    this.#audio = audio;
    this.#playing = src;
    audio.onended = () => {
      this.#heard.add(src);
      this.stop(src);
    };
    audio.onerror = () => this.#fail(audio, src);
    audio.play().catch((error: unknown) => {
      // A pause before it began is no failure.
      if (!(error instanceof DOMException && error.name === "AbortError")) this.#fail(audio, src);
    });
  }

  stop(src: string): void {
    if (this.#playing === src) this.#end();
  }

  #fail(audio: HTMLAudioElement, src: string): void {
    if (this.#audio !== audio) return;
    this.#end();
    this.#failed = src;
  }

  #end(): void {
    this.#audio?.pause();
    this.#audio = null;
    this.#playing = null;
  }
}

export const player = new Player();
