/** Coordination over metadata in memory, for tests. */
import { must } from "@hayloft/base/assert.js"
import type { Fence, LockMode } from "@hayloft/base/fence.js"
import { parseAccountId, parseCoordPath, type CoordPath, type SessionId } from "@hayloft/base/ids.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import type {} from "@hayloft/engine/format/coord-rows.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { Coordination } from "./coordination.js"
import type { FileConditions } from "./file-commands-core.js"
import type { AcquireOutcome } from "./lock-commands-core.js"
import { SessionEnder } from "./session-ender.js"

export const ACCOUNT = parseAccountId("main")
export const at = (path: string): { readonly account: typeof ACCOUNT; readonly path: CoordPath } => ({
  account: ACCOUNT,
  path: parseCoordPath(path),
})

const FAMILIES = [
  "coordSessions",
  "coordHoldings",
  "coordNamespaces",
  "coordFiles",
  "coordLocks",
  "coordChanges",
] as const

export class CoordWorld {
  readonly clock = new SimClock()
  readonly metadata = new MemoryMetadata()
  readonly coordination: Coordination
  private readonly stop = new AbortController()

  constructor(seed = TEST_SEED) {
    const { clock, metadata } = this
    this.coordination = this.beside(new SimRandom(seed), false)
    // Decisions are made at the time of the clock.
    metadata.before = () => {
      metadata.aheadMs = clock.wallMs() - 1_700_000_000_000 - metadata.position
    }
  }

  /** The same rows, as another process of the store sees them. */
  beside(random = new SimRandom(TEST_SEED).fork("beside"), isShared = true): Coordination {
    const { clock, metadata } = this
    return new Coordination({ clock, random, metadata, prepare: async () => undefined, isShared })
  }

  /** Ends sessions that are not renewed, from now on. */
  endSilent(coordination = this.coordination): void {
    const { clock, metadata } = this
    const { log, metrics } = new SimTelemetry()
    void new SessionEnder({ clock, metadata, log, metrics }, coordination).run(this.stop.signal)
  }

  async begin(name = "client", leaseSeconds = 5, graceSeconds = 2): Promise<SessionId> {
    const input = { name, principal: "arn", leaseSeconds, graceSeconds }
    return (await this.coordination.begin(ACCOUNT, input)).id
  }

  async acquire(
    session: SessionId,
    path: string,
    mode: LockMode = "exclusive",
    waits = false,
    value = "",
  ): Promise<AcquireOutcome> {
    return this.coordination.acquire({ ...at(path), session, mode, waits, value })
  }

  /** Takes a lock that is free, and returns the fence. */
  async take(session: SessionId, path: string, mode: LockMode = "exclusive"): Promise<Fence> {
    const outcome = await this.acquire(session, path, mode)
    if (outcome.kind !== "acquired") throw new Error(`the lock ${path} is ${outcome.kind}`)
    return { ...at(path), mode, token: outcome.holder.token }
  }

  async holds(fence: Fence): Promise<boolean> {
    return (await this.coordination.faultOf(fence)) === undefined
  }

  async holders(path: string): Promise<readonly SessionId[]> {
    return ((await this.coordination.lock(at(path)))?.holders ?? []).map(({ session }) => session)
  }

  async write(path: string, text: string, conditions: FileConditions = {}, session?: SessionId): Promise<number> {
    return this.coordination.write(at(path), Buffer.from(text), { conditions, session })
  }

  async read(path: string): Promise<string | undefined> {
    const file = await this.coordination.file(at(path))
    return file && Buffer.from(file.content).toString()
  }

  /** Kinds and paths of the changes of a namespace. */
  async changes(namespace: string, after = 0, prefix = ""): Promise<readonly string[]> {
    const watched = { account: ACCOUNT, namespace, prefix }
    const found = must(await this.coordination.changes(watched, after), "the changes are kept")
    return found.changes.map(({ kind, path }) => `${kind} ${path}`)
  }

  rows(): Readonly<Record<string, number>> {
    return Object.fromEntries(FAMILIES.map(family => [family, this.metadata.rows(family)]))
  }

  end(): void {
    this.stop.abort()
  }
}
