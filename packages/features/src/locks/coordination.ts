/**
 * Coordination of clients: sessions, locks with tokens, small files, and changes to follow. See decision 84.
 *
 * Promises  What was acknowledged is as durable as an object. All nodes decide on the same rows: a lock has one holder, or
 *           shared ones, whichever nodes clients use. A session ends only if its client ends it, or has not renewed it for
 *           its lease and its grace, as some node has watched.
 * Refuses   `noSuchSession`, `conflict`, `preconditionFailed`, `limitExceeded`, `entityTooLarge`; `tooManyInFlight` for
 *           more waiting than COORD_LIMITS allows.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Fence } from "@hayloft/base/fence.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { parseSessionId, type AccountId, type CoordPath, type SessionId } from "@hayloft/base/ids.js"
import { namespaceOf, type FileRecord, type LockHolder, type SessionRecord } from "@hayloft/engine/format/coord-rows.js"
import type { Watcher } from "@hayloft/base/life/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import {
  countSessions,
  listFiles,
  listLocks,
  listNamespaces,
  listSessions,
  readChanges,
  readFence,
  readFile,
  readLastNumbers,
  readLock,
  readSession,
  type ChangesAfter,
} from "./coord-queries-core.js"
import { deleteFile, putFile, type FileConditions } from "./file-commands-core.js"
import { COORD_LIMITS } from "./limits.js"
import {
  acquireLock,
  releaseLock,
  type AcquireOutcome,
  type Acquisition,
  type LockRelease,
  type ReleaseOutcome,
  standingIn,
  type LockStanding,
} from "./lock-commands-core.js"
import { NamespaceWatch, type Watched } from "./namespace-watch.js"
import { createSession, endSession, renewSession, type SessionOf } from "./session-commands-core.js"
import { namespaceRowKey } from "@hayloft/engine/format/coord-rows.js"

const SESSION_ID_BYTES = 16
/** Namespaces of which this process knows that they exist. */
const KNOWN_NAMESPACES_MAX = 10_000

interface CoordSeams {
  readonly clock: Clock
  readonly random: Random
  readonly metadata: Pick<Metadata, "run" | "ask">
  /** Resolves once earlier releases refuse the devices. */
  readonly prepare: () => Promise<void>
  /** Other processes write too. */
  readonly isShared: boolean
}

interface PathOf {
  readonly account: AccountId
  readonly path: CoordPath
}

interface SessionPath extends PathOf {
  readonly session: SessionId
}

/** The writer of a file, and the conditions of the write. */
interface WriteOptions {
  readonly conditions?: FileConditions | undefined
  /** The file ends with it; undefined: it stays. */
  readonly session?: SessionId | undefined
  /** The principal that asks; undefined: an operator, or the store. */
  readonly by?: string | undefined
}

/** How a client describes itself. */
interface SessionInput {
  readonly name: string
  readonly principal: string
  readonly leaseSeconds?: number | undefined
  readonly graceSeconds?: number | undefined
}

export class Coordination {
  private readonly watch: NamespaceWatch
  private readonly random: Random
  private readonly known = new Set<string>()

  constructor(private readonly seams: CoordSeams) {
    this.random = seams.random.fork("coordination")
    this.watch = new NamespaceWatch(seams)
  }

  /** Requests that wait for locks or changes. */
  get waiting(): number {
    return this.watch.waiting
  }

  /** Throws `limitExceeded`. */
  async begin(account: AccountId, input: SessionInput): Promise<{ id: SessionId; session: SessionRecord }> {
    const { leaseSecondsDefault, graceSecondsDefault, sessionsMax } = COORD_LIMITS
    if ((await this.seams.metadata.ask(countSessions(account))) >= sessionsMax)
      throw fail("limitExceeded", { message: `An account may have ${sessionsMax} sessions.` })
    await this.seams.prepare()
    const id = parseSessionId(hexOf(this.random.bytes(SESSION_ID_BYTES)))
    const { name, principal, leaseSeconds = leaseSecondsDefault, graceSeconds = graceSecondsDefault } = input
    const record = { name, principal, leaseSeconds, graceSeconds }
    return { id, session: await this.seams.metadata.run(createSession({ account, id }, record)) }
  }

  /** Throws `noSuchSession`. */
  async renew(of: SessionOf): Promise<SessionRecord> {
    return this.seams.metadata.run(renewSession(of))
  }

  /** Ends the session with all that it holds; returns whether it was there. `onlyAt`: unless it was renewed since. */
  async end({ account, id }: SessionOf, onlyAt?: number): Promise<boolean> {
    const { metadata } = this.seams
    const begun = await metadata.run(endSession({ account, id }, onlyAt))
    for (let step = begun; step !== undefined;) {
      for (const path of step.paths) this.changed({ account, path })
      step = step.isOver ? undefined : await metadata.run(endSession({ account, id }, undefined))
    }
    return begun !== undefined
  }

  async session({ account, id }: SessionOf): Promise<SessionRecord | undefined> {
    return this.seams.metadata.ask(readSession(account, id))
  }

