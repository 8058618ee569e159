/** What went wrong, with the stable code of the API's problem+json, in words a person can act on. */
import { codes } from "./words";

export interface FieldFault {
  field: string;
  code: string;
  message: string;
}

export class Problem extends Error {
  override readonly name = "Problem";

  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly fields: FieldFault[] = [],
    readonly incident?: string,
    /** Seconds after which trying again makes sense. */
    readonly retryAfter?: number,
  ) {
    super(`${code}: ${detail}`);
  }

  /** In the person's language when the code is known, otherwise the server's own sentence. */
  get text(): string {
    const said = this.code in codes ? codes[this.code as keyof typeof codes] : this.detail || codes.internal_error;
    return this.incident ? `${said} (${this.incident})` : said;
  }

  /** Somebody changed it meanwhile, or it contradicts what is there. */
  get isConflict(): boolean {
    return this.status === 409 || this.status === 412;
  }

  /** The same request may succeed later. */
  get isTransient(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 502;
  }

  fault(field: string): string | undefined {
    return this.fields.find((each) => each.field === field)?.message;
  }
}

/** Whatever was thrown, as a Problem. An abort by the caller stays an abort. */
export function problemFrom(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof DOMException && error.name === "TimeoutError") return new Problem(0, "timeout", "");
  if (error instanceof TypeError) return new Problem(0, "unreachable_controller", "");
  return new Problem(0, "unexpected", error instanceof Error ? error.message : String(error));
}

/** From the answer's status and body, whatever stands between us and the controller. */
export function problemOf(status: number, body: unknown, retryAfter?: string | null): Problem {
  const seconds = retryAfter && /^\d+$/.test(retryAfter) ? Number(retryAfter) : undefined;
  if (typeof body !== "object" || body === null || typeof (body as { code?: unknown }).code !== "string") {
    return new Problem(status, status >= 502 ? "unreachable_controller" : "unexpected", "", [], undefined, seconds);
  }
  const said = body as { code: string; detail?: string; fields?: FieldFault[]; incident?: string };
  return new Problem(status, said.code, said.detail ?? "", said.fields ?? [], said.incident, seconds);
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
