/**
 * Clients of a storm that coordinate with each other. Every request goes through any node, and may go without an answer.
 *
 * Promises  As `LockHistory`. A session that was renewed in time goes on, with its locks and its places in line. Sessions
 *           that are not renewed end, and then nothing is left of them.
 */
import { objectKeyOfText, parseAccountId, parseCoordPath } from "@hayloft/base/ids.js"
import type { Family } from "@hayloft/base/rows/families.js"
import { Coordination } from "@hayloft/features/locks/index.js"
import { decodeFile, decodeNamespace, namespaceOf, namespaceRowKey } from "@hayloft/engine/format/coord-rows.js"
import { parseAccountRowKey } from "@hayloft/engine/format/row-key.js"
import type { Engine } from "@hayloft/node/engine.js"
import type { Server } from "../world/bodies.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { listAllVersions } from "../world/audit.js"
import { get, nameOfBody } from "../world/bodies.js"
import { check } from "../world/checks.js"
import type { Cluster } from "./cluster.js"
import { ACCOUNT, CoordClient, CoordCounts, FENCED_BUCKET, type CoordHost, type Meeting } from "./coord-client.js"
import { LockHistory } from "./coord-history.js"

const OWNER = parseAccountId("root")
const LOCKS = ["a", "b"]
const CLIENTS_MAX = 8
const POLL_MS = 1_000
/** All clients have ended so long after the last request, and all sessions so long after the last client. */
const ENDED_MS_MAX = 60_000

export class CoordClients {
  readonly counts = new CoordCounts()
  private readonly services = new WeakMap<Server, Coordination>()
  private readonly host: CoordHost
  private meetings = 0
  private meeting: Meeting
  private running = 0

  constructor(
    host: Omit<CoordHost, "coordinationOf">,
    private readonly cluster: Cluster,
    private readonly random: Random,
  ) {
    this.host = { ...host, coordinationOf: engine => this.coordinationOf(engine) }
    this.meeting = this.newMeeting()
  }

  private newMeeting(): Meeting {
    this.meetings += 1
    const name = `meeting${this.meetings}`
    return { name, locks: new Map(LOCKS.map(lock => [lock, new LockHistory(lock)])), isOver: false }
  }

  private coordinationOf(engine: Server): Coordination {
    const known = this.services.get(engine)
    if (known !== undefined) return known
    const { tablet: metadata, refuseEarlier: prepare } = engine.services
    const { clock } = this.cluster
    const made = new Coordination({ clock, random: this.random, metadata, prepare, isShared: true })
    this.services.set(engine, made)
    return made
  }

  async create({ services: { buckets } }: Engine): Promise<void> {
    const bucket = await buckets.create({ name: FENCED_BUCKET, owner: OWNER, location: "" })
    await buckets.setVersioning(bucket, "enabled")
  }

  /** Another client comes, unless there are many. */
  send(): void {
    const random = this.random.fork("client")
    if (this.running >= CLIENTS_MAX) return
    this.running += 1
    const client = new CoordClient(this.host, this.meeting, this.cluster, random, this.counts)
    const ended = (): void => {
      this.running -= 1
    }
    void client
      .run()
      .catch((error: unknown) => this.host.onError(error))
      .then(ended)
  }

  /** The database has lost commits: clients of before go, and others meet elsewhere. */
  async forget(): Promise<void> {
    this.meeting.isOver = true
    this.meeting = this.newMeeting()
  }

  async check(engine: Engine): Promise<void> {
    await this.clientsEnd()
    await this.checkNothingLeft()
    this.checkNamespaces()
    const bucket = await engine.services.buckets.open(FENCED_BUCKET)
    const texts = new Map<string, string[]>()
    for (const entry of await listAllVersions(engine, bucket)) {
      if (entry.kind !== "version") continue
      const { versionId } = entry
      const { key } = entry.object
      const got = await get(engine, { bucket, key, versionId, conditions: {} })
      texts.set(key, [nameOfBody(got.bytes), ...(texts.get(key) ?? [])])
    }
    for (const [lock, history] of this.meeting.locks) {
      history.checkFile()
      history.checkObject(texts.get(objectKeyOfText(`${this.meeting.name}/${lock}/exclusive`)) ?? [])
    }
  }

  private rowsOf(family: Family) {
    const { rows } = this.cluster.database.copy()
    return rows.flatMap(row => (row.family === family && row.value !== undefined ? [{ ...row, value: row.value }] : []))
  }

  /** A client whose session has ended may still renew it, or wait for an answer. */
  private async clientsEnd(): Promise<void> {
    const { clock } = this.cluster
    const untilMs = clock.monotonicMs() + ENDED_MS_MAX
    while (this.running > 0) {
      check("sessionsEnd", clock.monotonicMs() < untilMs, () => `${this.running} clients do not end`)
      await this.cluster.sleep(POLL_MS)
    }
  }

  private async checkNothingLeft(): Promise<void> {
    const { clock } = this.cluster
    const untilMs = clock.monotonicMs() + ENDED_MS_MAX
    for (let left = Infinity; left > 0;) {
      left = this.rowsOf("coordSessions").length
      const found = left
      check("sessionsEnd", left === 0 || clock.monotonicMs() < untilMs, () => `${found} sessions do not end`)
      if (left > 0) await this.cluster.sleep(POLL_MS)
    }
    for (const family of ["coordHoldings", "coordLocks"] as const) {
      const rows = this.rowsOf(family)
      check("sessionsEnd", rows.length === 0, () => `${family} has the row ${rows[0]?.key} without a session`)
    }
    const ofSession = this.rowsOf("coordFiles").find(({ value }) => decodeFile(value).session !== undefined)
    check("sessionsEnd", ofSession === undefined, () => `the file ${ofSession?.key} has outlived its session`)
  }

  private checkNamespaces(): void {
    const files = this.rowsOf("coordFiles")
    const changes = this.rowsOf("coordChanges")
    for (const { key, value } of this.rowsOf("coordNamespaces")) {
      const { account, rest: name } = parseAccountRowKey(key)
      const own = files.filter(row => namespaceOf(parseCoordPath(parseAccountRowKey(row.key).rest)) === name)
      const counted = {
        files: own.length,
        bytes: own.reduce((sum, row) => sum + decodeFile(row.value).content.length, 0),
        locks: 0,
        changes: changes.filter(row => row.key.startsWith(`${namespaceRowKey(account, name)}\x00`)).length,
      }
      const { files: fileCount, bytes, locks, changes: changeCount } = decodeNamespace(value)
      const shown = JSON.stringify({ files: fileCount, bytes, locks, changes: changeCount })
      check("countersAgree", shown === JSON.stringify(counted), () => `${name} counts ${shown}`)
      check("countersAgree", account === ACCOUNT, () => `the account ${account} coordinates nothing`)
    }
  }
}
