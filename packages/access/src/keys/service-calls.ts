/**
 * Calls to an external key service, within limits.
 *
 * Promises  Every call ends within `KMS_LIMITS.callMs`, whatever the service does. No more than `callsMax` run at once, so
 *           that a service that hangs holds few connections; no more than `waitingMax` wait. While the service counts as
 *           unreachable calls fail at once, except for one probe in a while.
 * Throws    `keyServiceUnavailable` if the service does not respond in time or refuses the store's credentials. What an
 *           attempt throws itself is the service's answer to the caller.
 * Logs      key_service_unreachable, key_service_reachable_again, key_service_refuses_credentials.
 */
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Counter, Log } from "@hayloft/base/seams/telemetry/contract.js"
import { admit, afterFailure, REACHABLE, type Moment, type Reachability } from "./reachability-core.js"
import { KMS_LIMITS } from "./service-limits.js"

/**
 * How an attempt ended. "refused": the service does not accept the credentials of this store for the call. "throttled":
 * it has too much to do, which is no failure of it.
 */
export type Attempt<T> =
  | { readonly kind: "answered"; readonly value: T }
  | { readonly kind: "unreachable"; readonly reason: string }
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "throttled" }

export type KeyServiceName = "vault" | "aws"

/** A service as status shows it. */
export interface KeyServiceReport {
  readonly name: KeyServiceName
  readonly state: "reachable" | "unreachable" | "refuses"
  /** The two last states have it. */
  readonly sinceMs?: number
  readonly reason?: string
  readonly running: number
  readonly waiting: number
}

interface Waiter {
  begin(): void
  refuse(failure: Failure): void
}

export class ServiceCalls {
  private reachability: Reachability = REACHABLE
  private refused: { readonly sinceMs: number; readonly reason: string } | undefined
  private alarmedMs: number | undefined
  private running = 0
  private readonly waiters = new Set<Waiter>()

  constructor(
    readonly name: KeyServiceName,
    private readonly clock: Clock,
    private readonly log: Log,
    /** Attempts, by how they ended. */
    private readonly ended: Counter,
  ) {}

  /** 0 while it counts as reachable. */
  get unreachableMs(): number {
    const { since } = this.reachability.unreachable ?? {}
    return since === undefined ? 0 : this.clock.monotonicMs() - since.monotonicMs
  }

  report(): KeyServiceReport {
    const { unreachable } = this.reachability
    const { refused, name, running } = this
    const load = { name, running, waiting: this.waiters.size }
    if (unreachable !== undefined) {
      const { since, reason } = unreachable
      return { ...load, state: "unreachable", sinceMs: since.wallMs, reason }
    }
    return refused === undefined ? { ...load, state: "reachable" } : { ...load, state: "refuses", ...refused }
  }

  /** `attempt` may run on after its signal has fired: nobody waits for it any more. */
  async call<T>(attempt: (signal: AbortSignal) => Promise<Attempt<T>>): Promise<T> {
    const { isTried, state } = admit(this.reachability, this.now())
    this.reachability = state
    if (!isTried) throw this.unavailable()
    const endsAtMs = this.clock.monotonicMs() + KMS_LIMITS.callMs
    if (this.running >= KMS_LIMITS.callsMax) await this.turn(endsAtMs)
    else this.running += 1
    try {
      return await this.attempts(attempt, endsAtMs)
    } finally {
      this.leave()
    }
  }

  private async attempts<T>(attempt: (signal: AbortSignal) => Promise<Attempt<T>>, endsAtMs: number): Promise<T> {
    for (let made = 1; ; made += 1) {
      const leftMs = endsAtMs - this.clock.monotonicMs()
      const outcome = await this.within(Math.min(leftMs, KMS_LIMITS.attemptMs), attempt)
      if (outcome.kind === "answered") return outcome.value
      if (outcome.kind === "refused") throw this.onRefused(outcome.reason)
      if (outcome.kind === "throttled") this.onThrottled()
      else this.onFailed(outcome.reason)
      if (this.reachability.unreachable !== undefined) throw this.unavailable()
      if (made >= KMS_LIMITS.attemptsMax || this.clock.monotonicMs() + KMS_LIMITS.pauseMs >= endsAtMs)
        throw this.unavailable()
      await this.clock.sleep(KMS_LIMITS.pauseMs, new AbortController().signal)
      // Other calls may have failed meanwhile.
      if (this.reachability.unreachable !== undefined) throw this.unavailable()
    }
  }

