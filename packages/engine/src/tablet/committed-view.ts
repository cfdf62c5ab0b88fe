/**
 * Committed view: the rows that readers see, from the first replica that can return them.
 *
 * Promises  Rows that the metadata store of a replica cannot return, or has damaged, are read from the next replica,
 *           and the damage is reported. A replica that left is never read.
 */
import { must } from "@hayloft/base/assert.js"
import { asFailure, fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import type { Family } from "@hayloft/base/rows/families.js"
import { Lent, owned, type LentSoon } from "@hayloft/base/memory/lent.js"
import { asPromise } from "@hayloft/base/soon.js"
import { rowKeyAfter } from "@hayloft/base/ids.js"
import type { DeviceId, Position, RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import type { RowVisitor } from "@hayloft/base/rows/row-scan.js"
import type { DeviceRow, PayloadPlace } from "../device/index.js"
import type { Incarnations, QueryView } from "../metadata/index.js"
import type { ReplicaPlace, TabletRow } from "./contract.js"
import type { ReplicaHandle } from "./replica-handle.js"

export class CommittedView implements QueryView {
  /** Rows of an earlier first replica may still be in use, and nothing in them shows their replica. */
  private hasChangedFirst = false
  generationMark: object = {}

  constructor(
    private handles: readonly ReplicaHandle[],
    private readonly damaged: (id: DeviceId, failure: Failure) => void,
    private readonly committed: () => Position,
    readonly incarnations: Incarnations,
  ) {}

  get position(): Position {
    return this.committed()
  }

  /** The replica that is read first. */
  get reader(): ReplicaHandle {
    return must(this.handles[0], "a tablet has replicas")
  }

  /** The rows of buckets and identities have changed. */
  markGeneration(): void {
    this.generationMark = {}
  }

  readFrom(handles: readonly ReplicaHandle[]): void {
    if (handles[0] !== this.handles[0]) this.hasChangedFirst = true
    this.handles = handles
  }

  /**
   * Brings a row into memory; returns undefined if it is there already. A replica whose metadata store does not
   * return it is read last from then on: a read that waits for it would delay everything.
   */
  warm(
    family: Family,
    key: RowKey,
    [handle, ...others]: readonly ReplicaHandle[] = this.handles,
  ): Promise<void> | undefined {
    const warming = handle?.replica.warm(family, key)
    if (handle === undefined || warming === undefined) return undefined
    return handle.wait(warming).catch((error: unknown) => {
      const failure = handle.left ?? this.reportDamage(handle, error)
      if (others.length === 0) throw failure
      this.readLast(handle)
      return this.warm(family, key, others)
    })
  }

  private readLast(handle: ReplicaHandle): void {
    if (this.handles.includes(handle)) this.readFrom([...this.handles.filter(other => other !== handle), handle])
  }

  get(family: Family, key: RowKey): TabletRow | undefined {
    let problem: unknown
    for (const handle of this.handles) {
      try {
        const row = handle.replica.get(family, key)
        return row && handle !== this.handles[0] ? this.withOrigin(handle, row) : row
      } catch (error) {
        problem = this.reportDamage(handle, error)
      }
    }
    throw problem
  }

  *range(family: Family, range: KeyRange): Generator<readonly [RowKey, TabletRow]> {
    let rest = range
    let problem: unknown
    for (const handle of this.handles) {
      let last: RowKey | undefined
      try {
        for (const pair of handle.replica.range(family, rest)) {
          last = pair[0]
          yield handle === this.handles[0] ? pair : [last, this.withOrigin(handle, pair[1])]
        }
        return
      } catch (error) {
        problem = this.reportDamage(handle, error)
      }
      if (last !== undefined) rest = range.reverse ? { ...rest, end: last } : { ...rest, start: rowKeyAfter(last) }
    }
    throw problem
  }

  scan(family: Family, range: KeyRange, visitor: RowVisitor): void {
    let visited = 0
    let problem: unknown
    for (const handle of this.handles) {
      // Rows already visited by a replica that failed half-way: all replicas have the same rows.
      let toSkip = visited
      const row = (bytes: Buffer, keyAt: number, valueAt: number, end: number): boolean => {
        if (toSkip > 0) {
          toSkip -= 1
          return true
        }
        visited += 1
        return visitor.row(bytes, keyAt, valueAt, end)
      }
      try {
        handle.replica.scan(family, range, { row })
        return
      } catch (error) {
        problem = this.reportDamage(handle, error)
      }
    }
    throw problem
  }

  /**
   * The inline payload of a row that this view returned. Undefined if the row has changed meanwhile. Throws the failure
   * if no replica can return it, `corruptRow` if none has it.
   */
  payload(family: Family, key: RowKey, row: TabletRow): LentSoon {
    const { payload } = row
    if (payload === undefined) return Promise.resolve(undefined)
    if (payload.in === "memory") return new Lent(payload.bytes)
    const origin = this.originOf(payload)
    const read = origin?.replica.readPayload(family, key, payload)
    if (origin === undefined || read === undefined) return this.payloadOfAny(family, key, row)
    return read instanceof Promise ? this.slowPayload(origin, read, family, key, row) : read
  }

  private async slowPayload(
    origin: ReplicaHandle,
    reading: Promise<Uint8Array | undefined>,
    family: Family,
    key: RowKey,
    row: TabletRow,
  ): Promise<Uint8Array | undefined> {
    const bytes = await readPayloadAt(origin, reading)
    return bytes instanceof Uint8Array ? bytes : this.payloadOfAny(family, key, row)
  }

  /** From the first replica that has it, at its present place. */
  private async payloadOfAny(family: Family, key: RowKey, row: TabletRow): Promise<Uint8Array | undefined> {
    // A checkpoint moved the payload during the read, or the row changed, or the place is damaged.
    if (!isSame(this.get(family, key), row)) return undefined
    let problem: Failure | undefined
    for (const handle of this.handles) {
      const place = this.placeAt(handle, family, key, row)
      const found = place && (await readPayloadAt(handle, handle.replica.readPayload(family, key, place)))
      if (found instanceof Uint8Array) return found
      if (!found) continue
      problem ??= found
      const isStill = isSamePlace(this.placeAt(handle, family, key, row), place)
      if (isStill && handle.left === undefined) this.damaged(handle.id, found)
    }
    throw problem ?? noPayload(family)
  }

  /** The replica whose device has the place; undefined if it is unknown, or that replica left. */
  private originOf({ of }: ReplicaPlace): ReplicaHandle | undefined {
    const first = this.hasChangedFirst ? undefined : this.handles[0]
    const handle = of ? this.handles.find(({ replica }) => replica.id === of.id && replica.since === of.since) : first
    return handle?.left === undefined ? handle : undefined
  }

  /** Returns where a replica has the row's payload; undefined if it does not have this row. */
  private placeAt(handle: ReplicaHandle, family: Family, key: RowKey, row: TabletRow): PayloadPlace | undefined {
    if (handle.left !== undefined) return undefined
    try {
      const found = handle.replica.get(family, key)
      return isSame(found, row) ? found?.payload : undefined
    } catch (error) {
      this.reportDamage(handle, error)
      return undefined
    }
  }

  /** Reports damage of a replica's metadata store; rethrows any other error. */
  private reportDamage(handle: ReplicaHandle, error: unknown): Failure {
    if (!isFailure(error, "corruptRow", "deviceFailed")) throw error
    this.damaged(handle.id, error)
    return error
  }

  /** The row, which says itself whose its place is: a reader in another thread has a copy of it. */
  private withOrigin(handle: ReplicaHandle, { value, payload }: DeviceRow): TabletRow {
    const { id, since } = handle.replica
    return { value, payload: payload && { ...payload, of: { id, since } } }
  }
}

const noPayload = (family: Family): Failure =>
  fail("corruptRow", { family, reason: "the inline payload is not at its place" })

const isSame = (a: TabletRow | undefined, b: TabletRow): boolean =>
  a !== undefined && Buffer.compare(a.value, b.value) === 0

function isSamePlace(a: PayloadPlace | undefined, b: PayloadPlace | undefined): boolean {
  if (a?.in === "volume" && b?.in === "volume") return a.volume === b.volume && a.offsetBytes === b.offsetBytes
  return a?.in === "log" && b?.in === "log" && a.place === b.place
}

/**
 * The payload read at a replica's place, or the damage found there; undefined if the place has other content by now.
 */
async function readPayloadAt(handle: ReplicaHandle, reading: LentSoon): Promise<Uint8Array | Failure | undefined> {
  try {
    return await handle.wait(asPromise(() => owned(reading)))
  } catch (error) {
    if (handle.left === undefined && !isFailure(error, "corruptNeedle", "deviceFailed")) throw error
    return asFailure(error)
  }
}
