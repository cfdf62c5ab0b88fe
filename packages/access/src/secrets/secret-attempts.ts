/**
 * Attempts to prove a secret, at every entry point where secrets are checked: after a few wrong ones, the next has to wait, longer
 * each time. All entry points share one instance, so that a client gets no more attempts by changing to another one.
 *
 * Promises  Attempts count by the client's address and the key or the token whose secret is to be proved: wrong ones from
 *           another address, or for another key, hold up nobody. Where no key or token that exists is named they count by
 *           address and door. A wait is never longer than `waitMsMax`, since an address may be a proxy with many people
 *           behind it. During a wait nothing is compared: a right secret is refused like a wrong one. A client that has
 *           proved the secret between wrong attempts need not guess it: its signatures may be wrong for other reasons, and
 *           its address does not wait for this key until they are forgotten.
 * Limits    `SUBJECTS_MAX`; the one whose last wrong attempt is the oldest is forgotten for a new one. At most
 *           `RECORDS_PER_HOUR_MAX` failed sign-ins are in the audit log, of each thread, with the first
 *           `TARGET_CHARACTERS_MAX` of what they claim. Each node counts for itself; the
 *           threads of a process tell each other what counts.
 */
import { clientOf } from "@hayloft/base/http/client-address.js"
import { fail, isFailure, type Failure, type FailureKind } from "@hayloft/base/failures.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { keepLatest } from "@hayloft/base/keep-latest.js"
import type { AuditLog } from "../audit/audit-log.js"

const LIMITS = {
  free: 5,
  firstWaitMs: 1_000,
  waitMsMax: 30_000,
  forgetMs: 15 * 60_000,
} as const
const SUBJECTS_MAX = 10_000
const RECORDS_PER_HOUR_MAX = 100
/** Strangers choose what they claim to be. */
const TARGET_CHARACTERS_MAX = 256
const HOUR_MS = 3_600_000

interface Attempt {
  /** The address of the client. */
  readonly address: string
  /** The id of an existing key or token whose secret is to be proved. */
  readonly id: string
}

interface SignIn {
  readonly address: string
  /** The id is undefined if the client names no existing key or token, or may sign in with any. */
  readonly id: string | undefined
  /** The name of the operation in the audit log. */
  readonly operation: string
  /** The name that the client claims, if it is no id. */
  readonly target?: string
  readonly requestId: string
}

interface Subject {
  readonly address: string
  readonly kind: "key" | "door"
  readonly name: string
}

interface Wrong {
  readonly count: number
  readonly atMs: number
  /** The secret was proved after the first wrong attempt. */
  readonly isProved: boolean
}

/** An attempt that counts, as one thread tells the others of its process: plain data. */
export interface CountedAttempt {
  readonly subject: Subject
  readonly isProved: boolean
}

interface Known {
  readonly found: Wrong | undefined
  /** 0: none. */
  readonly waitMs: number
}

const NOTHING_WRONG: Known = { found: undefined, waitMs: 0 }

interface Parts {
  readonly clock: { monotonicMs(): number }
  readonly log: Log
  readonly audit: Pick<AuditLog, "begin">
}

/** The part of `SecretAttempts` that an entry point for signed requests uses. */
export type ProvesSecrets = Pick<SecretAttempts, "attempt">

export class SecretAttempts {
  /** In the order of their last wrong attempts. */
  private readonly wrong = new Map<string, Wrong>()
  private recorded = { sinceMs: 0, count: 0 }
  /** It is called for each attempt that counts here, but not for those of other threads. */
  onCounted: (attempt: CountedAttempt) => void = () => undefined

  constructor(private readonly parts: Parts) {}

  /**
   * `prove` compares, and does nothing else: it returns undefined, or throws a failure after which clients sign in again, if
   * the secret is wrong. Throws as `prove`, and `rateExceeded` if the client has to wait.
   */
  attempt<Proved>({ address, id }: Attempt, prove: () => Proved): Proved {
    return this.tried({ address, kind: "key", name: id }, prove)
  }

  /** The same at a door where people and programs sign in: the audit log has each wrong attempt. */
  async signIn<Proved>(by: SignIn, prove: () => Proved): Promise<Proved> {
    try {
      const proved = by.id === undefined ? this.tried(atDoor(by), prove) : this.attempt({ ...by, id: by.id }, prove)
      if (proved === undefined) await this.record(by, "accessDenied")
      return proved
    } catch (error) {
      if (isWrong(error)) await this.record(by, error.kind)
      throw error
    }
  }

  /** The same where proving takes work, which does not begin while the client has to wait. */
  async signInBy<Proved>(by: SignIn, prove: () => Promise<Proved>): Promise<Proved> {
    this.checkWait(by)
    return this.signIn(by, await outcomeOf(prove()))
  }

