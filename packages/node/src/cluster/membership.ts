/**
 * Membership: this node as a member of its store. It announces itself in its row, beats there at intervals, reads the
 * rows of the others, and keeps a connection to each of them, by which their devices are read and written.
 *
 * Promises  A node is a peer only while its row has a proof under the master key, during a rotation under the former or the
 *           next one; a connection of any other ends. The proof is made again once the master key was replaced. After
 *           the incarnation of this process has ended and another has begun, the node announces itself and claims its
 *           devices again. A node whose row was removed calls no one and serves no one any more, also if its
 *           incarnation had ended before.
 * Limits    MEMBERSHIP_LIMITS.
 */
import { claimDevice, markReturning, releaseDevices } from "@hayloft/engine/cluster/index.js"
import type { MasterKeys } from "@hayloft/access/index.js"
import { asFailure, isFailure, type Failure } from "@hayloft/base/failures.js"
import type { DeviceId, Incarnation, NodeFingerprint, NodeName, StoreId } from "@hayloft/base/ids.js"
import { beatNode, joinNode, nodeRows, type NodeFacts } from "@hayloft/engine/coordination/index.js"
import type { NodeRow } from "@hayloft/engine/format/nodes/cluster-rows.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { NodeReport } from "@hayloft/engine/format/nodes/node-report.js"
import { mapBounded, Rest, type BackgroundService } from "@hayloft/base/life/index.js"
import { NEVER } from "@hayloft/base/never.js"
import { RemoteNode, serveShards } from "@hayloft/engine/remote/index.js"
import { Peer, RpcMetrics, RpcServer, RPC_LIMITS } from "@hayloft/engine/rpc/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Net, NetAddress } from "@hayloft/base/seams/net/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import type { ShardExchange } from "../shard-exchange.js"
import { isAdmitted, proveAdmission } from "../identity/admission-core.js"
import type { SharedMetadata } from "../metadata/database.js"
import type { Leases } from "./leases.js"
import { AnsweredTime } from "./answered-time-core.js"
import type { ClusterView, OtherNode } from "./cluster-view.js"
import { askForReport } from "./node-reports.js"
import { Silences } from "./steward-core.js"
import type { SharedRecordManager } from "./shared-record.js"

export const MEMBERSHIP_LIMITS = {
  /** How often a node beats, and reads the rows of the others. */
  beatEveryMs: 5_000,
  /**
   * It also beats when it begins to write by another layout, and reads the rows while it waits for others to report
   * that, or when an unknown node connects, at most this often: a node that has just started is unknown.
   */
  readEveryMs: 1_000,
  /** A node that has joined waits so long for the others before it serves. */
  meetMs: 5_000,
  meetPollMs: 20,
  /** The devices of a node that has not responded for so long are left alone until it responds. */
  silentMs: 5_000,
  /** The longest gap between two answers of the database that counts as time. */
  gapMsMax: 15_000,
  reportsConcurrent: 16,
} as const

/** Decides about connections by fingerprint; the network asks it for every handshake. */
export interface AdmittedPeers {
  readonly fingerprints: Set<string>
  /** Ends the connections of fingerprints that are not in the set any more. */
  closeRevoked(): void
  /** Calls the listener for each connection of a fingerprint that is not in the set. */
  onStranger(listener: () => void): void
}

interface MembershipSeams {
  readonly clock: Clock
  /** The clock of heartbeats and of silence, if it is another one. */
  readonly beats?: Clock
  readonly random: Random
  readonly telemetry: Telemetry
  readonly net: Net
  readonly admitted: AdmittedPeers
  readonly metadata: SharedMetadata
  readonly records: SharedRecordManager
  /** Each heartbeat renews them. */
  readonly leases: Pick<Leases, "beginRenewal">
}

/** This node as others see it. */
interface OwnNode {
  readonly storeId: StoreId
  readonly name: NodeName
  readonly zone: string | undefined
  readonly machine: string
  readonly program: string
  readonly fingerprint: NodeFingerprint
  readonly masterKeys: Pick<MasterKeys, "current" | "openers">
}

interface Other {
  row: NodeRow
  readonly peer: Peer
  /** The node's last report; undefined while it does not respond. */
  report: NodeReport | undefined
  /** By the monotonic clock; undefined: it responds. */
  troubleSinceMs: number | undefined
  readonly remote: RemoteNode
  readonly lifetime: AbortController
}

const addressOf = (text: string): NetAddress => {
  const at = text.lastIndexOf(":")
  return { host: text.slice(0, at).replace(/^\[(.*)\]$/, "$1"), port: Number(text.slice(at + 1)) }
}

