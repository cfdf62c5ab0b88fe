/**
 * The walk over all rows of a tablet for a backup, in slices. Pure.
 *
 * Promises  The rows of one object key are in one slice, from one moment, so that a version that moves between
 *           families is never missed. A key with more rows than fit a slice has several: its `current` row is then
 *           repeated after them, since versions move there. Pending deletions follow the objects: of an upload that is
 *           replaced meanwhile, the backup contains the row that references it, or its pending deletion, or both.
 *           The rows of a K2V item are in one slice too, in the order of their keys.
 *           Buckets are repeated at the end, for those created meanwhile.
 */
import type { Family } from "../../base/families.js"
import { OBJECT_FAMILIES, REPLICATED_FAMILIES } from "../../base/families.js"
import { rowKeyOf, type RowKey } from "../../base/ids.js"
import { itemRowKeyOf } from "../../format/k2v-rows.js"
import { bucketRowKey } from "../../format/row-key.js"
import type { MetadataRow, RowView } from "../../metadata/index.js"
import { SYSTEM_BUCKET_ID } from "./metadata-backup-bucket.js"

/** Returns false for what nodes share while they run: it belongs to no user, and means nothing to another store. */
const isKept = (family: Family): boolean => family !== "cluster"

/** An item, and its values that have rows of their own. */
const OF_ITEMS: readonly Family[] = ["k2vItems", "k2vValues"]
const LAST_PHASES = [OF_ITEMS, OBJECT_FAMILIES, ["releases"], ["buckets"]] as const
/** Also before the objects: a reader knows the bucket of each object. */
const isFirst = (family: Family): boolean =>
  isKept(family) && !OBJECT_FAMILIES.includes(family) && !OF_ITEMS.includes(family) && family !== "releases"

/** The phases of the walk. */
const PHASES: readonly (readonly Family[])[] = [
  ...REPLICATED_FAMILIES.filter(isFirst).map(family => [family]),
  ...LAST_PHASES,
]
const OBJECT_PHASE = PHASES.indexOf(OBJECT_FAMILIES)
const START = rowKeyOf("")
/** Keys begin with a bucket id, a name, an account or a number below this. */
const END = rowKeyOf("\xff")
/** The objects of the system bucket are these snapshots themselves. */
const OBJECTS_END = bucketRowKey(SYSTEM_BUCKET_ID)

interface WalkLimits {
  /** A slice ends with the first object key after this many rows … */
  readonly rowsPerStep: number
  /** … or after this many bytes of keys and values … */
  readonly bytesPerStep: number
  /** … and in any case, even inside an object key, after this many rows. */
  readonly rowsPerSliceMax: number
}

export interface WalkPlace {
  readonly phase: number
  /** Inclusive. */
  readonly from: RowKey
  /** The object key of which the previous slice contained some rows. */
  readonly within: RowKey | undefined
}

export interface WalkedRow {
  readonly family: Family
  readonly key: RowKey
  readonly row: MetadataRow
}

interface WalkSlice {
  readonly rows: readonly WalkedRow[]
  /** It is undefined at the end. */
  readonly next: WalkPlace | undefined
}

export const WALK_START: WalkPlace = { phase: 0, from: START, within: undefined }

/** The row of an object key to which a row belongs; undefined for rows of no object. */
export function stemOf({ family, key }: Pick<WalkedRow, "family" | "key">): RowKey | undefined {
  return OBJECT_FAMILIES.includes(family) ? stemOfKey(key) : undefined
}

const stemOfKey = (key: RowKey): RowKey => rowKeyOf(key.slice(0, key.indexOf("\x00", 8) + 1))

/** The place from which an object key is read once more, whole. */
export const placeOf = (stem: RowKey): WalkPlace => ({ phase: OBJECT_PHASE, from: stem, within: undefined })

/** How rows are kept together in a phase; undefined: each stands alone. */
function stemsOf(families: readonly Family[]): ((key: RowKey) => RowKey) | undefined {
  if (families === OBJECT_FAMILIES) return stemOfKey
  return families === OF_ITEMS ? itemRowKeyOf : undefined
}

export function walkSlice(view: RowView, place: WalkPlace, limits: WalkLimits): WalkSlice {
  const families = PHASES[place.phase]
  if (families === undefined) return { rows: [], next: undefined }
  const isObjects = place.phase === OBJECT_PHASE
  const stemOfRow = stemsOf(families)
  const rows: WalkedRow[] = []
  let bytes = 0
  let stem = place.within
  let isContinued = place.within !== undefined
  const leaveStem = (): void => {
    const current = isContinued && stem !== undefined ? view.get("current", stem) : undefined
    if (current && stem !== undefined) rows.push({ family: "current", key: stem, row: current })
    isContinued = false
  }
  for (const walked of merged(view, families, place.from, isObjects ? OBJECTS_END : END)) {
    const { key, row } = walked
    const isNewKey = rows.at(-1)?.key !== key
    const keyStem = stemOfRow?.(key) ?? key
    const isNewStem = keyStem !== stem
    const isEnough = rows.length >= limits.rowsPerStep || bytes >= limits.bytesPerStep
    if ((isEnough && isNewStem) || (rows.length >= limits.rowsPerSliceMax && isNewKey)) {
      if (isNewStem) leaveStem()
      return { rows, next: { phase: place.phase, from: key, within: isObjects && !isNewStem ? stem : undefined } }
    }
    if (isNewStem) leaveStem()
    stem = keyStem
    rows.push(walked)
    bytes += key.length + row.value.length
  }
  leaveStem()
  const phase = place.phase + 1
  return { rows, next: phase < PHASES.length ? { phase, from: START, within: undefined } : undefined }
}

/** Rows of several families in the order of their keys. */
function* merged(view: RowView, families: readonly Family[], start: RowKey, end: RowKey): Generator<WalkedRow> {
  const heads = families.flatMap(family => {
    const rows = view.range(family, { start, end })[Symbol.iterator]()
    const first = rows.next()
    return first.done === true ? [] : [{ family, rows, key: first.value[0], row: first.value[1] }]
  })
  try {
    for (;;) {
      let least = heads[0]
      for (const head of heads) if (least === undefined || head.key < least.key) least = head
      if (least === undefined) return
      const { family, key, row, rows } = least
      yield { family, key, row }
      const next = rows.next()
      if (next.done === true) heads.splice(heads.indexOf(least), 1)
      else Object.assign(least, { key: next.value[0], row: next.value[1] })
    }
  } finally {
    for (const { rows } of heads) rows.return?.()
  }
}
