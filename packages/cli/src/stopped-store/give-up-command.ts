/**
 * `hayloft volume give-up FOLDER`: removes unreadable rows of the metadata store in a data folder of a stopped store.
 * Until then every request that needs one of them fails.
 *
 * Refuses   A device that is not the only metadata replica: it can learn the rows from another replica.
 */
import { basename } from "node:path"
import { familyOfNumber, OBJECT_FAMILIES } from "@hayloft/base/rows/families.js"
import { lockedNamesOf, lockedNamesText, type LockedNames } from "@hayloft/base/locked-names.js"
import { rowKeyOf, type DeviceId } from "@hayloft/base/ids.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { STORE_PREFIX_BYTES } from "@hayloft/engine/format/device/replica-incarnation.js"
import { KEY_IN_ROW_AT, parseObjectRowKey } from "@hayloft/engine/format/row-key.js"
import type { LostRows } from "@hayloft/base/seams/store/contract.js"
import type { KeyOptions } from "./device-cipher.js"
import { CliError } from "../exit-codes.js"
import { confirm, type ConfirmOptions } from "../confirm.js"
import type { CliIo } from "../io.js"
import { answer } from "../output.js"
import { withStoppedFolder } from "./stopped-folder.js"
import { plural, printable } from "../text.js"

const KEY_CHARACTERS_MAX = 60

export async function giveUpCommand(io: CliIo, folder: string, options: ConfirmOptions & KeyOptions): Promise<void> {
  const [{ TableStores }, { discardIndex, foldersOf, lockedBucketsIn }] = await Promise.all([
    import("@hayloft/engine/table/index.js"),
    import("@hayloft/node/index.js"),
  ])
  await withStoppedFolder(io, folder, options, async ({ path, disk, deviceId, record, cipher }) => {
    refuseUnlessOnly(record, deviceId, path)
    const { metadataStore } = foldersOf(path)
    const host = { disk, deviceId, cipher }
    const stores = new TableStores()
    const lost = await stores.findLostRows(metadataStore, host)
    if (lost.length === 0) {
      return answer(
        io,
        options,
        { folder: path, lost },
        `every row of the metadata store in ${metadataStore} can be read\n`,
      )
    }
    const buckets = ofObjects(lost) ? await lockedBucketsIn(stores, disk, [{ metadataStore, deviceId, cipher }]) : []
    const locked = lockedNamesOf(buckets.map(({ name }) => name))
    const text = `${planText(metadataStore, lost)}${lockedText(locked)}`
    await confirm(io, options, text, { name: basename(path), lockedBuckets: locked.listed })
    await stores.giveUpLostRows(metadataStore, host)
    const hasNeedles = lost.some(({ ranges }) => ranges.some(holdsNeedles))
    // The volumes contain the needle index: the next start rebuilds it.
    if (hasNeedles) await discardIndex(stores, metadataStore, host)
    const rows = lost.reduce((sum, each) => sum + each.rows, 0)
    await answer(io, options, { folder: path, lost }, `gave up ${plural(rows, "row")}; start the store\n`)
  })
}

/** With other replicas, removed rows would appear absent here; the device can learn them from a replica instead. */
function refuseUnlessOnly(record: ControlRecord | undefined, deviceId: DeviceId, path: string): void {
  if (record === undefined) {
    throw new CliError("failed", `nothing was changed: the control record in ${path} cannot be read`)
  }
  const others = record.tablets.flatMap(({ replicas }) => replicas.filter(({ id }) => id !== deviceId))
  if (others.length === 0) return
  throw new CliError(
    "conflict",
    `nothing was changed: other devices also hold the metadata of this store (${others.map(({ id }) => id).join(", ")}); start the store, and ${path} copies from them the rows that it lacks. If those devices are lost, remove them with "hayloft device forget" first`,
  )
}

function planText(metadataStore: string, lost: readonly LostRows[]): string {
  const lines = lost.map(
    ({ path, rows, ranges }) => `${path}: ${plural(rows, "row")}, ${ranges.map(rangeText).join("; ")}`,
  )
  return `${[
    `Rows of the metadata store in ${metadataStore} cannot be read, and parity cannot rebuild them:`,
    ...lines,
    "Giving them up loses their contents: objects, uploads and settings with these keys will be missing, or will show an",
    "earlier state. All other rows stay. If you have a copy of these files, put it in their place instead.",
  ].join("\n")}\n`
}

/** Returns true if the rows may be those of versions, or of their bytes. */
const ofObjects = (lost: readonly LostRows[]): boolean =>
  lost.some(({ ranges }) =>
    ranges.some(range => familiesOf(range).some(name => OBJECT_FAMILIES.some(family => family === name))),
  )

const lockedText = (locked: LockedNames): string =>
  locked.listed.length === 0
    ? ""
    : `Versions may be among them that object lock protects, in these buckets: ${lockedNamesText(locked)}.\n`

const rangeText = ({ fromKey, toKey }: LostRows["ranges"][number]): string =>
  `${familiesOf({ fromKey, toKey }).join(", ")}, keys from ${keyText(fromKey)} to ${keyText(toKey)}`

const holdsNeedles = (range: LostRows["ranges"][number]): boolean =>
  familiesOf(range).some(name => name === "needles" || name === "expiringNeedles")

function familiesOf({ fromKey, toKey }: LostRows["ranges"][number]): readonly string[] {
  const [from, to] = [Buffer.from(fromKey, "hex")[0] ?? 0, Buffer.from(toKey, "hex")[0] ?? 0]
  return Array.from({ length: to - from + 1 }, (_, i) => familyOfNumber(from + i) ?? String(from + i))
}

function keyText(hex: string): string {
  const bytes = Buffer.from(hex, "hex")
  const row = rowKeyOf(bytes.toString("latin1", 1 + STORE_PREFIX_BYTES))
  const family = familyOfNumber(bytes[0] ?? 0)
  if (family === undefined || !OBJECT_FAMILIES.includes(family) || row.indexOf("\0", KEY_IN_ROW_AT) < 0)
    return hex.slice(2)
  const { bucketId, key } = parseObjectRowKey(row)
  const text = printable(Buffer.from(key, "latin1").toString("utf8"))
  return `"${text.length > KEY_CHARACTERS_MAX ? `${text.slice(0, KEY_CHARACTERS_MAX)}…` : text}" of bucket ${bucketId}`
}
