/** Who is signed in and what they may do. The cookie is the browser's business; here is only what the screen needs. */
import { api, authorise, call } from "../api/client";
import { Problem } from "../api/problem";
import type * as shapes from "../api/schema";
import { live } from "../live";

export type Verb = shapes.Permission;
export type Me = shapes.Me;

class Session {
  #me = $state.raw<Me | null>(null);
  #info = $state.raw<shapes.ConsoleView>({ version: "", demo: [], default_timezone: "Asia/Ho_Chi_Minh" });
  #ready = $state(false);
  #ended = $state(false);

  /** Null when nobody is signed in. */
  get me(): Me | null {
    return this.#me;
  }

  get info(): shapes.ConsoleView {
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

  /** Whether somebody else made the password: everything else is refused until they chose their own. */
  get mustChangePassword(): boolean {
    return this.#me?.must_change_password === true;
  }

  /** Whether some of their verbs are refused until a second factor is set up. */
  get wantsSecondFactor(): boolean {
    const second = this.#me?.second_factor;
    return second?.required === true && !second.enrolled;
  }

  /**
   * At the start of the page. Throws a Problem when the controller cannot be asked. `door`: a door of the demo that the
   * address names; elsewhere there are none, and it means nothing.
   */
  async restore(door: string | null = null): Promise<void> {
    const [info, me] = await Promise.all([
      call(api.GET("/api/v1/console")),
      call(api.GET("/api/v1/me")).catch((error: unknown) => {
        if (error instanceof Problem && error.status === 401) return null;
        throw error;
      }),
    ]);
    this.#info = info;
    if (info.demo.some((each) => each.role === door)) await this.signInAsDemo(door ?? "");
    else this.#take(me);
    this.#ready = true;
  }

  async signIn(body: shapes.Credentials): Promise<void> {
    this.#take(await call(api.POST("/api/v1/session", { body })));
  }

  async signInAsDemo(role: string): Promise<void> {
    this.#take(await call(api.POST("/api/v1/session/demo", { body: { role } })));
  }

  /** Leaves in any case; throws a Problem when the controller could not be told. */
  async signOut(): Promise<void> {
    try {
      await call(api.DELETE("/api/v1/session"));
    } finally {
      this.#take(null);
    }
  }

  async changePassword(old: string, fresh: string): Promise<void> {
    await call(api.PUT("/api/v1/me/password", { body: { old, new: fresh } }));
    await this.refresh();
  }

  async refresh(): Promise<void> {
    this.#take(await call(api.GET("/api/v1/me")));
  }

  #take(me: Me | null): void {
    this.#me = me;
    this.#ended = false;
    authorise(me?.csrf ?? "", () => this.#expired());
    if (me && !me.must_change_password) live.open();
    else live.close();
  }

  #expired(): void {
    if (!this.#me) return;
    this.#take(null);
    this.#ended = true;
  }
}

export const session = new Session();