  private async within<T>(limitMs: number, attempt: (signal: AbortSignal) => Promise<Attempt<T>>): Promise<Attempt<T>> {
    const stop = new AbortController()
    try {
      const outcome = await new Promise<Attempt<T>>((resolve, reject) => {
        const cancel = this.clock.alarm(limitMs, () => {
          stop.abort()
          resolve({ kind: "unreachable", reason: `no answer within ${Math.round(limitMs)} ms` })
        })
        attempt(stop.signal).then(resolve, reject).finally(cancel)
      })
      if (outcome.kind === "answered") this.onAnswered()
      return outcome
    } catch (error) {
      if (isFailure(error, "providerUnreachable")) return { kind: "unreachable", reason: reasonOf(error) }
      // A file of credentials that cannot be read.
      if (isFailure(error, "invalidConfig")) return { kind: "refused", reason: error.message }
      // The service has answered that the key or the ciphertext is at fault.
      if (isFailure(error)) this.onAnswered()
      throw error
    }
  }

  private onAnswered(): void {
    this.ended.add({ service: this.name, outcome: "answered" })
    this.onReached()
    this.refused = undefined
  }

  private onReached(): void {
    const { unreachable } = this.reachability
    this.reachability = REACHABLE
    if (unreachable === undefined) return
    const seconds = Math.round((this.clock.monotonicMs() - unreachable.since.monotonicMs) / 1000)
    this.log.info("key_service_reachable_again", { service: this.name, unreachableSeconds: seconds })
  }

  private onRefused(reason: string): Failure {
    this.ended.add({ service: this.name, outcome: "refused" })
    this.onReached()
    const { wallMs, monotonicMs } = this.now()
    this.refused ??= { sinceMs: wallMs, reason }
    if (this.alarmedMs === undefined || monotonicMs - this.alarmedMs >= KMS_LIMITS.alarmEveryMs) {
      this.alarmedMs = monotonicMs
      this.log.error("key_service_refuses_credentials", { service: this.name, reason })
    }
    return fail("keyServiceUnavailable", {
      message: `the key service ${this.name} refuses the credentials of this store`,
    })
  }

  /** Normal under load: a service that throttles is there, and other calls get their answers. */
  private onThrottled(): void {
    this.ended.add({ service: this.name, outcome: "throttled" })
    this.onReached()
  }

  private onFailed(reason: string): void {
    this.ended.add({ service: this.name, outcome: "unreachable" })
    const wasReachable = this.reachability.unreachable === undefined
    this.reachability = afterFailure(this.reachability, reason, this.now())
    if (!wasReachable || this.reachability.unreachable === undefined) return
    this.log.error("key_service_unreachable", { service: this.name, reason })
    for (const waiter of this.waiters) waiter.refuse(this.unavailable())
    this.waiters.clear()
  }

  /** Waits for a running call to end, which leaves its place to this one. */
  private turn(endsAtMs: number): Promise<void> {
    if (this.waiters.size >= KMS_LIMITS.waitingMax) {
      this.ended.add({ service: this.name, outcome: "overloaded" })
      throw this.unavailable()
    }
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        begin: () => {
          cancel()
          resolve()
        },
        refuse: failure => {
          cancel()
          reject(failure)
        },
      }
      const cancel = this.clock.alarm(endsAtMs - this.clock.monotonicMs(), () => {
        this.waiters.delete(waiter)
        this.ended.add({ service: this.name, outcome: "overloaded" })
        reject(this.unavailable())
      })
      this.waiters.add(waiter)
    })
  }

  private leave(): void {
    const [next] = this.waiters
    if (next === undefined) {
      this.running -= 1
      return
    }
    this.waiters.delete(next)
    next.begin()
  }

  private now(): Moment {
    return { wallMs: this.clock.wallMs(), monotonicMs: this.clock.monotonicMs() }
  }

  private unavailable(): Failure {
    return fail("keyServiceUnavailable", { message: `the key service ${this.name} cannot be reached` })
  }
}

/** Returns why a connection failed, for people. */
const reasonOf = ({ details, message }: Failure): string => String(details["reason"] ?? message)
