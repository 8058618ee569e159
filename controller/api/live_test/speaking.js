// A live session from this window: opened, spoken into, found again after a reload or a broken line.
import { ask, Refused, token } from "./api.js";
import { openMicrophone, RATE } from "./microphone.js";

const MOST_UNSENT = 64 * 1024; // what the network does not take is dropped: live sound does not wait
const RETRY_MS = 1000;
const TRIES = 15; // the controller waits ten seconds for a speaker
const STALLED_MS = 1500; // on air a meter comes ten times a second
const DEAD_MS = 5000; // the line is given up and made anew: the controller waits ten seconds in all
const SESSION = "loa.live";
const GONE = new Set(["unauthenticated", "forbidden", "not_found", "not_your_session", "session_ended"]);

export class Speaking {
  /** `page` is told what happens: state, left, meter, warning, ended. */
  constructor(page) {
    this.page = page;
    this.session = null;
    this.socket = null;
    this.capture = null;
    this.dropped = 0;
    this.meterAt = null; // when the last meter came; null: none is due
    this.stalled = false;
    setInterval(() => this.#watch(), 250);
  }

  /** The session this window spoke in before it was reloaded. */
  static remembered() {
    return sessionStorage.getItem(SESSION);
  }

  /** Go on air. The microphone comes first: without one nothing is opened. */
  async start(request, plain) {
    await this.#capture(plain);
    await this.capture.runs();
    await this.#join(() => ask("/api/v1/live", request));
  }

  /** Go on after a reload. False: the browser wants a key press first. */
  async resume(plain) {
    const id = Speaking.remembered();
    try {
      const session = await this.#look(id);
      await this.#capture(plain);
      if (!(await this.capture.runs())) {
        this.#quiet();
        return false;
      }
      await this.#join(async () => session);
    } catch (error) {
      if (GONE.has(error.code) || error.ended) sessionStorage.removeItem(SESSION);
      throw error;
    }
    return true;
  }

  tell(type) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ type }));
    else if (type === "stop" && this.session) ask(`/api/v1/live/${this.session.id}/stop`, {}).catch(() => {});
  }

  async #capture(plain) {
    this.capture = await openMicrophone({
      plain,
      send: (bytes) => this.#put(bytes),
      ended: () => { this.page.warning("unplugged"); this.tell("stop"); },
    });
  }

  async #join(open) {
    try {
      this.session = await open();
    } catch (error) {
      this.#quiet();
      throw error;
    }
    sessionStorage.setItem(SESSION, this.session.id);
    this.dropped = 0;
    this.page.began(this.session, this.capture.codec);
    this.#connect(0);
  }

  /** How the session is; throws why it cannot be spoken in. */
  async #look(id) {
    const session = await ask(`/api/v1/live/${id}`);
    if (session.state === "ended" || session.state === "closing") {
      throw Object.assign(new Refused(session.code || "session_ended"), { ended: true });
    }
    return session;
  }

  #put(bytes) {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    if (this.socket.bufferedAmount > MOST_UNSENT) this.dropped += 1;
    else this.socket.send(bytes);
  }

  #connect(tries) {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const url = `${scheme}://${location.host}/api/v1/live/${this.session.id}/microphone`;
    const socket = new WebSocket(url, ["loa.microphone.1", `bearer.${token()}`]);
    this.socket = socket;
    this.meterAt = null;
    socket.binaryType = "arraybuffer";
    let done = tries;
    socket.onopen = () => {
      done = 0;
      const client = navigator.userAgent.slice(0, 200);
      socket.send(JSON.stringify({ type: "hello", codec: this.capture.codec, rate: RATE, client }));
    };
    socket.onmessage = (event) => this.#hear(JSON.parse(event.data));
    socket.onclose = () => this.#broken(done);
  }

  /** The line broke, or was refused: a WebSocket does not say why, so ask. */
  async #broken(tries) {
    if (!this.session) return;
    this.meterAt = null;
    this.page.state("absent", null);
    try {
      await this.#look(this.session.id);
    } catch (error) {
      if (GONE.has(error.code) || error.ended) {
        this.#finish(error.code, error.message);
        return;
      }
    }
    if (tries >= TRIES) this.#finish("unreachable");
    else setTimeout(() => { if (this.session) this.#connect(tries + 1); }, RETRY_MS);
  }

  /** A line may be dead long before the browser says so; nobody should speak into it. */
  #watch() {
    const silent = this.meterAt === null ? 0 : performance.now() - this.meterAt;
    if (silent > STALLED_MS && !this.stalled) {
      this.stalled = true;
      this.page.state("absent", null);
    }
    if (silent > DEAD_MS) {
      this.socket.onclose = this.socket.onmessage = null;
      this.socket.close();
      this.#broken(0);
    }
  }

  #metered(said) {
    this.meterAt = performance.now();
    if (this.stalled) this.page.state("on_air", null);
    this.stalled = false;
    this.page.meter(said.rms_db, said.peak_db, this.dropped);
  }

  #stated(said) {
    if (said.state !== "on_air") this.meterAt = null;
    this.stalled = false;
    this.page.state(said.state, said.left_s);
  }

  #hear(said) {
    if (said.type === "meter") this.#metered(said);
    else if (said.type === "state") this.#stated(said);
    else if (said.type === "bye") this.#finish(said.code, said.detail);
    else this.page.warning(said.code, said.detail);
  }

  #finish(code, detail) {
    sessionStorage.removeItem(SESSION);
    this.session = this.meterAt = null;
    this.#quiet();
    this.page.ended(code, detail);
  }

  #quiet() {
    this.capture?.close();
    this.capture = null;
  }
}
