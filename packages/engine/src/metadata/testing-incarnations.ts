/** Incarnations of a process with several threads, for tests. */
import type { Incarnation } from "@hayloft/base/ids.js"
import { incarnationsSeen, seenOf, type Incarnations, type ThreadIncarnations } from "./incarnations.js"

/** The incarnations of a process with several threads as the thread `who` of it sees them. */
export const incarnationsOf = (snapshot: () => ThreadIncarnations, who: Incarnation): Incarnations =>
  incarnationsSeen(() => seenOf(snapshot()), who)