  async sessions(account: AccountId, after?: SessionId, max: number = COORD_LIMITS.pageMax) {
    return this.seams.metadata.ask(listSessions(account, after, max))
  }

  async namespaces(account: AccountId, after?: string, max: number = COORD_LIMITS.pageMax) {
    return this.seams.metadata.ask(listNamespaces(account, after, max))
  }

  /** Throws `noSuchSession`, `conflict`, `limitExceeded`. */
  async acquire(acquisition: Acquisition): Promise<AcquireOutcome> {
    await this.checkNamespace(acquisition)
    const outcome = await this.seams.metadata.run(acquireLock(acquisition))
    if (outcome.kind === "acquired" && outcome.isNew) this.changed(acquisition)
    return outcome
  }

  /** How a session that took a place in line stands now. `left`: it has given its place up, or the lock that it had got. */
  async standing({ account, path, session }: SessionPath): Promise<LockStanding> {
    return standingIn(await this.seams.metadata.ask(readLock(account, path)), session)
  }

  /** With `unlessHeld`, a lock that the session holds stays its own, and is returned. Throws `noSuchSession`. */
  async release(of: LockRelease, unlessHeld = false): Promise<ReleaseOutcome | LockHolder> {
    const outcome = await this.seams.metadata.run(releaseLock(of, unlessHeld))
    if (typeof outcome === "string" && outcome !== "absent") this.changed(of)
    return outcome
  }

  async lock({ account, path }: PathOf) {
    return this.seams.metadata.ask(readLock(account, path))
  }

  async locks(account: AccountId, prefix: string, after?: CoordPath, max: number = COORD_LIMITS.pageMax) {
    return this.seams.metadata.ask(listLocks(account, prefix, after, max))
  }

  /** Returns why the fence does not hold; undefined: it does. */
  async faultOf(fence: Fence): Promise<string | undefined> {
    return this.seams.metadata.ask(readFence(fence))
  }

  async file({ account, path }: PathOf): Promise<FileRecord | undefined> {
    return this.seams.metadata.ask(readFile(account, path))
  }

  async files(account: AccountId, prefix: string, after?: CoordPath, max: number = COORD_LIMITS.pageMax) {
    return this.seams.metadata.ask(listFiles(account, prefix, after, max))
  }

  /** Returns the version. Throws `entityTooLarge`, `preconditionFailed`, `noSuchSession`, `conflict`, `limitExceeded`. */
  async write(of: PathOf, content: Uint8Array, options: WriteOptions = {}): Promise<number> {
    const { fileBytesMax } = COORD_LIMITS
    if (content.length > fileBytesMax)
      throw fail("entityTooLarge", { sizeBytes: content.length, maxSizeAllowedBytes: fileBytesMax })
    await this.checkNamespace(of)
    await this.seams.prepare()
    const { account, path } = of
    const { conditions = {}, session, by } = options
    const version = await this.seams.metadata.run(putFile({ account, path, content, conditions, session, by }))
    this.changed(of)
    return version
  }

  /** Returns whether the file was there. Throws `preconditionFailed`. */
  async delete({ account, path }: PathOf, conditions: FileConditions = {}): Promise<boolean> {
    const isDeleted = await this.seams.metadata.run(deleteFile({ account, path, conditions }))
    if (isDeleted) this.changed({ account, path })
    return isDeleted
  }

  /** The number of the latest change of a namespace; 0: there is none. */
  async lastNumber(account: AccountId, namespace: string): Promise<number> {
    const [number = 0] = await this.seams.metadata.ask(readLastNumbers([namespaceRowKey(account, namespace)]))
    return number
  }

  /** Returns undefined if some changes after the number are not kept any more. */
  async changes({ account, namespace, prefix }: Watched, after: number): Promise<ChangesAfter | undefined> {
    return this.seams.metadata.ask(readChanges(account, namespace, prefix, after))
  }

  /** Waits for changes. Look after this call. Throws `tooManyInFlight`. */
  watchFor(watched: Watched): Watcher {
    return this.watch.begin(watched)
  }

  private changed({ account, path }: PathOf): void {
    this.watch.changed({ account, namespace: namespaceOf(path), prefix: path })
  }

  /** Refuses a namespace too many. Throws `limitExceeded`. */
  private async checkNamespace({ account, path }: PathOf): Promise<void> {
    const namespace = namespaceOf(path)
    const key = namespaceRowKey(account, namespace)
    if (this.known.has(key)) return
    const isThere = (await this.lastNumber(account, namespace)) > 0
    if (!isThere) {
      const { namespacesMax } = COORD_LIMITS
      const { found } = await this.namespaces(account, undefined, namespacesMax)
      if (found.length >= namespacesMax)
        throw fail("limitExceeded", { message: `An account may have ${namespacesMax} namespaces.` })
    }
    // The command that follows may be refused.
    if (!isThere) return
    if (this.known.size >= KNOWN_NAMESPACES_MAX) this.known.clear()
    this.known.add(key)
  }
}