const textOf = ({ host, port }: NetAddress): string => `${host.includes(":") ? `[${host}]` : host}:${port}`

/** `10.0.0.3:9002 does not respond (ECONNREFUSED)`. It is short, because the status repeats it for each device of the node. */
function reachText(address: string, { kind, message, details: { code, reason } }: Failure): string {
  if (kind !== "peerUnreachable") return message
  const why = code ?? reason
  return `${address} does not respond${why === undefined ? "" : ` (${why})`}`
}

export class Membership implements BackgroundService, ClusterView {
  readonly name = "membership"
  /** The reason why this node takes part no more. */
  removed: Failure | undefined
  private readonly metrics: RpcMetrics
  private readonly server: RpcServer
  private readonly others = new Map<string, Other>()
  private readonly reached = new Map<DeviceId, Other>()
  private address: NetAddress | undefined
  private joinedAs: Incarnation | undefined
  /** How often the store had been reconciled with its database when this node announced itself. */
  private joinedAfter = 0
  /** The master key of the proof in this node's row. */
  private provenBy: Uint8Array | undefined
  /** Until rows are read again. */
  private readonly rest: Rest
  private rows: readonly NodeRow[] = []
  /** The layout of the last heartbeat. */
  private reportedLayout = 0
  private readonly silences = new Silences()
  private readonly time = new AnsweredTime(MEMBERSHIP_LIMITS.gapMsMax)
  /** The layout under which live incarnations and then rows were last read, from begin to end. */
  private readUnder = -1
  private reading: Promise<unknown> | undefined

  constructor(
    private readonly seams: MembershipSeams,
    private readonly own: OwnNode,
    private readonly engine: Omit<ShardExchange, "all" | "setThreads">,
    /** Registers what else this node does for others. */
    serve: (server: RpcServer) => void,
    /** Called once if the node was removed from the store: the process must end. */
    private readonly onRemoved: (reason: Failure) => void,
  ) {
    const { clock, net, telemetry, records } = seams
    const metrics = new RpcMetrics(telemetry)
    this.metrics = metrics
    this.server = new RpcServer(
      { net, clock, metrics, tracer: telemetry.tracer },
      { own: this.hello, limits: RPC_LIMITS },
    )
    serveShards(this.server, engine.own)
    serve(this.server)
    this.rest = new Rest(seams.beats ?? clock)
    seams.admitted.onStranger(() => this.rest.wake())
    engine.setElsewhere(() => this.oldestLayoutElsewhere)
    engine.setCutOff(() => this.silences.isCutOff(own.name))
    records.onChange(record => this.reach(record))
  }

  /** All other nodes, in the order of their names. */
  get nodes(): readonly OtherNode[] {
    return [...this.others.values()].map(({ row, remote, report, peer }) => ({
      name: row.name,
      row,
      report,
      peer,
      trouble: remote.trouble && reachText(row.address, remote.trouble),
    }))
  }

  get silentMs(): ReadonlyMap<NodeName, number> {
    return this.silences.ofNodes()
  }

  get outOfReachMs(): ReadonlyMap<NodeName, number> {
    return this.silences.ofNodesOutOfReach()
  }

  /** This node's row, as last read. */
  get ownRow(): NodeRow | undefined {
    return this.rows.find(({ name }) => name === this.own.name)
  }

  /** The oldest layout under which another live process may still write. */
  get oldestLayoutElsewhere(): number {
    const { metadata, records } = this.seams
    if (this.readUnder !== records.record.layout.version) return 0
    const others = metadata.live.nodes.filter(({ incarnation }) => incarnation !== metadata.incarnations.own)
    // A process without a row is starting: it may have read the record before the layout changed.
    const layoutOf = (incarnation: Incarnation): number =>
      this.rows.find(row => row.incarnation === incarnation)?.layoutVersion ?? 0
    return Math.min(Infinity, ...others.map(({ incarnation }) => layoutOf(incarnation)))
  }

