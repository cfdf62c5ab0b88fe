/**
 * The walk over all rows of a tablet for a backup, in slices. Pure.
 *
 * Promises  The rows of one object key are in one slice, from one moment, so that a version that moves between
 *           families is never missed. A key with more rows than fit a slice has several: its `current` row is then
 *           repeated after them, since versions move there. Pending deletions follow the objects: of an upload that is
 *           replaced meanwhile, the backup contains the row that references it, or its pending deletion, or both.
 *           Rows that a feature has together are in one slice too, in the order of their keys, and so are a bucket, its
 *           settings and its keys.
 *           Rows that others refer to are repeated at the end, each after those that refer to it: what a row of the
 *           backup refers to is in the backup too, unless it was removed during the walk.
 */
import type { Family } from "@hayloft/base/rows/families.js"
import { OBJECT_FAMILIES, REPLICATED_FAMILIES } from "@hayloft/base/rows/families.js"
import { rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import { bucketRowKey } from "@hayloft/engine/format/row-key.js"
import type { MetadataRow, RowView } from "@hayloft/engine/metadata/index.js"
import { bucketContents } from "@hayloft/objects/door/index.js"
import { SYSTEM_BUCKET_ID } from "@hayloft/objects/index.js"

/** Returns false for what nodes share while they run: it belongs to no user, and means nothing to another store. */
const isKept = (family: Family): boolean => family !== "cluster"

/** Families that are walked together. */
interface Phase {
  readonly families: readonly Family[]
  /** How rows are kept together; undefined: each stands alone. */
  readonly stemOf?: (key: RowKey) => RowKey
}

const BUCKET_ID_BYTES = 8
const stemOfKey = (key: RowKey): RowKey => rowKeyOf(key.slice(0, key.indexOf("\x00", BUCKET_ID_BYTES) + 1))
const OBJECTS: Phase = { families: OBJECT_FAMILIES, stemOf: stemOfKey }
const BUCKETS: Phase = {
  families: ["buckets", "settings", "bucketKeys"],
  stemOf: key => rowKeyOf(key.slice(0, BUCKET_ID_BYTES)),
}

let found: readonly Phase[] | undefined

/** The phases of the walk, once the features of the process are installed. */
const phases = (): readonly Phase[] => (found ??= phasesWith(bucketContents().map(({ together }) => together)))

function phasesWith(ofFeatures: readonly Phase[]): readonly Phase[] {
  const others = new Set<Family>([
    ...OBJECT_FAMILIES,
    ...ofFeatures.flatMap(({ families }) => families),
    ...BUCKETS.families,
    "pendingDeletions",
  ])
  const first = REPLICATED_FAMILIES.filter(family => isKept(family) && !others.has(family))
  const alone = (family: Family): Phase => ({ families: [family] })
  const again = [BUCKETS, ...(["accessKeys", "accounts", "kmsKeys"] as const).map(alone)]
  // Buckets also come before the objects: a reader knows the bucket of each object.
  return [...first.map(alone), BUCKETS, ...ofFeatures, OBJECTS, ...again, alone("pendingDeletions")]
}
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

/** The place from which an object key is read once more, whole. */
export const placeOfStem = (stem: RowKey): WalkPlace => ({
  phase: phases().indexOf(OBJECTS),
  from: stem,
  within: undefined,
})

export function walkSlice(view: RowView, place: WalkPlace, limits: WalkLimits): WalkSlice {
  const phase = phases()[place.phase]
  if (phase === undefined) return { rows: [], next: undefined }
  const { families, stemOf: stemOfRow } = phase
  const isObjects = phase === OBJECTS
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
  const next = place.phase + 1
  return { rows, next: next < phases().length ? { phase: next, from: START, within: undefined } : undefined }
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
