/** Schemas of notable events in the admin API's JSON. */
import { z } from "zod"

const timestamp = z.number().int().describe("milliseconds since 1970")

const MEMBERS = {
  id: z.string(),
  atMs: timestamp.describe("of the first occurrence, in milliseconds since 1970"),
  lastMs: timestamp.describe("of the last one that is counted here"),
  count: z.number().int().describe("occurrences within ten minutes from the first, about the same thing"),
  level: z.enum(["info", "warn", "error"]),
  code: z.string().describe("as in the log; `hayloft explain CODE` says what to do"),
  node: z.string().optional().describe("absent on one machine"),
  fields: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
    .describe("those of the log line of the first occurrence"),
}

export const EVENT = z.object(MEMBERS).meta({ id: "Event" })

export const EVENT_PAGE = z
  .object({
    events: z.array(EVENT).describe("the latest first"),
    next: z.string().optional(),
    incomplete: z
      .string()
      .optional()
      .describe("why the metadata could not be read: then only events of this node are here, which are not stored yet"),
  })
  .meta({ id: "EventPage" })

export const FOLLOWED_EVENT = z.object({ type: z.literal("event"), ...MEMBERS }).meta({ id: "FollowedEvent" })
