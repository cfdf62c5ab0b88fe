/** Schemas of the lines that every stream of the admin API may have, next to its own. */
import { z } from "zod"

const HEARTBEAT = z
  .object({ type: z.literal("heartbeat"), atMs: z.number().int().describe("milliseconds since 1970") })
  .meta({ id: "Heartbeat" })

const DROPPED = z
  .object({
    type: z.literal("dropped"),
    lines: z
      .number()
      .int()
      .describe("lines left out here, because this client reads too slowly, or another node of the store had too many"),
  })
  .meta({ id: "DroppedLines" })

const END = z
  .object({ type: z.literal("end"), reason: z.string().describe("why the server ends the stream") })
  .meta({ id: "EndOfStream" })

const STREAM_LINES = [HEARTBEAT, DROPPED, END] as const
export type StreamLine = z.output<(typeof STREAM_LINES)[number]>

/** The lines of a stream whose own lines have the schema. */
export const streamOf = <T extends z.ZodType>(line: T) => z.union([line, ...STREAM_LINES])
