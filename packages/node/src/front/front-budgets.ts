/**
 * Front budgets: limits of work under way that all threads of a process have together. The engine thread grants them; a front
 * asks it before each work, and tells when the work has ended.
 *
 * Promises  First come, first served, whichever thread it is. What a front had that has ended is free again, and its calls
 *           that wait are over.
 * Limits    Those of the budgets. The caller bounds what waits.
 */
import { must } from "@hayloft/base/assert.js"
import type { Budget } from "@hayloft/base/life/index.js"
import { reading, type ThreadLink } from "@hayloft/engine/thread/index.js"

interface Taking {
  readonly budget: string
  /** A number of this front. */
  readonly id: number
  readonly units: number
}

const BUDGET_METHODS = {
  /** Answers once the work may begin. */
  take: reading<Taking, void>("take budget"),
  /** The work with this id has ended. */
  give: reading<number, void>("give budget"),
} as const

/** Grants a front of these budgets, by their names. Before the link starts. */
export function serveBudgets(link: ThreadLink, budgets: Readonly<Record<string, Budget>>): void {
  const ends = new Map<number, () => void>()
  const waiting = new Set<() => void>()
  let isOver = false
  link.handle(BUDGET_METHODS.take, ({ budget, id, units }) => {
    const of = must(budgets[budget], `there is a budget ${budget}`)
    return new Promise<void>(granted => {
      waiting.add(granted)
      const work = (): Promise<void> =>
        new Promise(ended => {
          waiting.delete(granted)
          granted()
          if (isOver) ended()
          else ends.set(id, ended)
        })
      void of.run(units, work)
    })
  })
  link.handle(BUDGET_METHODS.give, id => {
    ends.get(id)?.()
    ends.delete(id)
  })
  void link.ended.then(() => {
    isOver = true
    for (const ended of ends.values()) ended()
    for (const granted of waiting) granted()
  })
}

/** The budgets of the process, in a front. */
export class FrontBudgets {
  private lastId = 0

  constructor(private readonly link: Pick<ThreadLink, "call">) {}

  /** Throws `stopping` and `tooManyInFlight`, as the link. */
  of(budget: string): Budget {
    return {
      run: async (units, work) => {
        this.lastId += 1
        const id = this.lastId
        await this.link.call(BUDGET_METHODS.take, { budget, id, units })
        try {
          return await work()
        } finally {
          this.link.call(BUDGET_METHODS.give, id).catch(() => undefined)
        }
      },
    }
  }
}
