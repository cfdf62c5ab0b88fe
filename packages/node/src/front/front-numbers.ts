/** Front numbers: where the incarnations of a process's fronts come from, on one machine and in a database. */
import type { Incarnation } from "@hayloft/base/ids.js"
import {
  reservedThreads,
  seenOf,
  withFront,
  withoutFront,
  type SeenIncarnations,
  type ThreadIncarnations,
} from "@hayloft/engine/metadata/index.js"
import type { SharedMetadata } from "../metadata/database.js"

export interface BegunFront {
  readonly front: Incarnation
  /** The incarnation of the process. The front is over once that is. */
  readonly process: Incarnation
}

export interface FrontNumbers {
  /** The incarnation of the process now. */
  readonly own: Incarnation
  readonly seen: SeenIncarnations
  /** Throws `limitExceeded`, and what a command throws. */
  begin(): Promise<BegunFront>
  /** Nothing of the front takes effect any more once this resolves. Throws what a command throws: then it is to be tried again. */
  end(front: Incarnation): Promise<void>
}

/** For a store that one process at a time can open: numbers that its start has reserved. */
export class ReservedNumbers implements FrontNumbers {
  private threads: ThreadIncarnations

  constructor(
    readonly own: Incarnation,
    reserved: number,
  ) {
    this.threads = reservedThreads(own, reserved)
  }

  get seen(): SeenIncarnations {
    return seenOf(this.threads)
  }

  async begin(): Promise<BegunFront> {
    const { front, after } = withFront(this.threads)
    this.threads = after
    return { front, process: this.own }
  }

  async end(front: Incarnation): Promise<void> {
    this.threads = withoutFront(this.threads, front)
  }
}

type NumbersOfDatabase = Pick<SharedMetadata, "incarnations" | "seenIncarnations" | "beginThread" | "endThread">

/** For a store whose metadata is in a database, which gives the numbers: other nodes see there which fronts are over. */
export const numbersOf = (metadata: NumbersOfDatabase): FrontNumbers => ({
  get own() {
    return metadata.incarnations.own
  },
  get seen() {
    return metadata.seenIncarnations
  },
  async begin() {
    const { thread, process } = await metadata.beginThread()
    return { front: thread, process }
  },
  end: front => metadata.endThread(front),
})
