/**
 * Silence: which sessions were not renewed for too long, as one process of the store has seen it. Pure: moments come in
 * as arguments, in milliseconds of the process's own monotonic clock.
 *
 * Promises  A session is over at the earliest so long after its last renewal as it has said, whatever the wall clocks do:
 *           only time between two looks that saw the same beat counts. While the process, or the store, is stopped no
 *           client can renew: of that time only COORD_LIMITS.stepMsMax counts.
 */
import type { SessionBeat } from "./coord-queries-core.js"
import { COORD_LIMITS } from "./limits.js"

interface Seen {
  readonly beat: number
  readonly silentMs: number
}

export class Silence {
  private seen = new Map<string, Seen>()
  private lastAnsweredMs = -Infinity

  /** All sessions of the store, from rows that were read between the two moments. Returns those that are over. */
  observe(beats: readonly SessionBeat[], askedMs: number, answeredMs: number): readonly SessionBeat[] {
    const passedMs = Math.min(askedMs - this.lastAnsweredMs, COORD_LIMITS.stepMsMax)
    this.lastAnsweredMs = answeredMs
    const now = new Map<string, Seen>()
    const over = beats.filter(each => {
      const key = `${each.account} ${each.id}`
      const before = this.seen.get(key)
      const silentMs = before?.beat === each.beat ? before.silentMs + Math.max(0, passedMs) : 0
      now.set(key, { beat: each.beat, silentMs })
      return silentMs >= each.silenceMs
    })
    this.seen = now
    return over
  }

  get sessions(): number {
    return this.seen.size
  }
}
