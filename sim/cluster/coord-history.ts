/**
 * The knowledge that clients of a storm have of one lock, and of the file and the object that they write while they
 * hold it. Moments are the order in which requests begin and answers arrive.
 *
 * Promises  A write is acknowledged only if its lock was held with its token at some moment after its request began. The
 *           tokens of exclusive holders never decrease in the versions of the file and of the object. Tokens of new
 *           acquisitions only grow.
 */
import type { LockMode } from "@hayloft/base/fence.js"
import type { SessionId } from "@hayloft/base/ids.js"
import { check } from "../world/checks.js"

/** A token with which a session has got the lock. */
export interface Grant {
  readonly mode: LockMode
  readonly token: number
  readonly session: SessionId
}

/** An object's name, and what became of the request. */
type PutOutcome = "unknown" | "done" | "refused"

export const textOfWrite = (token: number, name: string): string => `${token}-${name}`
export const tokenOfText = (text: string): number => Number(text.split("-")[0])

export class LockHistory {
  private readonly owners = new Map<number, SessionId>()
  private readonly over = new Set<number>()
  private readonly puts = new Map<string, PutOutcome>()
  /** Version of the file → its text. */
  private readonly versions = new Map<number, string>()
  private newestExclusive = 0
  /** The greatest token that a client has seen. */
  newest = 0
  /** The greatest version of the file that a client has seen. */
  newestVersion = 0

  constructor(private readonly lock: string) {}

  /** A client has seen that the session got the lock. */
  seen({ mode, token, session }: Grant): void {
    const owner = this.owners.get(token) ?? session
    check("tokensGrow", owner === session, () => `${this.lock}: two sessions have the token ${token}`)
    this.owners.set(token, session)
    this.newest = Math.max(this.newest, token)
    if (mode === "exclusive") this.newestExclusive = Math.max(this.newestExclusive, token)
  }

  /** A new acquisition, whose request began when `newest` was the greatest token. */
  acquired(grant: Grant, newest: number): void {
    check("tokensGrow", grant.token > newest, () => `${this.lock}: the token ${grant.token} follows ${newest}`)
    this.seen(grant)
  }

  /** The holders, as a client has read them. */
  holders(mode: LockMode, holders: readonly Omit<Grant, "mode">[]): void {
    const isOne = mode === "shared" || holders.length <= 1
    check("fencesHold", isOne, () => `${this.lock} has ${holders.length} exclusive holders`)
    for (const holder of holders) this.seen({ mode, ...holder })
  }

  /** The session has released the lock, or has ended. */
  ended(token: number): void {
    this.over.add(token)
  }

  /** Returns true if clients know that the lock is not held with the token any more. */
  isOver({ mode, token }: Pick<Grant, "mode" | "token">): boolean {
    return this.over.has(token) || this.newestExclusive > token || (mode === "exclusive" && this.newest > token)
  }

  /** A write with a fence was acknowledged. `wasOver`: the lock was known to be lost when the request began. */
  acknowledged(what: string, { token }: Pick<Grant, "token">, wasOver: boolean): void {
    check("fencesHold", !wasOver, () => `${this.lock}: ${what} with the old token ${token} was acknowledged`)
  }

  /** The file was written, or read. `newest`: the greatest version that was known when the request began. */
  version(version: number, text: string, newest: number, isWrite: boolean): void {
    const before = this.versions.get(version) ?? text
    check("noPartialWrites", before === text, () => `${this.lock}: version ${version} is ${before} and ${text}`)
    const isFresh = isWrite ? version > newest : version >= newest
    check("readsAreFresh", isFresh, () => `${this.lock}: the version ${version} follows ${newest}`)
    this.versions.set(version, text)
    this.newestVersion = Math.max(this.newestVersion, version)
  }

  put(text: string, outcome: PutOutcome): void {
    this.puts.set(text, outcome)
  }

  checkFile(): void {
    const texts = [...this.versions].sort(([a], [b]) => a - b).map(([, text]) => text)
    this.checkOrder("file", texts)
  }

  /** `texts`: all versions of the object, the oldest first. */
  checkObject(texts: readonly string[]): void {
    this.checkOrder("object", texts)
    const there = new Set(texts)
    for (const [text, outcome] of this.puts) {
      check("acknowledgedStays", outcome !== "done" || there.has(text), () => `${this.lock}: ${text} is lost`)
      check("refusedStaysOut", outcome !== "refused" || !there.has(text), () => `${this.lock}: ${text} was refused`)
    }
    const unknown = texts.find(text => !this.puts.has(text))
    check("refusedStaysOut", unknown === undefined, () => `${this.lock}: ${unknown} was never written`)
  }

  private checkOrder(what: string, texts: readonly string[]): void {
    for (const [at, text] of texts.entries()) {
      const before = texts[at - 1] ?? text
      const isAscending = tokenOfText(before) <= tokenOfText(text)
      check("fencesHold", isAscending, () => `${this.lock}: in the ${what} ${text} follows ${before}`)
    }
  }
}
