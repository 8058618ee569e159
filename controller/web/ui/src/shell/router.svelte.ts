/** Addresses below /console/. Links are plain `<a href>`; the shell turns a click on one into a change of page. */

export const BASE = "/console";

class Router {
  #path = $state(read());
  #query = $state.raw(new URLSearchParams(globalThis.location?.search ?? ""));
  #guard: (() => boolean) | null = null;

  /** "/fleet", without the base and without a slash at its end; "/" is the first page. */
  get path(): string {
    return this.#path;
  }

  get query(): URLSearchParams {
    return this.#query;
  }

  /** Go to a page of the console. */
  go(path: string, options: { replace?: boolean } = {}): void {
    if (this.#guard && !this.#guard()) return;
    history[options.replace ? "replaceState" : "pushState"](null, "", href(path));
    this.#sync();
    if (!options.replace) window.scrollTo(0, 0);
  }

  /** Asked before the page changes; false keeps it. For what is not saved yet. Gives back how to lift it. */
  guard(may: () => boolean): () => void {
    this.#guard = may;
    return () => {
      if (this.#guard === may) this.#guard = null;
    };
  }

  /** Listen for clicks and the browser's own buttons; gives back how to end it. */
  start(): () => void {
    const click = (event: MouseEvent) => {
      const target = event.target instanceof Element ? event.target.closest("a[href]") : null;
      if (!(target instanceof HTMLAnchorElement) || event.defaultPrevented || event.button !== 0) return;
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || target.target || target.download) return;
      const url = new URL(target.href);
      if (url.origin !== location.origin || !(url.pathname + "/").startsWith(BASE + "/")) return;
      if (url.hash && url.pathname === location.pathname) return;
      event.preventDefault();
      this.go(url.pathname.slice(BASE.length) + url.search);
    };
    const pop = () => this.#sync();
    document.addEventListener("click", click);
    window.addEventListener("popstate", pop);
    return () => {
      document.removeEventListener("click", click);
      window.removeEventListener("popstate", pop);
    };
  }

  #sync(): void {
    this.#path = read();
    this.#query = new URLSearchParams(location.search);
  }
}

function read(): string {
  const path = (globalThis.location?.pathname ?? BASE).slice(BASE.length).replace(/\/+$/, "");
  return path || "/";
}

/** The address of a page: href("/fleet") is "/console/fleet". */
export function href(path: string): string {
  return BASE + (path.startsWith("/") ? path : `/${path}`);
}

/** Whether a path fits a pattern such as "/cluster/:id" or "/admin/:page?", and the values if so. */
export function match(pattern: string, path: string): Record<string, string> | null {
  const [wanted, given] = [pattern, path].map((each) => each.split("/").filter(Boolean)) as [string[], string[]];
  if (given.length > wanted.length) return null;
  const values: Record<string, string> = {};
  for (const [i, part] of wanted.entries()) {
    const said = given[i];
    if (part.startsWith(":")) {
      const name = part.slice(1).replace(/\?$/, "");
      if (said !== undefined) values[name] = decode(said);
      else if (!part.endsWith("?")) return null;
    } else if (part !== said) return null;
  }
  return values;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const router = new Router();
