/**
 * Shares of threads: how much an account pays for its requests at one of several threads that serve. Pure.
 *
 * Each thread is fair to the accounts that it serves. An account with requests at all of them would have as much at each as
 * one that has requests at one alone. So it pays at each thread as many times as much as all that it has used is more than
 * what it has used there: its share is that of one account, spread over its threads.
 *
 * Promises  An account pays at most `threads` times as much, so that it is served at every thread. One that
 *           uses a single thread pays what it uses. What was used counts half as much after each `HALF_MS`.
 * Limits    ACCOUNTS_MAX accounts, those that were told first.
 */
import { must } from "@hayloft/base/assert.js"

/** How long a thread used the processor, or as much as that, for an account. */
export type UsedByAccount = readonly [account: string, usedMs: number]
/** An account pays so many times as much. */
export type AccountFactor = readonly [account: string, times: number]

const HALF_MS = 500
const ACCOUNTS_MAX = 1_000
/** Less than this is forgotten. */
const USED_MS_MIN = 0.1

interface Use {
  usedMs: number
  atMs: number
}

export class ThreadShares {
  /** By account, then by thread. */
  private readonly accounts = new Map<string, Map<string, Use>>()

  /** Notes what the thread has used since it last told. Returns the accounts that pay more there. */
  note(thread: string, used: readonly UsedByAccount[], nowMs: number): readonly AccountFactor[] {
    for (const [account, usedMs] of used) this.add(account, thread, usedMs, nowMs)
    const factors: AccountFactor[] = []
    for (const [account, threads] of this.accounts) {
      let allMs = 0
      for (const [name, use] of threads) {
        const leftMs = leftOf(use, nowMs)
        if (leftMs < USED_MS_MIN) threads.delete(name)
        else allMs += leftMs
      }
      if (threads.size === 0) this.accounts.delete(account)
      if (threads.size < 2 || !threads.has(thread)) continue
      const ownMs = leftOf(must(threads.get(thread), "it has used some"), nowMs)
      factors.push([account, Math.min(threads.size, allMs / ownMs)])
    }
    return factors
  }

  private add(account: string, thread: string, usedMs: number, nowMs: number): void {
    const threads = this.accounts.get(account) ?? new Map<string, Use>()
    if (threads.size === 0 && this.accounts.size >= ACCOUNTS_MAX) return
    this.accounts.set(account, threads)
    const before = threads.get(thread)
    threads.set(thread, { usedMs: usedMs + (before === undefined ? 0 : leftOf(before, nowMs)), atMs: nowMs })
  }
}

const leftOf = ({ usedMs, atMs }: Use, nowMs: number): number => usedMs * 0.5 ** ((nowMs - atMs) / HALF_MS)
