/**
 * The objects that decisions were based on, by their lists or their tags, and reads of those same objects.
 *
 * Promises  A read returns what was decided about. If an object was replaced in between, the caller is authorised again
 *           for the one that replaced it.
 * Limits    `RETRIES_MAX`.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Soon } from "@hayloft/base/soon.js"

/** How often a read starts over because the object was replaced, before the client is asked to retry. */
const RETRIES_MAX = 3

export class SeenObjects {
  /** Each as it was read, and a function that reads it again. */
  private reads: { readonly seen: string; readonly read: () => Promise<unknown> }[] = []

  get isEmpty(): boolean {
    return this.reads.length === 0
  }

  async note<Found>(read: () => Promise<Found>): Promise<Found> {
    const found = await read()
    this.reads.push({ seen: JSON.stringify(found), read })
    return found
  }

  /** Returns true if one of them has been replaced since it was noted. None is known any more. */
  async wereReplaced(): Promise<boolean> {
    const reads = this.reads
    this.reads = []
    for (const { seen, read } of reads) if (JSON.stringify(await read()) !== seen) return true
    return false
  }
}

/** A read of objects for which the caller has been authorised. */
interface DecidedRead<Opened> {
  readonly open: () => Soon<Opened>
  readonly close: (opened: Opened) => void
  readonly wasReplaced: () => Promise<boolean>
  readonly decideAgain: () => Soon<unknown>
}

/** Opens what the decision was based on; if that has been replaced, decides again. Throws `conflict` if that happens repeatedly. */
export async function openUnchanged<Opened>(reading: DecidedRead<Opened>): Promise<Opened> {
  for (let retries = RETRIES_MAX; ; retries -= 1) {
    const opened = await reading.open()
    const wasReplaced = await reading.wasReplaced().catch((error: unknown) => {
      reading.close(opened)
      throw error
    })
    if (!wasReplaced) return opened
    reading.close(opened)
    if (retries === 0) throw replacedRepeatedly()
    await reading.decideAgain()
  }
}

/**
 * The same for a copy, which opens its source itself. `copy` decides, and calls `checkOpened` once the source is open: that
 * fails if it may be another one.
 */
export async function copyUnchanged<Copied>(
  wasReplaced: () => Promise<boolean>,
  copy: (checkOpened: () => Promise<void>) => Promise<Copied>,
): Promise<Copied> {
  for (let retries = RETRIES_MAX; ; retries -= 1) {
    const replaced = replacedRepeatedly()
    const checkOpened = async (): Promise<void> => {
      if (await wasReplaced()) throw replaced
    }
    try {
      return await copy(checkOpened)
    } catch (error) {
      if (error !== replaced || retries === 0) throw error
    }
  }
}

const replacedRepeatedly = () => fail("conflict", { reason: "the object was replaced repeatedly during the read" })