  /** Before work that a client who has to wait may not cause. Throws `rateExceeded`, as `signIn` without an id. */
  checkWait(by: Pick<SignIn, "address" | "operation">): void {
    const { waitMs } = this.known(atDoor(by))
    if (waitMs > 0) throw tooMany(waitMs)
  }

  /** Counts what another thread of the process has counted. */
  countElsewhere({ subject, isProved }: CountedAttempt): void {
    const { found } = this.known(subject)
    if (isProved) this.keepProved(subject, found)
    else if (found?.isProved !== true) this.keepWrong(subject, found)
  }

  private tried<Proved>(subject: Subject, prove: () => Proved): Proved {
    // Usually no attempt has failed in the last 15 minutes, and a request pays for nothing else.
    const { found, waitMs } = this.wrong.size === 0 ? NOTHING_WRONG : this.known(subject)
    if (found?.isProved === true) return prove()
    if (waitMs > 0) throw tooMany(waitMs)
    try {
      const proved = prove()
      if (proved === undefined) this.countWrong(subject, found)
      else if (found !== undefined && subject.kind === "key") {
        this.keepProved(subject, found)
        this.onCounted({ subject, isProved: true })
      }
      return proved
    } catch (error) {
      if (isWrong(error)) this.countWrong(subject, found)
      throw error
    }
  }

  private known(subject: Subject): Known {
    const nowMs = this.parts.clock.monotonicMs()
    for (const [name, { atMs }] of this.wrong) {
      if (nowMs < atMs + LIMITS.forgetMs) break
      this.wrong.delete(name)
    }
    const found = this.wrong.get(textOf(subject))
    return found === undefined
      ? NOTHING_WRONG
      : { found, waitMs: Math.max(0, found.atMs + waitAfter(found.count) - nowMs) }
  }

  private countWrong(subject: Subject, found: Wrong | undefined): void {
    const count = this.keepWrong(subject, found)
    this.onCounted({ subject, isProved: false })
    if (waitAfter(count) === 0) return
    const { address, kind, name } = subject
    this.parts.log.warn("wrong_secrets", { remote: address, [kind]: name, count })
  }

  private keepProved(subject: Subject, found: Wrong | undefined): void {
    if (found !== undefined) this.wrong.set(textOf(subject), { ...found, isProved: true })
  }

  /** Returns how many there are now. */
  private keepWrong(subject: Subject, found: Wrong | undefined): number {
    const count = (found?.count ?? 0) + 1
    const wrong = { count, atMs: this.parts.clock.monotonicMs(), isProved: false }
    keepLatest(this.wrong, textOf(subject), wrong, SUBJECTS_MAX)
    return count
  }

  private async record(
    { address, id, target = id ?? "", operation, requestId }: SignIn,
    outcome: FailureKind,
  ): Promise<void> {
    const nowMs = this.parts.clock.monotonicMs()
    if (nowMs >= this.recorded.sinceMs + HOUR_MS) this.recorded = { sinceMs: nowMs, count: 0 }
    this.recorded.count += 1
    if (this.recorded.count > RECORDS_PER_HOUR_MAX) return
    const caller = { kind: "anonymous", id: "", name: "", address } as const
    const nothing = async (): Promise<undefined> => undefined
    const claimed = target.slice(0, TARGET_CHARACTERS_MAX)
    const change = { caller, requestId, operation, target: claimed, request: undefined }
    await (await this.parts.audit.begin(change, nothing)).end(outcome, nothing)
  }
}

/** The result of the work, or the error that it has thrown, as a function that returns or throws it. */
const outcomeOf = <Result>(work: Promise<Result>): Promise<() => Result> =>
  work.then(
    result => () => result,
    (error: unknown) => () => {
      throw error
    },
  )

const atDoor = ({ address, operation }: Pick<SignIn, "address" | "operation">): Subject => ({
  address,
  kind: "door",
  name: operation,
})

const textOf = ({ address, kind, name }: Subject): string => `${clientOf(address)} ${kind} ${name}`

const waitAfter = (count: number): number =>
  count < LIMITS.free ? 0 : Math.min(LIMITS.waitMsMax, LIMITS.firstWaitMs * 2 ** Math.min(10, count - LIMITS.free))

/** Other failures tell nothing of the secret. */
const isWrong = (error: unknown): error is Failure => isFailure(error) && error.remedy === "signIn"

function tooMany(waitMs: number): Failure {
  const retryAfterSeconds = Math.ceil(waitMs / 1_000)
  const message = `too many wrong secrets from this address: try again in ${retryAfterSeconds} seconds`
  return fail("rateExceeded", { message, retryAfterSeconds })
}
