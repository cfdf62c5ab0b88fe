/**
 * A device whose log the scenario controls: a write waits until the scenario acknowledges it or makes it fail.
 * Durable entries outlive the process; rows are read from memory, and a checkpoint stores them.
 */
import { must } from "@hayloft/base/assert.js"
import type { Failure } from "@hayloft/base/failures.js"
import { parseLogSequence, parsePosition, rowKeyOf, type DeviceId, type Epoch, type RowKey } from "@hayloft/base/ids.js"
import {
  getThrough,
  MemoryLayer,
  rangeThrough,
  type CommitLog,
  type DeviceRow,
  type LoggedRecord,
} from "@hayloft/engine/device/index.js"
import { decodeEntry } from "@hayloft/engine/format/device/entry.js"
import { FIRST_EPOCH, storePrefixOf } from "@hayloft/engine/format/device/replica-incarnation.js"
import type { ReplicaDevice } from "@hayloft/engine/tablet/replica.js"
import { nameOf } from "./devices.js"
import { FAMILY, shownRows, textOfWrite } from "./rows.js"

/** Prints an event of a device. */
export type Trace = (device: string, what: string) => void

interface WaitingWrite {
  readonly records: readonly Uint8Array[]
  settle(outcome: "durable" | Failure): void
}

/** Device keys begin with the prefix of a replica's incarnation. */
const EVERYTHING = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff".repeat(16)) }

function shownRecord(record: Uint8Array): string {
  const { position, epoch, writes, isSnapshot } = decodeEntry(record)
  const rows = shownRows(writes.map(textOfWrite))
  return `${isSnapshot ? "snapshot at" : "entry"} ${position} (epoch ${epoch}): ${rows}`
}

const unused = (): never => {
  throw new Error("scenarios read rows, and rows have no payloads")
}

export class HandDevice {
  /** Entries by log sequence, from 1; undefined if truncated because a checkpoint contains them. */
  private readonly durable: (readonly Uint8Array[] | undefined)[] = []
  private waiting: WaitingWrite[] = []
  private rows = new MemoryLayer<DeviceRow>()
  private checkpointed: readonly (readonly [RowKey, DeviceRow])[] = []
  private containedBatches = 0
  private contained: number | undefined
  /** Writes need no acknowledgement: for the recovery at a start. */
  isPrompt = false

  constructor(
    readonly id: DeviceId,
    private readonly trace: Trace,
  ) {}

  private note(what: string): void {
    this.trace(nameOf(this.id), what)
  }

  /** Starts a new process: memory is lost, and waiting writes are never answered. */
  open(): ReplicaDevice {
    this.waiting = []
    this.rows = new MemoryLayer()
    for (const [key, row] of this.checkpointed) this.rows.set(FAMILY, key, row)
    const { id, rows } = this
    return {
      id,
      log: this.log(),
      rows: {
        get: (family, key) => getThrough([rows], family, key),
        range: (family, range) => rangeThrough([rows], family, range),
        scan: unused,
        warm: () => undefined,
        apply: writes => {
          for (const { family, key, value } of writes) rows.set(family, key, value && { value, payload: undefined })
          const shown = writes.map(({ key, value }) => textOfWrite({ key: bareKey(key), value }))
          this.note(`apply ${shownRows(shown)}`)
        },
      },
      contained: parseLogSequence(this.containedBatches),
      containedPosition: () => (this.contained === undefined ? undefined : parsePosition(this.contained)),
      readPayload: unused,
      verifyMetadataStore: unused,
      spaceForWrites: () => undefined,
    }
  }

  private log(): CommitLog {
    return {
      durable: parseLogSequence(0),
      lengthBytes: 0,
      stopped: undefined,
      cutUpTo: parseLogSequence(0),
      confirm: unused,
      read: unused,
      cut: unused,
      close: unused,
      append: records => this.append(records),
      records: after => this.records(after),
    }
  }

  private async *records(after: number): AsyncGenerator<LoggedRecord> {
    for (const [i, batch] of this.durable.entries()) {
      if (i + 1 <= after) continue
      for (const bytes of must(batch, "a log is read after the checkpoint")) {
        yield { sequence: parseLogSequence(i + 1), bytes: Uint8Array.from(bytes), place: NOWHERE }
      }
    }
  }

  private append(given: readonly Uint8Array[]): ReturnType<CommitLog["append"]> {
    const records = given.map(record => Uint8Array.from(record))
    for (const record of records) this.note(`log ${shownRecord(record)}`)
    return new Promise((resolve, reject) => {
      const settle = (outcome: "durable" | Failure): void => {
        if (outcome !== "durable") return reject(outcome)
        const sequence = parseLogSequence(this.durable.push(records))
        resolve({ sequence, places: records.map(() => NOWHERE) })
      }
      if (this.isPrompt) settle("durable")
      else this.waiting.push({ records, settle })
    })
  }

  get isWriting(): boolean {
    return this.waiting.length > 0
  }

  /** Makes the oldest waiting write durable, or makes it fail. */
  settle(outcome: "durable" | Failure): void {
    must(this.waiting.shift(), `device ${nameOf(this.id)} has a waiting write`).settle(outcome)
  }

  /** Cuts the power or ends the process. Some of the waiting writes may have become durable. */
  crash(keeps: boolean): void {
    if (keeps) for (const { records } of this.waiting) this.durable.push(records)
    this.waiting = []
  }

  /** Stores all rows, and truncates the log. */
  checkpoint(position: number): void {
    this.checkpointed = [...rangeThrough([this.rows], FAMILY, EVERYTHING)]
    this.containedBatches = this.durable.length
    this.contained = position
    this.durable.fill(undefined)
  }

  /** Removes an entry from the log, as a bug or faulty hardware would. */
  forget(position: number): void {
    for (const [i, batch] of this.durable.entries()) {
      this.durable[i] = batch?.filter(record => Number(decodeEntry(record).position) !== position)
    }
  }

  /** Changes a row without an entry. */
  corrupt(key: string, value: string): void {
    for (const [deviceKey] of [...rangeThrough([this.rows], FAMILY, EVERYTHING)]) {
      if (bareKey(deviceKey) !== key) continue
      this.rows.set(FAMILY, deviceKey, { value: new TextEncoder().encode(value), payload: undefined })
    }
  }

  /** Prints the entries of its log. */
  showLog(): void {
    const entries = this.durable.flatMap(batch => (batch ?? []).map(shownRecord))
    this.note(entries.length > 0 ? `log has ${entries.join("; ")}` : "log is empty")
  }

  /** The rows in memory of the replica that began with this epoch. */
  shownRows(since: Epoch): string {
    const prefix = storePrefixOf(since)
    const rows = [...rangeThrough([this.rows], FAMILY, EVERYTHING)].filter(([key]) => key.startsWith(prefix))
    return shownRows(rows.map(([key, { value }]) => textOfWrite({ key: bareKey(key), value })))
  }
}

/** Without the prefix of the replica's incarnation. */
const bareKey = (key: RowKey): RowKey => rowKeyOf(key.slice(storePrefixOf(FIRST_EPOCH).length))

const NOWHERE = { segment: 0, offsetBytes: 0 }