  /**
   * Listens, announces this node, and meets the others, as far as they answer in time. `announced`: where others reach
   * it, if not where it listens.
   */
  async join(listen: NetAddress, announced: (listening: NetAddress) => NetAddress): Promise<void> {
    const { clock } = this.seams
    this.address = announced(await this.server.listen(listen))
    await this.announce()
    // Others wait for this node only since it has a row.
    await this.seams.records.refresh()
    await this.readRows()
    const untilMs = clock.monotonicMs() + MEMBERSHIP_LIMITS.meetMs
    const isAlone = (): boolean =>
      [...this.others.values()].every(({ row, remote }) => this.isOver(row.incarnation) || remote.trouble === undefined)
    while (!isAlone() && clock.monotonicMs() < untilMs) await clock.sleep(MEMBERSHIP_LIMITS.meetPollMs, NEVER)
    this.readReports()
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock: real, beats: clock = real, telemetry } = this.seams
    const { readEveryMs, beatEveryMs } = MEMBERSHIP_LIMITS
    let [beatMs, readMs] = [clock.monotonicMs(), -Infinity]
    while (!signal.aborted && this.removed === undefined) {
      const isStrangerHere = await this.rest.until(readEveryMs, signal)
      await clock.sleep(Math.max(0, readMs + readEveryMs - clock.monotonicMs()), signal)
      this.noteSilence()
      const hasNewLayout = this.reportedLayout !== this.engine.layoutVersion()
      const isBeatDue = hasNewLayout || clock.monotonicMs() - beatMs >= beatEveryMs
      const { version } = this.seams.records.record.layout
      const isWaiting = this.oldestLayoutElsewhere < version
      if (signal.aborted || !(isBeatDue || isWaiting || isStrangerHere)) continue
      readMs = clock.monotonicMs()
      try {
        if (isBeatDue) {
          beatMs = readMs
          await this.beat()
        }
        const hasLearned = isWaiting && (await this.seams.metadata.learn())
        await this.readRows()
        if (hasLearned) this.readUnder = version
        if (isBeatDue || !isWaiting) this.readReports()
      } catch (error) {
        this.time.missed()
        telemetry.log.debug("heartbeat_failed", { error: String(error) })
      }
    }
    if (this.removed !== undefined) this.onRemoved(this.removed)
    await this.server.close()
    this.leave()
    await this.release().catch((error: unknown) => {
      telemetry.log.debug("devices_not_released", { error: String(error) })
    })
  }

  /** Another node may claim the devices immediately: their disks may have moved to it. */
  private async release(): Promise<void> {
    const { joinedAs } = this
    if (joinedAs === undefined || this.removed !== undefined) return
    await this.seams.records.change("node stops", record => releaseDevices(record, this.own.name, joinedAs))
  }

  isOver(incarnation: Incarnation): boolean {
    return this.seams.metadata.hasEnded(incarnation)
  }

  private async beat(): Promise<void> {
    const { metadata, telemetry, leases } = this.seams
    try {
      const isProven = this.provenBy === this.own.masterKeys.current
      if (metadata.incarnations.own !== this.joinedAs || !isProven) return await this.announce()
      const renewal = leases.beginRenewal()
      const { facts } = this
      renewal.confirm(await metadata.run(beatNode(this.own.name, facts, renewal.names)))
      this.reportedLayout = facts.layoutVersion
    } catch (error) {
      if (isFailure(error, "nodeRemoved")) {
        this.removed = asFailure(error)
        telemetry.log.error("node_removed", { reason: this.removed.message })
      }
      throw error
    }
  }

  private get facts(): NodeFacts {
    const unreachable = [...this.others.values()].filter(({ remote }) => remote.trouble !== undefined)
    return {
      position: this.seams.metadata.position,
      layoutVersion: this.engine.layoutVersion(),
      unreachable: unreachable.map(({ row }) => row.name),
    }
  }

  private async announce(): Promise<void> {
    const { metadata } = this.seams
    const { storeId, name, zone, machine, program, fingerprint, masterKeys } = this.own
    const incarnation = metadata.incarnations.own
    if (this.address === undefined) return
    if (this.joinedAs !== undefined && this.joinedAs !== incarnation) await this.claimAgain(incarnation)
    const masterKey = masterKeys.current
    const proof = proveAdmission(masterKey, { storeId, nodeName: name, fingerprint })
    const row = { name, incarnation, address: textOf(this.address), fingerprint, proof, machine, program }
    const { facts } = this
    const { reconciliations } = metadata.mark
    // A database that was rolled back may have lost the row.
    const hasRow = this.joinedAs !== undefined && metadata.halt === undefined && reconciliations === this.joinedAfter
    await metadata.run(joinNode({ ...row, zone: zone ?? "", beat: 1, ...facts }, hasRow))
    this.joinedAs = incarnation
    this.joinedAfter = reconciliations
    this.provenBy = masterKey
    this.reportedLayout = facts.layoutVersion
  }

  /** The incarnation of the claims is over; another node may have claimed a device since. */
  private async claimAgain(incarnation: Incarnation): Promise<void> {
    const { metadata, records, clock } = this.seams
    const isOver = (each: Incarnation) => metadata.hasEnded(each)
    const nowMs = clock.wallMs()
    await records.change("node claims its devices again", record =>
      record.devices.reduce((next, { id, home }) => {
        if (home?.node !== this.own.name || !this.engine.own.has(id)) return next
        return markReturning(claimDevice(next, id, { ...home, incarnation }, isOver), id, nowMs)
      }, record),
    )
  }

  /** In the background: a node that does not answer must not delay heartbeats. */
  private readReports(): void {
    this.reading ??= mapBounded(this.others.values(), MEMBERSHIP_LIMITS.reportsConcurrent, async other => {
      other.report = await askForReport(other.peer).catch(() => undefined)
    }).finally(() => (this.reading = undefined))
  }

  private async readRows(): Promise<void> {
    const { metadata, admitted, clock: real, beats: clock = real } = this.seams
    const { storeId, masterKeys } = this.own
    const rows = await metadata.ask(nodeRows())
    this.silences.observe(rows, metadata.live, this.time.answered(clock.monotonicMs()))
    const proven = rows.filter(({ name, fingerprint, proof }) =>
      masterKeys.openers.some(key => isAdmitted(key, { storeId, nodeName: name, fingerprint }, proof)),
    )
    this.rows = proven
    const others = proven.filter(({ name }) => name !== this.own.name)
    admitted.fingerprints.clear()
    for (const { fingerprint } of proven) admitted.fingerprints.add(fingerprint)
    admitted.closeRevoked()
    const names = new Set<string>(others.map(({ name }) => name))
    for (const name of [...this.others.keys()]) if (!names.has(name)) this.forget(name)
    for (const row of others) this.meet(row)
    this.reach(this.seams.records.record)
  }

  private meet(row: NodeRow): void {
    const before = this.others.get(row.name)
    if (before !== undefined && before.row.fingerprint === row.fingerprint && before.row.address === row.address) {
      before.row = row
      return
    }
    this.forget(row.name)
    const { net, clock, random, telemetry } = this.seams
    const plan = {
      address: addressOf(row.address),
      node: row.name,
      fingerprint: row.fingerprint,
      own: this.hello,
      limits: RPC_LIMITS,
    }
    const peer = new Peer({ net, clock, random: random.fork(`peer ${row.name}`), metrics: this.metrics }, plan)
    const other: Other = {
      row,
      peer,
      remote: new RemoteNode(clock, peer),
      lifetime: new AbortController(),
      report: undefined,
      troubleSinceMs: undefined,
    }
    this.others.set(row.name, other)
    telemetry.log.info("node_met", { node: row.name, address: row.address })
    void other.remote.keepUp(other.lifetime.signal)
  }

  private forget(name: string): void {
    const other = this.others.get(name)
    if (other === undefined) return
    this.others.delete(name)
    other.lifetime.abort()
    other.peer.close()
  }

  private leave(): void {
    for (const name of [...this.others.keys()]) this.forget(name)
    this.reach(this.seams.records.record)
  }

  /** Devices of nodes that do not respond are out of reach, and come back within reach with their node. */
  private noteSilence(): void {
    const nowMs = this.seams.clock.monotonicMs()
    for (const other of this.others.values()) {
      other.troubleSinceMs = other.remote.trouble === undefined ? undefined : (other.troubleSinceMs ?? nowMs)
    }
    this.reach(this.seams.records.record)
  }

  private isSilent({ troubleSinceMs }: Other): boolean {
    const nowMs = this.seams.clock.monotonicMs()
    return troubleSinceMs !== undefined && nowMs - troubleSinceMs >= MEMBERSHIP_LIMITS.silentMs
  }

  /** Each device that the record gives to another node is reached by the connection to that node. */
  private reach({ devices }: ControlRecord): void {
    const wanted = new Map<DeviceId, Other>()
    for (const { id, home, state } of devices) {
      const other = home && state !== "offline" ? this.others.get(home.node) : undefined
      if (other !== undefined && !this.isSilent(other)) wanted.set(id, other)
    }
    for (const [id, other] of [...this.reached]) {
      if (wanted.get(id)?.remote === other.remote) continue
      this.reached.delete(id)
      this.engine.setRemote(id, undefined)
    }
    for (const [id, other] of wanted) {
      if (this.reached.has(id)) continue
      this.reached.set(id, other)
      this.engine.setRemote(id, other.remote.shardsOf(id))
    }
  }

  private get hello() {
    const { metadata } = this.seams
    const { storeId, name } = this.own
    return {
      storeId,
      node: name,
      get incarnation() {
        return metadata.incarnations.own
      },
    }
  }
}
