/** The page's clock, for countdowns and "3 minutes ago". One timer for everybody, only while somebody looks. */
import { createSubscriber } from "svelte/reactivity";

class Now {
  #subscribe = createSubscriber((update) => {
    const timer = setInterval(update, 1_000);
    return () => clearInterval(timer);
  });

  /** Moves every second inside an effect or a template. */
  get date(): Date {
    this.#subscribe();
    return new Date();
  }
}

export const now = new Now();
