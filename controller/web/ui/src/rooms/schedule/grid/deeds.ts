/** What is done to the grid, each with its way back. */
import { api, call, Problem } from "../../../api";
import type { shapes } from "../../../api";
import { shifted } from "../recurrence";
import type { Item } from "./tiles";
import { wallAt, type Wall } from "./wall";

export type Scope = "this" | "following";

export interface Edit {
  scope: Scope;
  /** Local start; null = it stays. */
  start: Wall | null;
  /** New length of a relay's window, only for "following"; null = it stays. */
  slotS: number | null;
  /** A sound of its own, only for "this"; null = as its programme; left out = it stays. */
  own?: shapes.RecordedShapeOutput | null;
}

/** One occurrence, said whole. */
type Exceptional = Omit<shapes.OccurrenceEdit, "version">;

/** Takes back what was done. */
export type Undo = () => Promise<void>;

const path = (item: { programme_id: string; recurrence: string }) => ({
  programme_id: item.programme_id,
  recurrence: item.recurrence,
});

/** What an edit would meet, without making it. */
export function previewEdit(item: Item, edit: Edit, zone: string, signal?: AbortSignal): Promise<shapes.EditPreview> {
  const said = edit.scope === "this" ? exception(item, edit, zone) : { start: edit.start, slot_s: edit.slotS };
  const body = { scope: edit.scope, cancelled: false, ...said };
  const url = "/api/v1/programmes/{programme_id}/occurrences/{recurrence}/preview";
  return orWhole(
    () => call(api.POST(url, { params: { path: path(item) }, body, signal })),
    async () => {
      const before = await programme(item.programme_id, signal);
      return outlook(wholeOf(before, edit), { programmeId: before.id, awaitApproval: true, signal });
    },
  );
}

/** What a programme that is being written would meet, and what it would sound in the 24 hours from there. */
export function outlook(
  shape: shapes.ProgrammeShapeInput,
  how: { programmeId?: string; awaitApproval: boolean; from?: Date; signal?: AbortSignal },
): Promise<shapes.OutlookView> {
  const begin = how.from ?? new Date();
  const body = {
    programme: shape,
    programme_id: how.programmeId ?? null,
    await_approval: how.awaitApproval,
    begin: begin.toISOString(),
    end: new Date(begin.getTime() + 86_400_000).toISOString(),
  };
  return call(api.POST("/api/v1/programmes/outlook", { body, signal: how.signal }));
}

export function programme(id: string, signal?: AbortSignal): Promise<shapes.ProgrammeView> {
  return call(api.GET("/api/v1/programmes/{programme_id}", { params: { path: { programme_id: id } }, signal }));
}

export async function makeEdit(item: Item, edit: Edit, zone: string): Promise<Undo> {
  if (edit.scope === "this") return editThis(item, { ...exception(item, edit, zone), cancelled: false });
  return orWhole(
    () => split(item, edit),
    async () => {
      const before = await programme(item.programme_id);
      return change(before, wholeOf(before, edit), true);
    },
  );
}

/** From the first occurrence on is the whole: there is nothing to cut off. */
async function orWhole<T>(following: () => Promise<T>, whole: () => Promise<T>): Promise<T> {
  try {
    return await following();
  } catch (error) {
    if (error instanceof Problem && error.code === "split_nothing_before") return whole();
    throw error;
  }
}

function wholeOf(before: shapes.ProgrammeView, edit: Edit): shapes.ProgrammeShapeInput {
  const shape = shapeOnly(before);
  if (edit.slotS !== null) shape.slot_s = edit.slotS;
  if (edit.start === null) return shape;
  return {
    ...shape,
    dtstart: edit.start,
    rrule: shifted(shape.rrule ?? null, shape.dtstart, edit.start),
    exdates: [],
    moved: [],
    replaced: [],
  };
}

/** Leave this one out. */
export function leaveOut(item: Item): Promise<Undo> {
  return editThis(item, { start: null, content: null, cancelled: true });
}

/** Take the whole programme off every plan, and off the air. */
export async function withdraw(programmeId: string): Promise<void> {
  await call(api.POST("/api/v1/orders/withdraw", { body: { rule_id: programmeId, recurrence: null } }));
}

/** One occurrence said whole, as the API takes it: what the edit leaves as it is has to be said again. */
function exception(item: Item, { start, own }: Edit, zone: string): Pick<Exceptional, "start" | "content"> {
  const stands = item.moved ? wallAt(item.start, zone) : null;
  return { start: start ?? stands, content: own === undefined ? item.own : own };
}

async function editThis(item: Item, how: Exceptional): Promise<Undo> {
  const url = "/api/v1/programmes/{programme_id}/occurrences/{recurrence}/move";
  const params = { path: path(item) };
  const { programme, before } = await call(api.POST(url, { params, body: { ...how, version: item.version } }));
  return async () => {
    await call(api.POST(url, { params, body: { ...before, version: programme.version } }));
  };
}

async function split(item: Item, edit: Edit): Promise<Undo> {
  const url = "/api/v1/programmes/{programme_id}/occurrences/{recurrence}/split";
  const body = { version: item.version, start: edit.start, slot_s: edit.slotS };
  const divided = await call(api.POST(url, { params: { path: path(item) }, body }));
  return async () => {
    const joined = {
      version: divided.programme.version,
      programme: divided.before,
      following: divided.following.id,
    };
    const params = { path: { programme_id: divided.programme.id } };
    await call(api.POST("/api/v1/programmes/{programme_id}/join", { params, body: joined }));
  };
}

/** A whole programme said anew; the way back says it as it was. */
export async function change(
  before: shapes.ProgrammeView,
  shape: shapes.ProgrammeShapeInput,
  awaitApproval: boolean,
): Promise<Undo> {
  const params = { path: { programme_id: before.id } };
  const put = (body: shapes.ProgrammeShapeInput, version: number) =>
    call(
      api.PUT("/api/v1/programmes/{programme_id}", {
        params,
        body: { ...body, version, await_approval: awaitApproval },
      }),
    );
  const after = await put(shape, before.version);
  return async () => {
    await put(shapeOnly(before), after.version);
  };
}

/** A view without what only the API may say. */
export function shapeOnly(view: shapes.ProgrammeView): shapes.ProgrammeShapeInput {
  const { id, state, version, next_start, problems, created_by, created_at, ...shape } = view;
  void [id, state, version, next_start, problems, created_by, created_at];
  return shape;
}
