/**
 * First answers: collects enough good answers from several candidates with as few requests in flight as possible.
 *
 * If a candidate fails, the next one is asked immediately. If it is slow, the next one is asked too, and the first
 * answer counts. A device that hangs delays a read by `slowMs`, but does not block it.
 */
import type { Clock } from "@hayloft/base/seams/clock/contract.js"

interface AnswersRequest<Item, Answer> {
  readonly candidates: readonly Item[]
  readonly needed: number
  /** After this long without an answer, the next candidate is asked too. */
  readonly slowMs: number
  /** Resolves with undefined if this candidate has no answer. A rejection rejects the whole. */
  readonly ask: (item: Item) => Promise<Answer | undefined>
}

/** Returns as many answers as are needed, or all that exist. Requests still in flight are not cancelled. */
export async function firstAnswers<Item, Answer>(
  clock: Clock,
  { candidates, needed, slowMs, ask }: AnswersRequest<Item, Answer>,
): Promise<ReadonlyMap<Item, Answer>> {
  const answers = new Map<Item, Answer>()
  const waiting = [...candidates]
  const alarms: (() => void)[] = []
  let running = 0
  try {
    await new Promise<void>((resolve, reject) => {
      const settle = (): void => {
        if (answers.size >= needed || (running === 0 && waiting.length === 0)) resolve()
      }
      const askNext = (): void => {
        const item = waiting.shift()
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
