/**
 * Rotation of the master key while the store runs: from the control record to a file, or from file to file. A job; in a
 * store of several nodes one of them does it. See decision 57.
 *
 * Promises  One change of the control record replaces the key: before it the store opens with the old key, after it with
 *           the new one alone. Every secret opens at any time: the record keeps the former key, sealed under the new one,
 *           until all access keys are sealed under the new one and every session of a key from before has ended; longer
 *           sessions, of people of a directory, end then. Nodes that run have proven that they have the new key. A crash
 *           between any steps continues at the next start. Rows that a rolled back database has brought back are sealed
 *           again.
 * Refuses   While a node lacks the new key, and names it; a second rotation before the first one is over.
 */
import { must } from "@hayloft/base/assert.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { DeviceId, NodeName, RowKey } from "@hayloft/base/ids.js"
import type { MasterKeys, ResealedKeys } from "@hayloft/access/index.js"
import { masterKeyNumberOf, type ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { KeyringRecord } from "@hayloft/engine/format/device/keyring.js"
import type { NodeReport } from "@hayloft/engine/format/nodes/node-report.js"
import { sealBytes } from "@hayloft/engine/format/encoding/sealed-bytes.js"
import type { EpochKeys } from "@hayloft/access/keys/contract.js"
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import type { Incarnations } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import { hasNextKey, proveNextKey } from "../identity/admission-core.js"
import { openSecrets, purposeOfMasterKey, sealSecrets } from "../open/secrets.js"
import { openEpochKey, sealEpochKey } from "./epoch-keys.js"
import type { KeysOnDevices } from "./keys-on-devices.js"
import type { RecordManager } from "./record-manager.js"

const HOUR_MS = 3_600_000
/** The longest session of a key. */
export const FORMER_KEY_MS = 36 * HOUR_MS
/** A database that loses its last changes may lose rows that were sealed again: the former key stays for a while longer. */
export const KEPT_IN_DATABASE_MS = HOUR_MS

interface Seams {
  readonly clock: Pick<Clock, "wallMs">
  /** A wall clock that is ahead for a while ends no rotation early. It is undefined while nothing may end. */
  readonly dueTimeMs: () => number | undefined
  readonly random: Random
  readonly log: Log
}

interface Store {
  readonly records: Pick<RecordManager, "record" | "change">
  readonly epochs: Pick<EpochKeys, "current">
  /** They follow the record. */
  readonly keys: MasterKeys
  readonly accounts: { resealKeys(start: RowKey): Promise<ResealedKeys> }
  /** The keys on the devices of this process. */
  readonly devices: Pick<KeysOnDevices, "epochs" | "masterKeys" | "refresh">
  /** The node is undefined on one machine. */
  readonly node:
    | { readonly name: NodeName; readonly incarnations: () => Pick<Incarnations, "reconciliations"> }
    | undefined
}

/** Another node's report about the next master key. "off": its process has ended. */
export type NextKeyProof =
  | { readonly name: NodeName; readonly state: "off" | "out of reach" }
  | { readonly name: NodeName; readonly state: "on"; readonly proof: Uint8Array | undefined }

interface OtherNodes {
  /** The oldest master keys on their devices, as they last reported them. */
  masterKeys(): ReadonlyMap<DeviceId, number>
  /** Asks all of them; undefined until this node has joined. */
  proofs(): Promise<readonly NextKeyProof[]> | undefined
}

/** A walk over the rows of access keys. */
interface Pass {
  readonly begunMs: number
  /** The number of reconciliations of the rows. */
  readonly reconciliations: number
  /** The next row is undefined if the walk is over. */
  next: RowKey | undefined
  resealed: number
  unreadable: number
}

interface MasterKeyReport {
  readonly number: number
  /** During a rotation. */
  readonly former: { readonly number: number; readonly neededUntilMs: number } | undefined
  /** The devices that may still have a control record under an earlier key. */
  readonly devices: readonly {
    readonly id: DeviceId
    readonly path: string
    readonly isOffline: boolean
    /** The node is absent on one machine. */
    readonly node?: string
  }[]
}

type Previous = NonNullable<KeyringRecord["previous"]>

export class MasterKeyRotation implements Job {
  readonly name = "master-key"
  private readonly random: Random
  private pass: Pass | undefined
  /** After how many reconciliations all rows were found sealed under the current key. */
  private sealedIn: number | undefined
  private others: OtherNodes = { masterKeys: () => new Map(), proofs: () => undefined }

  constructor(
    private readonly seams: Seams,
    private readonly store: Store,
  ) {
    this.random = seams.random.fork("master key")
    // Another key of the operator may be the former one, for rows of a database that was restored.
    if (store.keys.next === undefined) this.sealedIn = this.reconciliations
  }

  setOthers(others: OtherNodes): void {
    this.others = others
  }

  /** This node's report to the others about its keys. */
  get reported(): Pick<NodeReport, "epochs" | "masterKeys" | "nextKeyProof"> {
    const { epochs, masterKeys } = this.store.devices
    const { proof } = this
    return { epochs, masterKeys, ...(proof !== undefined && { nextKeyProof: proof }) }
  }

  private get proof(): Uint8Array | undefined {
    const { node, keys, records } = this.store
    const { storeId } = records.record
    return node && keys.next && proveNextKey(keys.next, { storeId, nodeName: node.name })
  }

  report(): MasterKeyReport {
    const { previous } = this
    const former = previous && { number: previous.number, neededUntilMs: this.endOf(previous) }
    return { number: masterKeyNumberOf(this.store.records.record), former, devices: this.devicesBehind() }
  }

  /** Throws `invalidArgument` without a new key, `conflict` if a node lacks it or the last rotation is not over. */
  async rotate(): Promise<MasterKeyReport> {
    const { records, epochs, devices } = this.store
    this.checkOver(records.record)
    await this.checkNodes(this.next())
    // The ring has the number of the key, and the former one.
    await epochs.current()
    await records.change("master key rotated", record => this.rotated(record))
    await devices.refresh()
    const report = this.report()
    this.seams.log.info("master_key_rotated", { number: report.number })
    return report
  }

  async step(): Promise<StepOutcome> {
    await this.store.devices.refresh()
    const { previous } = this
    const pass = this.passUnderWay(previous)
    if (pass === undefined) return "idle"
    await this.walk(pass)
    if (pass.next !== undefined) return "busy"
    if (pass.reconciliations !== this.reconciliations) return "busy"
    this.sealedIn = pass.reconciliations
    if (previous !== undefined && this.isLast(pass, previous)) await this.end(previous)
    return "idle"
  }

  progress(): string {
    const { number, former, devices } = this.report()
    const { resealed = 0, unreadable = 0 } = this.pass ?? {}
    const trouble = unreadable === 0 ? "" : `, ${unreadable} that no master key opens`
    const behind =
      devices.length === 0 ? "" : `; devices that may have a record under an earlier key: ${devices.length}`
    if (former === undefined) return `master key ${number}${trouble}${behind}`
    const until = new Date(former.neededUntilMs).toISOString()
    return `master key ${number}; key ${former.number} needed until ${until}; ${resealed} access keys resealed${trouble}${behind}`
  }

  private get previous(): Previous | undefined {
    return this.store.records.record.keyring?.previous
  }

  private get reconciliations(): number {
    return this.store.node?.incarnations().reconciliations ?? 0
  }

  private get keptMs(): number {
    return this.store.node === undefined ? 0 : KEPT_IN_DATABASE_MS
  }

  private endOf({ sinceMs }: Previous): number {
    return sinceMs + FORMER_KEY_MS + this.keptMs
  }

  private devicesBehind(): MasterKeyReport["devices"] {
    const { records, devices } = this.store
    const number = masterKeyNumberOf(records.record)
    // Nothing is older than the first key.
    if (number === 1) return []
    const [own, elsewhere] = [devices.masterKeys, this.others.masterKeys()]
    const behind = records.record.devices.filter(({ id }) => (own.get(id) ?? elsewhere.get(id) ?? 0) < number)
    return behind.map(({ id, pathHint: path, state, home }) => {
      return { id, path, isOffline: state === "offline", ...(home !== undefined && { node: home.node }) }
    })
  }

  private next(): Uint8Array {
    const { next, current } = this.store.keys
    if (next !== undefined && !equalBytes(next, current)) return next
    throw refuse("start the store with --next-master-key-file FILE, which has a new key")
  }

  private checkOver({ keyring }: ControlRecord): void {
    const previous = keyring?.previous
    if (previous === undefined) return
    const until = new Date(this.endOf(previous)).toISOString()
    const message = `master key ${previous.number} is needed until ${until}: the next rotation can begin then`
    throw fail("conflict", { message })
  }

  /** A node that is off takes the new key at its next start, or is refused then. */
  private async checkNodes(next: Uint8Array): Promise<void> {
    const { node, records } = this.store
    if (node === undefined) return
    const proofs = await this.others.proofs()
    if (proofs === undefined) throw fail("conflict", { message: "this node has not joined the others yet" })
    const { storeId } = records.record
    const away = proofs.filter(({ state }) => state === "out of reach").map(({ name }) => name)
    const lacking = proofs.filter(
      each => each.state === "on" && !hasNextKey(next, { storeId, nodeName: each.name }, each.proof),
    )
    const reasons = [
      ...(lacking.length === 0
        ? []
        : [
            `${lacking.map(({ name }) => name).join(", ")} without this new key: start with the same --next-master-key-file`,
          ]),
      ...(away.length === 0
        ? []
        : [`${away.join(", ")} out of reach: bring back, or stop and try again in some minutes`]),
    ]
    if (reasons.length > 0) throw fail("conflict", { message: `not every node is ready: ${reasons.join("; ")}` })
  }

  private rotated(record: ControlRecord): ControlRecord {
    const { keys } = this.store
    const { random } = this
    const { clock, dueTimeMs } = this.seams
    const ring = must(record.keyring, "the ring was made")
    this.checkOver(record)
    const next = this.next()
    const number = ring.masterKeyNumber
    const secrets = { ...openSecrets(record, { current: keys.current }), masterKey: next, keyInRecord: false }
    const epochs = ring.epochs.map(epoch => ({
      ...epoch,
      sealed: sealEpochKey(next, epoch.number, openEpochKey(keys.current, epoch), random),
    }))
    const sealed = sealBytes(next, purposeOfMasterKey(number), keys.current, random)
    const previous = { number, sinceMs: dueTimeMs() ?? clock.wallMs(), sealed }
    return {
      ...record,
      secrets: sealSecrets(secrets, random),
      keyring: { ...ring, masterKeyNumber: number + 1, previous, epochs },
    }
  }

  /** Returns undefined if no pass is due. */
  private passUnderWay(previous: Previous | undefined): Pass | undefined {
    const { pass, reconciliations } = this
    // A pass of a time that is not known is not the last one.
    const nowMs = this.seams.dueTimeMs() ?? 0
    const isOfNow = pass?.reconciliations === reconciliations
    if (pass !== undefined && isOfNow && pass.next !== undefined) return pass
    const isSealed = this.sealedIn === reconciliations
    const isDue =
      previous === undefined ? !isSealed : pass === undefined || !isOfNow || nowMs >= this.dueAfter(pass, previous)
    if (!isDue) return undefined
    this.pass = { begunMs: nowMs, reconciliations, next: ALL_ROWS.start, resealed: 0, unreadable: 0 }
    return this.pass
  }

  /** When another pass begins. The one after the last session finds keys that were being made during the rotation. */
  private dueAfter(pass: Pass, previous: Previous): number {
    const [sessionsMs, endMs] = [previous.sinceMs + FORMER_KEY_MS, this.endOf(previous)]
    if (pass.begunMs < sessionsMs) return sessionsMs
    return pass.begunMs < endMs ? endMs : pass.begunMs + this.keptMs
  }

  /** Keys that the last pass seals again in a database may be lost: another pass follows. */
  private isLast({ begunMs, resealed }: Pass, previous: Previous): boolean {
    return begunMs >= this.endOf(previous) && (resealed === 0 || this.keptMs === 0)
  }

  private async walk(pass: Pass): Promise<void> {
    if (pass.next === undefined) return
    const { resealed, unreadable, next } = await this.store.accounts.resealKeys(pass.next)
    pass.resealed += resealed
    pass.unreadable += unreadable
    pass.next = next
  }

  private async end({ number }: Previous): Promise<void> {
    await this.store.records.change("rotation of the master key is over", record => {
      const { keyring } = record
      if (keyring?.previous?.number !== number) return undefined
      return { ...record, keyring: { ...keyring, previous: undefined } }
    })
    this.pass = undefined
    this.seams.log.info("former_master_key_not_needed", { number })
  }
}

const refuse = (message: string): Failure => fail("invalidArgument", { message })
