/**
 * Coordination in a running store, if it is switched on: its place on the admin port, the end of silent sessions, and the
 * store's own nodes and devices as small files that clients follow.
 */
import type { ConsoleHolder, Denials } from "@hayloft/access/index.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseCoordPath, type AccountId, type CoordPath } from "@hayloft/base/ids.js"
import type { ServeConfig } from "@hayloft/node/config/config.js"
import { createCoordHandler, speaksCoord } from "@hayloft/protocols/coord-api/index.js"
import { Coordination, LOCK_SERVICE, SessionEnder, STORE_NAMESPACE } from "@hayloft/features/locks/index.js"
import type { Exchange } from "@hayloft/protocols/http/index.js"
import type { BackgroundService } from "@hayloft/base/life/index.js"
import { STEWARD_LEASE } from "@hayloft/node/cluster/steward.js"
import type { StoreReport } from "@hayloft/node/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { sharedMetrics, type Log, type Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import type { Guest } from "./ports/port-router.js"
import type { RunningStore } from "./run-store.js"

/** How often the lists of nodes and devices are compared with what is written. */
const LISTS_EVERY_MS = 2_000

interface CoordSeams {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly metrics: Metrics
  readonly denials: Denials
}

export class StoreCoordination {
  readonly coordination: Coordination
  private readonly ender: SessionEnder
  private readonly lists: StoreLists

  constructor(
    private readonly seams: CoordSeams,
    private readonly running: RunningStore,
    private readonly rootAccount: AccountId,
    isShared: boolean,
  ) {
    const { services } = running.engine
    const { tablet: metadata, refuseEarlier: prepare } = services
    this.coordination = new Coordination({ ...seams, metadata, prepare, isShared })
    LOCK_SERVICE.set(services.core, this.coordination)
    this.ender = new SessionEnder({ ...seams, metadata }, this.coordination)
    const isWriter = () => running.leases === undefined || running.leases.holds(STEWARD_LEASE)
    this.lists = new StoreLists(seams, this.coordination, rootAccount, () => isWriter() && running.status.report())
  }

  get services(): readonly BackgroundService[] {
    return [this.ender, this.lists]
  }

  /** `holderOf`: who has sent a request that is not signed. */
  guest(
    { region }: Pick<ServeConfig, "region">,
    shownRegion: string,
    holderOf: (exchange: Exchange) => Promise<ConsoleHolder>,
  ): Guest {
    const { clock, metrics, denials } = this.seams
    const { engine, rates, attempts } = this.running
    const { coordination, rootAccount } = this
    const settings = { coordination, accounts: engine.accounts, clock, region, shownRegion, rootAccount, holderOf }
    return { protocol: createCoordHandler({ ...settings, metrics, denials, rates, attempts }), speaks: speaksCoord }
  }

  register(metrics: Metrics): void {
    const waiting = "Requests that wait for locks or changes"
    metrics.gauge("hayloft_coord_requests_waiting", waiting, () => [[{}, this.coordination.waiting]])
    const sessions = "Sessions of clients that coordinate with others"
    sharedMetrics(metrics).gauge("hayloft_coord_sessions", sessions, () => [[{}, this.ender.sessions]])
  }
}

/** Names of nodes may have any characters. */
const pathOf = (kind: string, name: string): CoordPath =>
  parseCoordPath(
    `${STORE_NAMESPACE}/${kind}/${encodeURIComponent(name)
      .replaceAll("%", "=")
      .replace(/[!'()*~]/g, "_")}`,
  )

type Listed = ReadonlyMap<CoordPath, string>

/** The files that a report stands for: what changes seldom. */
function listsOf({ nodes, devices }: Pick<StoreReport, "nodes" | "devices">): Listed {
  const texts = new Map<CoordPath, string>()
  for (const { name, zone, machine, state, use } of nodes?.nodes ?? [])
    texts.set(pathOf("nodes", name), JSON.stringify({ name, zone, machine, state, use }))
  for (const { id, path, node, zone, machine, state, weight } of devices)
    texts.set(pathOf("devices", id), JSON.stringify({ id, path, node, zone, machine, state, weight }))
  return texts
}

/** Writes the lists of nodes and devices, while this process is the one that does. */
class StoreLists implements BackgroundService {
  readonly name = "coord-lists"
  /** The files as this process has written or read them; undefined until it has read them. */
  private written: Map<CoordPath, string> | undefined

  constructor(
    private readonly seams: Pick<CoordSeams, "clock" | "log">,
    private readonly coordination: Coordination,
    private readonly account: AccountId,
    /** False: another process writes. */
    private readonly report: () => StoreReport | false,
  ) {}

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.compare()
      } catch (error) {
        if (!isFailure(error)) throw error
        this.written = undefined
        this.seams.log.debug("coord_lists_not_written", { reason: error.message })
      }
      await this.seams.clock.sleep(LISTS_EVERY_MS, signal)
    }
  }

  private async compare(): Promise<void> {
    const report = this.report()
    if (report === false) {
      this.written = undefined
      return
    }
    const { account, coordination } = this
    const wanted = listsOf(report)
    const written = (this.written ??= await this.read())
    for (const [path, text] of wanted) {
      if (written.get(path) === text) continue
      await coordination.write({ account, path }, Buffer.from(text))
      written.set(path, text)
    }
    for (const path of [...written.keys()]) {
      if (wanted.has(path)) continue
      await coordination.delete({ account, path })
      written.delete(path)
    }
  }

  private async read(): Promise<Map<CoordPath, string>> {
    const { account, coordination } = this
    const texts = new Map<CoordPath, string>()
    let after: CoordPath | undefined
    do {
      const page = await coordination.files(account, `${STORE_NAMESPACE}/`, after)
      for (const { path } of page.found) {
        const file = await coordination.file({ account, path })
        if (file !== undefined) texts.set(path, Buffer.from(file.content).toString())
      }
      after = page.after === undefined ? undefined : parseCoordPath(page.after)
    } while (after !== undefined)
    return texts
  }
}
