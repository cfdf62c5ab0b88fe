/** Schemas of queues in the admin API's JSON. */
import { z } from "zod"

const count = z.number().int().nonnegative()
const PAUSE = z.enum(["none", "in", "out", "all"]).describe("in: nothing is added; out: nothing is delivered")
const REDRIVE = z
  .strictObject({
    maxDeliveries: z.number().int().min(1).max(1_000),
    deadQueue: z.string().describe("of the same account; made when a message moves"),
  })
  .meta({ id: "Redrive" })

const SETTINGS = {
  delaySeconds: count.max(900).describe("before a new message is due"),
  visibilitySeconds: count.max(43_200).describe("until a message is due again that is not acknowledged"),
  retentionSeconds: z.number().int().min(60).max(1_209_600).describe("a message is removed so long after it was added"),
  bytesMax: z.number().int().min(1_024).describe("of all contents together"),
}

export const QUEUE = z
  .object({
    account: z.string(),
    name: z.string(),
    createdMs: count,
    messages: count.describe("of any state"),
    bytes: count.describe("of their contents"),
    due: count.describe("a consumer gets them now"),
    inFlight: count.describe("delivered, and neither acknowledged nor due again"),
    delayed: count,
    waiting: count.describe("requests that wait for messages at this node"),
    pause: PAUSE,
    ...SETTINGS,
    redrive: REDRIVE.optional(),
  })
  .meta({ id: "Queue" })

export const QUEUES = z.object({ queues: z.array(QUEUE), next: z.string().optional() }).meta({ id: "Queues" })

export const NEW_QUEUE = z
  .strictObject({ name: z.string(), account: z.string().optional().describe("the root account by default") })
  .meta({ id: "NewQueue" })

export const QUEUE_CHANGE = z
  .strictObject({
    pause: PAUSE.optional(),
    delaySeconds: SETTINGS.delaySeconds.optional(),
    visibilitySeconds: SETTINGS.visibilitySeconds.optional(),
    retentionSeconds: SETTINGS.retentionSeconds.optional(),
    bytesMax: SETTINGS.bytesMax.optional(),
    redrive: REDRIVE.nullable().optional().describe("null: messages move nowhere"),
  })
  .meta({ id: "QueueChange" })

const MESSAGE = z.object({
  id: z.string(),
  createdMs: count,
  dueMs: count,
  expiresMs: count,
  deliveries: count,
  nacks: count,
  bytes: count,
  movedFrom: z.string().optional().describe("the queue that it was in before it was delivered too often"),
  body: z.string().describe("its beginning, as text"),
})

export const SENT_MESSAGE = z.object({ id: z.string() }).meta({ id: "SentMessage" })

export const MESSAGES = z
  .object({ messages: z.array(MESSAGE).describe("that are due, the oldest first") })
  .meta({ id: "QueueMessages" })
