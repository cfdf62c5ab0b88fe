/**
 * Rotation of the master key while the store runs: from the control record to a file, or from file to file. A job.
 * See decision 57.
 *
 * Promises  One change of the control record replaces the key: before it the store opens with the old key, after it with
 *           the new one alone. Every secret opens at any time: the record keeps the former key, sealed under the new one,
 *           until all access keys are sealed under the new one and every session of the former one has ended. A crash
 *           between any steps continues at the next start.
 * Refuses   A store of several nodes; a second rotation before the first one is over.
 */
import { must } from "../../base/assert.js"
import { equalBytes } from "../../base/bytes.js"
import { fail, type Failure } from "../../base/failures.js"
import type { RowKey } from "../../base/ids.js"
import { ALL_ROWS, type MasterKeys, type ResealedKeys } from "../../access/index.js"
import type { ControlRecord } from "../../format/control-record.js"
import type { Keyring } from "../../format/keyring.js"
import { sealBytes } from "../../format/sealed-bytes.js"
import type { EpochKeys } from "../../keys/contract.js"
import type { Job, StepOutcome } from "../../life/index.js"
import type { Clock } from "../../seams/clock/contract.js"
import type { Random } from "../../seams/random/contract.js"
import type { Log } from "../../seams/telemetry/contract.js"
import { openSecrets, purposeOfMasterKey, sealSecrets } from "../open/secrets.js"
import { openEpochKey, sealEpochKey } from "./epoch-keys.js"
import type { RecordManager } from "./record-manager.js"

const HOUR_MS = 3_600_000
/** The longest session of a key. */
export const FORMER_KEY_MS = 36 * HOUR_MS
const FIRST_MASTER_KEY = 1

interface Seams {
  readonly clock: Pick<Clock, "wallMs">
  readonly random: Random
  readonly log: Log
}

interface Store {
  readonly records: Pick<RecordManager, "record" | "change" | "onChange">
  readonly epochs: Pick<EpochKeys, "current">
  /** They follow the record. */
  readonly keys: MasterKeys
  readonly accounts: { resealKeys(start: RowKey): Promise<ResealedKeys> }
  readonly isShared: boolean
}

/** A walk over the rows of access keys. */
interface Pass {
  readonly begunMs: number
  /** Undefined: the walk is over. */
  next: RowKey | undefined
  resealed: number
  unreadable: number
}

interface MasterKeyReport {
  readonly number: number
  /** During a rotation. */
  readonly former: { readonly number: number; readonly neededUntilMs: number } | undefined
}

type Previous = NonNullable<Keyring["previous"]>

const numberIn = ({ keyring }: ControlRecord): number => keyring?.masterKeyNumber ?? FIRST_MASTER_KEY

const endOf = ({ sinceMs }: Previous): number => sinceMs + FORMER_KEY_MS

export class MasterKeyRotation implements Job {
  readonly name = "master-key"
  private readonly random: Random
  private pass: Pass | undefined

  constructor(
    private readonly seams: Seams,
    private readonly store: Store,
  ) {
    this.random = seams.random.fork("master key")
  }

  report(): MasterKeyReport {
    const { previous } = this
    const former = previous && { number: previous.number, neededUntilMs: endOf(previous) }
    return { number: numberIn(this.store.records.record), former }
  }

  /** Throws `invalidArgument` without a new key, `conflict` before the last rotation is over, `notImplemented` in a cluster. */
  async rotate(): Promise<MasterKeyReport> {
    const { records, epochs, isShared } = this.store
    if (isShared) {
      throw fail("notImplemented", { message: "the master key of a store of several nodes cannot be rotated yet" })
    }
    this.checkOver(records.record)
    this.next()
    // The ring has the number of the key, and the former one.
    await epochs.current()
    await records.change("master key rotated", record => this.rotated(record))
    const report = this.report()
    this.seams.log.info("master_key_rotated", { number: report.number })
    return report
  }

  async step(): Promise<StepOutcome> {
    const { previous } = this
    if (previous === undefined) {
      this.pass = undefined
      return "idle"
    }
    const pass = this.passUnderWay(this.seams.clock.wallMs(), endOf(previous))
    if (pass === undefined) return "idle"
    await this.walk(pass)
    if (pass.next !== undefined) return "busy"
    if (pass.begunMs >= endOf(previous)) await this.end(previous)
    return "idle"
  }

  progress(): string {
    const { number, former } = this.report()
    if (former === undefined) return `master key ${number}`
    const { resealed = 0, unreadable = 0 } = this.pass ?? {}
    const trouble = unreadable === 0 ? "" : `, ${unreadable} that no master key opens`
    const until = new Date(former.neededUntilMs).toISOString()
    return `master key ${number}; key ${former.number} needed until ${until}; ${resealed} access keys resealed${trouble}`
  }

  private get previous(): Previous | undefined {
    return this.store.records.record.keyring?.previous
  }

  private next(): Uint8Array {
    const { next, current } = this.store.keys
    if (next !== undefined && !equalBytes(next, current)) return next
    throw refuse("start the store with --next-master-key-file FILE, which has a new key")
  }

  private checkOver({ keyring }: ControlRecord): void {
    const previous = keyring?.previous
    if (previous === undefined) return
    const until = new Date(endOf(previous)).toISOString()
    const message = `master key ${previous.number} is needed until ${until}: the next rotation can begin then`
    throw fail("conflict", { message })
  }

  private rotated(record: ControlRecord): ControlRecord {
    const { keys } = this.store
    const { random } = this
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
    const previous = { number, sinceMs: this.seams.clock.wallMs(), sealed }
    return {
      ...record,
      secrets: sealSecrets(secrets, random),
      keyring: { ...ring, masterKeyNumber: number + 1, previous, epochs },
    }
  }

  /** One pass begins at once. Another one, when the time is over, finds keys that were being made during the rotation. */
  private passUnderWay(nowMs: number, endMs: number): Pass | undefined {
    const { pass } = this
    const isOver = pass?.next === undefined && (pass?.begunMs ?? 0) < endMs
    if (pass !== undefined && isOver && nowMs < endMs) return undefined
    if (pass === undefined || isOver) this.pass = { begunMs: nowMs, next: ALL_ROWS.start, resealed: 0, unreadable: 0 }
    return this.pass
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
