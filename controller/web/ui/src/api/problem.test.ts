import { expect, it } from "vitest";
import { language } from "../i18n";
import { isAbort, Problem, problemFrom, problemOf } from "./problem";

it("a known code speaks the person's language, an unknown one the server's sentence", () => {
  language.current = "vi";
  expect(problemOf(409, { code: "name_taken", detail: "taken" }).text).toBe("Tên này đã có rồi. Chọn tên khác.");
  language.current = "en";
  expect(problemOf(409, { code: "name_taken", detail: "taken" }).text).toBe("This name is taken. Choose another.");
  expect(problemOf(422, { code: "never_heard_of", detail: "Said by the server." }).text).toBe("Said by the server.");
  language.current = "vi";
});

it("keeps what helps: fields, incident, when to try again", () => {
  const problem = problemOf(
    429,
    { code: "too_many_tries", detail: "", incident: "i-7", fields: [{ field: "name", code: "x", message: "m" }] },
    "30",
  );
  expect([problem.retryAfter, problem.fault("name"), problem.isTransient, problem.isConflict]).toEqual([
    30,
    "m",
    true,
    false,
  ]);
  expect(problem.text).toContain("(i-7)");
});

it("whatever stands in between becomes a problem too", () => {
  expect(problemOf(502, "<html>").code).toBe("unreachable_controller");
  expect(problemOf(200, null).code).toBe("unexpected");
  expect(problemFrom(new TypeError("Failed to fetch")).code).toBe("unreachable_controller");
  expect(problemFrom(new DOMException("", "TimeoutError")).code).toBe("timeout");
  expect(problemFrom(new Problem(404, "not_found", "")).code).toBe("not_found");
  expect(isAbort(new DOMException("", "AbortError"))).toBe(true);
});
