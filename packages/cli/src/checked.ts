/** Responses of the admin API, checked by its own schemas; members that a newer server adds are dropped. */
import type { z } from "zod"
import { BrokenAnswer } from "@hayloft/client/index.js"

/** Throws `BrokenAnswer`. */
export function checked<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new BrokenAnswer(
    `the admin API returned an unexpected response: ${parsed.error.issues[0]?.message ?? "unknown format"}`,
  )
}
