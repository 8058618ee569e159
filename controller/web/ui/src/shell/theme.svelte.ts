/** Light, dark, or as the machine is set. Kept in this browser. */
export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const KEY = "loa.theme";

class ThemeChoice {
  #chosen = $state<Theme>(remembered());

  get chosen(): Theme {
    return this.#chosen;
  }

  set chosen(next: Theme) {
    this.#chosen = next;
    localStorage.setItem(KEY, next);
    this.apply();
  }

  /** Also follows the machine from now on. */
  apply(): void {
    const machine = matchMedia("(prefers-color-scheme: dark)");
    const set = () => {
      const dark = this.#chosen === "dark" || (this.#chosen === "system" && machine.matches);
      document.documentElement.dataset.theme = dark ? "dark" : "light";
    };
    machine.onchange = set;
    set();
  }
}

function remembered(): Theme {
  const said = localStorage.getItem(KEY);
  return THEMES.find((theme) => theme === said) ?? "system";
}

export const theme = new ThemeChoice();
