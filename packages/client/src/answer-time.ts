/** The clock of a store, to the second, as its responses tell it. */
import { parseHttpDate } from "@hayloft/base/text/dates.js"
import type { ServerAnswer } from "./http-caller.js"
import { BrokenAnswer } from "./remote.js"

type Headed = Pick<ServerAnswer, "headers">

/** Returns undefined if the response does not tell it. */
export const timeIn = ({ headers }: Headed): number | undefined => parseHttpDate(String(headers.date ?? ""))

/** Throws `BrokenAnswer` if the response does not tell it. */
export function timeOf(answer: Headed): number {
  const timeMs = timeIn(answer)
  if (timeMs === undefined) throw new BrokenAnswer("the response does not tell the store's time")
  return timeMs
}
