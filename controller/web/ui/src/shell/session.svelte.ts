/** Who is signed in and what they may do. The cookie is the browser's business; here is only what the screen needs. */
import { authorise, patientFetch } from "../api/client";
import { Problem, problemFrom, problemOf } from "../api/problem";
import { live } from "../live";

export type Verb =
  | "read"
  | "draft"
  | "approve"
  | "schedule"
  | "play_now"
  | "stop"
  | "volume"
  | "agent_control"
  | "enrol"
  | "policy_edit"
  | "users"
  | "audit_read"
  | "go_live"
  | "listen"
  | "emergency_compose"
  | "emergency_confirm"
  | "drill";

export interface Me {
  user_id: string;
  name: string;
  display_name: string;
  grants: { role: string; area_id: string | null }[];
  permissions: Record<string, { everywhere: boolean; areas: string[] }>;
  /** Null only for bearer tokens, which no page has. */
  csrf: string | null;
  must_change_password: boolean;
  second_factor?: { enrolled: boolean; required: boolean };
}

export interface ConsoleInfo {
  version: string;
  demo: { role: string; name: string }[];
  default_timezone: string;
}

export interface Credentials {
  name: string;
  password: string;
  code?: string;
}

class Session {
  #me = $state.raw<Me | null>(null);
  #info = $state.raw<ConsoleInfo>({ version: "", demo: [], default_timezone: "Asia/Ho_Chi_Minh" });
  #ready = $state(false);
  #ended = $state(false);

  /** Null when nobody is signed in. */
  get me(): Me | null {
    return this.#me;
  }

  get info(): ConsoleInfo {
    return this.#info;
  }

  /** Whether it is known who is signed in. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Whether it ended by itself: the login page says so. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Whether the verb is granted anywhere, or in this very area (of `permissions`; areas below count on the server). */
  may(verb: Verb, areaId?: string): boolean {
    const right = this.#me?.permissions[verb];
    if (!right) return false;
    return right.everywhere || (areaId === undefined ? right.areas.length > 0 : right.areas.includes(areaId));
  }

  mayEverywhere(verb: Verb): boolean {
    return this.#me?.permissions[verb]?.everywhere === true;
  }

  /** What stands between signing in and the work. In a demo nothing does: its people have no passwords of their own. */
  get step(): "password" | "second_factor" | null {
    if (!this.#me || this.#info.demo.length > 0) return null;
    if (this.#me.must_change_password) return "password";
    const second = this.#me.second_factor;
    return second?.required && !second.enrolled ? "second_factor" : null;
  }

  /** At the start of the page. Throws a Problem when the controller cannot be asked. */
  async restore(): Promise<void> {
    const [info, me] = await Promise.all([
      ask<ConsoleInfo>("GET", "/api/v1/console"),
      ask<Me>("GET", "/api/v1/me").catch((error: unknown) => {
        if (error instanceof Problem && error.status === 401) return null;
        throw error;
      }),
    ]);
    this.#info = info;
    this.#take(me);
    this.#ready = true;
  }

  async signIn(with_: Credentials): Promise<void> {
    this.#take(await ask<Me>("POST", "/api/v1/session", with_));
  }

  async signInAsDemo(role: string): Promise<void> {
    this.#take(await ask<Me>("POST", "/api/v1/session/demo", { role }));
  }

  async signOut(): Promise<void> {
    try {
      await ask("DELETE", "/api/v1/session");
    } finally {
      this.#take(null);
    }
  }

  async changePassword(old: string, fresh: string): Promise<void> {
    await ask("PUT", "/api/v1/me/password", { old, new: fresh });
    await this.refresh();
  }

  async refresh(): Promise<void> {
    this.#take(await ask<Me>("GET", "/api/v1/me"));
  }

  async beginTotp(): Promise<{ secret: string; uri: string }> {
    return ask("POST", "/api/v1/me/totp");
  }

  async confirmTotp(code: string): Promise<void> {
    await ask("PUT", "/api/v1/me/totp", { code });
    await this.refresh();
  }

  async removeTotp(password: string): Promise<void> {
    await ask("DELETE", "/api/v1/me/totp", { password });
    await this.refresh();
  }

  #take(me: Me | null): void {
    this.#me = me;
    this.#ended = false;
    authorise(me?.csrf ?? "", () => this.#expired());
    if (me) live.open();
    else live.close();
  }

  #expired(): void {
    if (!this.#me) return;
    this.#take(null);
    this.#ended = true;
  }
}

async function ask<T>(method: string, path: string, body?: object): Promise<T> {
  const json = body ? { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } } : {};
  let response: Response;
  try {
    response = await patientFetch(new Request(path, { method, ...json }));
  } catch (error) {
    throw problemFrom(error);
  }
  const answer: unknown = await response.json().catch(() => undefined);
  if (!response.ok) throw problemOf(response.status, answer, response.headers.get("Retry-After"));
  return answer as T;
}

export const session = new Session();
