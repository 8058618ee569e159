export { api, call, everything, once, slow } from "./client";
export { isAbort, Problem, problemFrom } from "./problem";
export type * as shapes from "./schema";
export { upload, type Upload } from "./upload";
