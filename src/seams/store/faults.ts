/**
 * Faults for bases in tests: their calls asked of the same interceptors as those of files, and rows that rot.
 *
 * A base is a file `data.mdb` to an interceptor: `open`, `readNow` for each value read, `read` for a prefetch
 * (which fails only where it does not end in time), `write` for a commit, after which nothing has changed where it fails.
 */
import { fail } from "../../base/failures.js"
import { FAMILY_NAMES, type Family } from "../../base/families.js"
import { rowKeyOf, type RowKey } from "../../base/ids.js"
import type { Clock } from "../clock/contract.js"
import { verdictNow, type Intercept } from "../disk/calls.js"
import type { Random } from "../random/contract.js"
import { takeRows, type KeyRange, type RowTaker, type Stores, type StoreWrite, type StoreWriter } from "./contract.js"
import type { MemoryStores } from "./memory.js"

const ALL = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff".repeat(64)) }
const WARM_MS_MAX = 4_000
const fileOf = (path: string): string => `${path}/data.mdb`
const never = <T>(): Promise<T> => new Promise<T>(() => undefined)

/** Where a base lies now, and what its calls meet there. */
export interface BasePlace {
  readonly stores: Stores
  readonly clock: Clock
  readonly intercept: Intercept
  /** No commit finds room. */
  isFull(): boolean
}

/** The bases of one life of a process, wherever they lie when they are opened; after its end no call settles. */
export function interceptedStores(placeOf: (path: string) => BasePlace, isOver: () => boolean): Stores {
  const openWriter = async (path: string): Promise<StoreWriter> => {
    if (isOver()) return never()
    const place = placeOf(path)
    await place.intercept({ kind: "open", path: fileOf(path) })
    return isOver() ? never() : new InterceptedStore(place, path, await place.stores.openWriter(path), isOver)
  }
  return { openWriter, openReader: openWriter, discard: async path => placeOf(path).stores.discard(path) }
}

class InterceptedStore implements StoreWriter {
  constructor(
    private readonly place: BasePlace,
    private readonly path: string,
    private readonly store: StoreWriter,
    private readonly isOver: () => boolean,
  ) {}

  get(family: Family, key: RowKey): Uint8Array | undefined {
    return this.arrived(this.store.get(family, key))
  }

  *range(family: Family, range: KeyRange): Iterable<readonly [RowKey, Uint8Array]> {
    for (const [key, value] of this.store.range(family, range)) yield [key, this.arrived(value)]
    this.arrived(undefined)
  }

  scan(family: Family, { start, end }: KeyRange, taker: RowTaker): void {
    takeRows(this.range(family, { start, end }), taker)
  }

  /** What a value looks like when it comes off the disk. Throws where the disk does not give it. */
  private arrived<T extends Uint8Array | undefined>(value: T): T {
    const [path, lengthBytes] = [fileOf(this.path), value?.length ?? 0]
    const bend = verdictNow(this.place.intercept, { kind: "readNow", path, offsetBytes: 0, lengthBytes })
    if (value !== undefined) bend?.rot?.(value, 0)
    return value
  }

  async warm(): Promise<void> {
    const { clock, intercept } = this.place
    const over = new AbortController()
    const read = async (): Promise<void> => {
      await intercept({ kind: "read", path: fileOf(this.path), offsetBytes: 0, lengthBytes: 0 })
    }
    let isLate = true
    // Whoever reads next meets the failure.
    const warmed = read()
      .catch(() => undefined)
      .then(() => (isLate = false))
    await Promise.race([warmed, clock.sleep(WARM_MS_MAX, over.signal)])
    over.abort()
    if (isLate) throw fail("deviceFailed", { path: fileOf(this.path), code: "ETIMEDOUT" })
  }

  async verify(signal: AbortSignal): Promise<void> {
    await this.place.intercept({ kind: "read", path: fileOf(this.path), offsetBytes: 0, lengthBytes: 0 })
    if (this.isOver()) return never()
    return this.store.verify(signal)
  }

  refresh(): void {
    this.store.refresh()
  }

  async commit(writes: Iterable<StoreWrite>): Promise<void> {
    const [path, change] = [fileOf(this.path), { kind: "write", offsetBytes: 0, bytes: new Uint8Array(0) } as const]
    const bend = await this.place.intercept({ kind: "write", path, file: 0, durable: true, change })
    if (this.isOver()) return never()
    if (bend?.torn) throw bend.torn.failure
    if (bend?.isFull === true || this.place.isFull()) throw fail("deviceFull", { path, code: "ENOSPC" })
    await this.store.commit(writes)
    await bend?.answered
  }

  close(): Promise<void> {
    return this.store.close()
  }
}

/** Flips a bit in one row at rest; gives a sentence of where, or undefined where there is no row. */
export async function rotRow(stores: MemoryStores, path: string, random: Random): Promise<string | undefined> {
  const store = await stores.openReader(path)
  const rows = FAMILY_NAMES.flatMap(family =>
    [...store.range(family, ALL)].map(([key, value]) => ({ family, key, value })),
  ).filter(({ family, value }) => family !== "marks" && value.length > 0)
  const row = rows[random.below(Math.max(1, rows.length))]
  if (row === undefined) return undefined
  const bit = random.below(8 * row.value.length)
  row.value[bit >> 3] = (row.value[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  stores.damage(path, [row])
  return `${path}: bit ${bit} of a row of ${row.family}`
}
