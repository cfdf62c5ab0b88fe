/**
 * The index rows of a class of needles that end: the rows of its volumes are in the family `expiringNeedles`, behind the
 * number of the class. `NeedleVolumes` and its checkpoint source work on them as on the family `needles`.
 */
import type { Family } from "@hayloft/base/rows/families.js"
import { rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import type { RowVisitor } from "@hayloft/base/rows/row-scan.js"
import type { AppliedWrite, CheckpointSource, DeviceRow, DeviceRows } from "../device/contract.js"
import { EXPIRING_FAMILY, expiringKeyOf, needleKeyIn } from "../format/needles/expiring-key.js"
import { NEEDLE_KEY_BYTES } from "../format/needles/needle.js"
import type { StoreWrite } from "@hayloft/base/seams/store/contract.js"
import type { ExpiringClass } from "./expiring-core.js"

/** The rows of a device, with those of the class as its needles. */
export class ExpiringRows implements DeviceRows {
  constructor(
    private readonly rows: DeviceRows,
    private readonly ends: ExpiringClass,
  ) {}

  get(_family: Family, key: RowKey): DeviceRow | undefined {
    return this.rows.get(EXPIRING_FAMILY, expiringKeyOf(this.ends.number, key))
  }

  *range(_family: Family, range: KeyRange): Generator<readonly [RowKey, DeviceRow]> {
    for (const [key, row] of this.rows.range(EXPIRING_FAMILY, this.within(range))) yield [needleKeyIn(key), row]
  }

  scan(_family: Family, range: KeyRange, visitor: RowVisitor): void {
    this.rows.scan(EXPIRING_FAMILY, this.within(range), {
      row: (bytes, keyAt, valueAt, end) => visitor.row(bytes, keyAt + 1, valueAt, end),
    })
  }

  warm(_family: Family, keys: readonly RowKey[]): Promise<void> | undefined {
    return this.rows.warm(
      EXPIRING_FAMILY,
      keys.map(key => expiringKeyOf(this.ends.number, key)),
    )
  }

  apply(writes: readonly AppliedWrite[]): void {
    this.rows.apply(writes.map(write => ({ ...write, ...rowOf(this.ends, write) })))
  }

  private within(range: KeyRange): KeyRange {
    // No needle has a longer key, so that a shorter bound excludes none.
    const bound = (key: RowKey): RowKey => expiringKeyOf(this.ends.number, rowKeyOf(key.slice(0, NEEDLE_KEY_BYTES + 1)))
    return { ...range, start: bound(range.start), end: bound(range.end) }
  }
}

const rowOf = (ends: ExpiringClass, { key }: { readonly key: RowKey }) =>
  ({ family: EXPIRING_FAMILY, key: expiringKeyOf(ends.number, key) }) as const

/** The source of a class, from that of its volumes. */
export class ExpiringSource implements CheckpointSource {
  readonly name: string

  constructor(
    private readonly source: CheckpointSource,
    private readonly ends: ExpiringClass,
  ) {
    this.name = sourceNameOf(ends)
  }

  async *collect(mark: Uint8Array | undefined): AsyncGenerator<StoreWrite> {
    for await (const write of this.source.collect(mark)) yield { ...write, ...rowOf(this.ends, write) }
  }

  markAfter(): Uint8Array {
    return this.source.markAfter()
  }
}

/** The name of the class's mark in the metadata store. */
export const sourceNameOf = ({ name }: ExpiringClass): string => `volumes ${name}`
