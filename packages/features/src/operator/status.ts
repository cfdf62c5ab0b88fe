/** The part of a feature in the status of a store: one field, and the lines that the command line shows of it. */
import type { Core } from "@hayloft/objects/door/index.js"
import type { z } from "zod"

/** A line of the status: its title, and the text. */
export type StatusLine = readonly [title: string, text: string]

interface StatusField<Schema extends z.ZodType> {
  /** The name of the field. */
  readonly name: string
  /** The sentence of the OpenAPI document about the field. */
  readonly description: string
  readonly schema: Schema
  /** Returns undefined, and the field is absent, if there is nothing to tell. Reads no rows: jobs have read them. */
  report(core: Core): z.input<Schema> | undefined
  /** The lines that `hayloft status` shows of a report. */
  lines(report: z.output<Schema>, nowMs: number): readonly StatusLine[]
}

export interface StatusPart {
  readonly name: string
  /** The schema of the field, which may be absent. */
  readonly schema: z.ZodType
  report(core: Core): unknown
  /** The lines are none if the field is absent. */
  lines(report: unknown, nowMs: number): readonly StatusLine[]
}

export const statusPart = <Schema extends z.ZodType>(field: StatusField<Schema>): StatusPart => ({
  name: field.name,
  schema: field.schema.optional().describe(field.description),
  report: core => field.report(core),
  lines: (report, nowMs) => (report === undefined ? [] : field.lines(field.schema.parse(report), nowMs)),
})
