/** Which modal dialogs are open, the topmost last: whatever lies outside of it can be neither seen nor pressed. */
import { untrack } from "svelte";

class Modals {
  #open = $state.raw<readonly HTMLElement[]>([]);

  get top(): HTMLElement | null {
    return this.#open.at(-1) ?? null;
  }

  /** It was opened; gives back how to say that it is closed. */
  put(element: HTMLElement): () => void {
    this.#open = [...untrack(() => this.#open), element];
    return () => (this.#open = untrack(() => this.#open).filter((each) => each !== element));
  }
}

export const modals = new Modals();
