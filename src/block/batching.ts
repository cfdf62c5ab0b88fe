/**
 * Gathering: enough good answers out of several candidates, asked as few at a time as will do.
 *
 * One that fails is followed by the next candidate at once, one that is slow is followed and not given
 * up: whichever comes first counts. So a device that hangs costs a read its slow time, never its end.
 */
import type { Clock } from "../seams/clock/contract.js"

export interface GatherRequest<Item, Answer> {
  readonly candidates: readonly Item[]
  readonly needed: number
  /** After this long without an answer the next candidate is asked as well. */
  readonly slowMs: number
  /** Undefined: this one has nothing to offer. A rejection ends the whole. */
  readonly ask: (item: Item) => Promise<Answer | undefined>
}

/** As many answers as are needed, or all that there are. What is still under way is left to itself. */
export async function gather<Item, Answer>(
  clock: Clock,
  { candidates, needed, slowMs, ask }: GatherRequest<Item, Answer>,
): Promise<ReadonlyMap<Item, Answer>> {
  const answers = new Map<Item, Answer>()
  const left = [...candidates]
  const alarms: (() => void)[] = []
  let running = 0
  try {
    await new Promise<void>((resolve, reject) => {
      const settle = (): void => {
        if (answers.size >= needed || (running === 0 && left.length === 0)) resolve()
      }
      const askNext = (): void => {
        const item = left.shift()
        if (item === undefined) return
        running += 1
        let isWaitedFor = true
        const ended = (): void => {
          running -= 1
          const isLate = !isWaitedFor
          isWaitedFor = false
          if (answers.size < needed && !answers.has(item) && !isLate) askNext()
          settle()
        }
        ask(item).then(answer => {
          if (answer !== undefined) answers.set(item, answer)
          ended()
        }, reject)
        alarms.push(
          clock.alarm(slowMs, () => {
            if (!isWaitedFor) return
            isWaitedFor = false
            askNext()
          }),
        )
      }
      for (let n = 0; n < needed; n += 1) askNext()
      settle()
    })
    return new Map([...answers].slice(0, needed))
  } finally {
    for (const callOff of alarms) callOff()
  }
}
