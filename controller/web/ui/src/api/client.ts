/**
 * The API, typed from its OpenAPI document. Rules kept here: every request ends (15 s unless it says otherwise), every
 * refusal is a {@link Problem}, whatever changes something carries the session's CSRF value.
 *
 *     const areas = await call(api.GET("/api/v1/areas", { signal }));
 *     await call(api.POST("/api/v1/orders/stop", { body: { everywhere: true }, headers: once() }));
 */
import createClient from "openapi-fetch";
import { language } from "../i18n";
import { problemFrom, problemOf, isAbort } from "./problem";
import type { paths } from "./schema";

/** How long an ordinary request may take. */
export const PATIENCE_MS = 15_000;

let csrf = "";
let onSignedOut: () => void = () => undefined;

/** Told by the session: what to send along, and whom to tell when the controller no longer knows us. */
export function authorise(value: string, signedOut: () => void): void {
  csrf = value;
  onSignedOut = signedOut;
}

/** The session's CSRF value, for what does not go through this client (uploads). */
export function csrfHeader(): Record<string, string> {
  return csrf ? { "X-CSRF-Token": csrf } : {};
}

export function signedOut(): void {
  onSignedOut();
}

export async function patientFetch(request: Request, patience: number = PATIENCE_MS): Promise<Response> {
  request.headers.set("Accept-Language", language.current);
  if (!["GET", "HEAD"].includes(request.method)) {
    for (const [name, value] of Object.entries(csrfHeader())) request.headers.set(name, value);
  }
  return fetch(request, { signal: AbortSignal.any([request.signal, AbortSignal.timeout(patience)]) });
}

export const api = createClient<paths>({
  baseUrl: globalThis.location?.origin ?? "http://console.test",
  fetch: patientFetch,
});

/** For what takes long: `slow(120).POST(…)`. */
export function slow(seconds: number): typeof api {
  return createClient<paths>({ baseUrl: location.origin, fetch: (request) => patientFetch(request, seconds * 1000) });
}

interface Answered {
  data?: unknown;
  error?: unknown;
  response: Response;
}

/** The answer's content, or a Problem thrown. */
export async function call<R extends Answered>(asked: Promise<R>): Promise<Exclude<R["data"], undefined>> {
  let answer: R;
  try {
    answer = await asked;
  } catch (error) {
    throw isAbort(error) ? error : problemFrom(error);
  }
  const { response } = answer;
  if (response.ok) return answer.data as Exclude<R["data"], undefined>;
  const problem = problemOf(response.status, answer.error, response.headers.get("Retry-After"));
  if (problem.status === 401 && problem.code === "unauthenticated") onSignedOut();
  throw problem;
}

/** A header under which the same order acts once, however often it is sent. Make it when the person decides. */
export function once(): { "Idempotency-Key": string } {
  return { "Idempotency-Key": crypto.randomUUID() };
}

interface Paged<T> {
  items: readonly T[];
  next?: string | null;
}

/** A whole list, page by page: `everything((query) => api.GET("/api/v1/areas", { params: { query }, signal }))`. */
export async function everything<T>(
  page: (query: {
    limit: number;
    cursor?: string;
  }) => Promise<{ data?: Paged<T>; error?: unknown; response: Response }>,
): Promise<T[]> {
  const all: T[] = [];
  let cursor: string | undefined;
  do {
    const part: Paged<T> = await call(page({ limit: 500, ...(cursor ? { cursor } : {}) }));
    all.push(...part.items);
    cursor = part.next ?? undefined;
  } while (cursor);
  return all;
}
