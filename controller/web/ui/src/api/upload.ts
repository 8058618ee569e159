/** Sending a file with progress: `fetch` cannot tell how much went out, XMLHttpRequest can. */
import { csrfHeader, signedOut } from "./client";
import { Problem, problemOf } from "./problem";

export interface Upload<T> {
  /** What the API answered. Rejects with a Problem, or with an AbortError after `cancel`. */
  done: Promise<T>;
  cancel: () => void;
}

export interface UploadOptions {
  method?: "POST" | "PUT";
  headers?: Record<string, string>;
  /** From 0 to 1; told for what left this machine, so 1 does not mean that it was accepted. */
  onProgress?: (part: number) => void;
  /** Nothing moved for so long: give up. */
  stallMs?: number;
}

export function upload<T>(url: string, body: Blob, options: UploadOptions = {}): Upload<T> {
  const request = new XMLHttpRequest();
  const stallMs = options.stallMs ?? 60_000;
  let stall: ReturnType<typeof setTimeout> | undefined;
  let stalled = false;
  const watch = () => {
    clearTimeout(stall);
    stall = setTimeout(() => {
      stalled = true;
      request.abort();
    }, stallMs);
  };
  const done = new Promise<T>((resolve, reject) => {
    request.open(options.method ?? "POST", url);
    request.responseType = "json";
    const headers = { "Content-Type": body.type || "application/octet-stream", ...csrfHeader(), ...options.headers };
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => {
      watch();
      if (event.lengthComputable) options.onProgress?.(event.total > 0 ? event.loaded / event.total : 1);
    };
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) return resolve(request.response as T);
      if (request.status === 401) signedOut();
      reject(problemOf(request.status, request.response, request.getResponseHeader("Retry-After")));
    };
    request.onerror = () => reject(new Problem(0, "unreachable_controller", ""));
    request.onabort = () =>
      reject(stalled ? new Problem(0, "timeout", "") : new DOMException("cancelled", "AbortError"));
    request.onloadend = () => clearTimeout(stall);
    watch();
    request.send(body);
  });
  return { done, cancel: () => request.abort() };
}
