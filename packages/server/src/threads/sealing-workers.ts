/**
 * Derivations: keys of sealed bodies, by Argon2id, in a thread of their own, so that neither requests nor the work on bodies of
 * objects wait for them.
 *
 * Promises  One is made at a time, so that all together take the memory of one. The thread begins with the first one, and ends
 *           when none was needed for `idleMs`, or the store closes. One that fails, or whose thread ends, fails alone.
 * Limits    DERIVATION_LIMITS.
 */
import type { Worker } from "node:worker_threads"
import { asFailure, fail } from "@hayloft/base/failures.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { startThread } from "@hayloft/base/seams/threads/real.js"
import { InOrder } from "@hayloft/base/life/index.js"
import type { Argon2id } from "../minio/admin/sealed.js"

const DERIVATION_LIMITS = {
  /** So many wait for the one under way; further ones are refused. */
  waitingMax: 32,
  idleMs: 10_000,
} as const

interface Derivation {
  readonly password: string
  readonly salt: Uint8Array
}

export type DerivedKey = { readonly key: Uint8Array } | { readonly reason: string }

/** The other side of the thread has made it. */
export const parseDerivation = (message: unknown): Derivation => message as Derivation
const parseDerivedKey = (message: unknown): DerivedKey => message as DerivedKey

const ENTRY = new URL("./sealing-worker.js", import.meta.url)

export class Derivations {
  private worker: Worker | undefined
  private readonly derivations = new InOrder()
  private waiting = 0
  private cancelEnd = (): void => undefined

  constructor(private readonly clock: Pick<Clock, "alarm">) {}

  readonly argon2id: Argon2id = (password, salt) => {
    if (this.waiting > DERIVATION_LIMITS.waitingMax)
      return Promise.reject(fail("tooManyInFlight", { message: "too many sealed requests at a time; try again" }))
    this.waiting += 1
    return this.derivations.run(() => this.derive({ password, salt })).finally(() => (this.waiting -= 1))
  }

  private async derive(derivation: Derivation): Promise<Uint8Array> {
    this.cancelEnd()
    const worker = (this.worker ??= this.begin())
    try {
      return await answerOf(worker, derivation)
    } finally {
      this.cancelEnd = this.clock.alarm(DERIVATION_LIMITS.idleMs, () => this.end())
    }
  }

  private begin(): Worker {
    const worker = startThread(ENTRY, { name: "sealing", execArgv: [] })
    // The process may end meanwhile.
    worker.unref()
    worker.once("exit", () => {
      if (this.worker === worker) this.worker = undefined
    })
    return worker
  }

  /** Calls under way fail; later calls begin another thread. */
  end(): void {
    this.cancelEnd()
    void this.worker?.terminate()
    this.worker = undefined
  }
}

function answerOf(worker: Worker, derivation: Derivation): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const failed = (reason: string): void =>
      reject(fail("tooManyInFlight", { message: `a sealed body cannot be opened or made now: ${reason}` }))
    const ended = (): void => failed("its thread has ended")
    worker.once("exit", ended)
    worker.once("error", (error: unknown) => failed(asFailure(error).message))
    worker.once("message", (message: unknown) => {
      worker.removeAllListeners("error")
      worker.removeListener("exit", ended)
      const answer = parseDerivedKey(message)
      if ("key" in answer) resolve(answer.key)
      else failed(answer.reason)
    })
    worker.postMessage(derivation)
  })
}
