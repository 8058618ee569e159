/** Which language the console speaks. Kept in this browser; the page's `lang` follows it. */

export type Language = "vi" | "en";

const KEY = "loa.language";

class LanguageChoice {
  #current = $state<Language>(remembered());

  get current(): Language {
    return this.#current;
  }

  set current(next: Language) {
    this.#current = next;
    globalThis.localStorage?.setItem(KEY, next);
    this.announce();
  }

  announce(): void {
    if (globalThis.document) document.documentElement.lang = this.#current;
  }
}

function remembered(): Language {
  return globalThis.localStorage?.getItem(KEY) === "en" ? "en" : "vi";
}

export const language = new LanguageChoice();
