/** Text for placement: the layout with its shares, the shards of an object, and the dispersion of all. Pure. */
import type { z } from "zod"
import { countText, plural, sizeText, percentText } from "@hayloft/base/text/quantity-text.js"
import { labelled, printable, tableText } from "@hayloft/base/text/report-text.js"
import type { DISPERSION, LOCATED_OBJECT } from "./placement-schemas.js"
import type { LAYOUT_DETAILS } from "./store-schemas.js"

type LayoutDetails = z.output<typeof LAYOUT_DETAILS>
type LayoutDevice = LayoutDetails["devices"][number]
type Located = z.output<typeof LOCATED_OBJECT>
type LocatedBlock = Located["blocks"][number]
type LocatedShard = LocatedBlock["shards"][number]
type Dispersion = z.output<typeof DISPERSION>

/** Never rounded up to all. */
const percentOfAll = (share: number): string =>
  share === 1 ? "100 %" : `${(Math.floor(100_000 * share) / 1_000).toFixed(3)} %`

/** `+1.2 %`: how much more than its fair share. */
function fairText(slots: number, fair: number | undefined): readonly string[] {
  if (fair === undefined) return ["-", "-"]
  const off = fair === 0 ? 0 : slots / fair - 1
  return [countText(fair), `${off < 0 ? "" : "+"}${percentText(off)}`]
}

interface Sum {
  readonly name: string
  readonly devices: readonly LayoutDevice[]
}

/** The devices of each zone, or of each machine of each zone; empty if there is only one. */
function sumsOf(devices: readonly LayoutDevice[], nameOf: (device: LayoutDevice) => string): readonly Sum[] {
  const names = [...new Set(devices.map(nameOf))]
  if (names.length < 2) return []
  return names.map(name => ({ name, devices: devices.filter(device => nameOf(device) === name) }))
}

function sumsTable(head: string, sums: readonly Sum[]): readonly string[] {
  if (sums.length === 0) return []
  const rows = sums.map(({ name, devices }) => {
    const total = (of: (device: LayoutDevice) => number): number => devices.reduce((sum, each) => sum + of(each), 0)
    const isKnown = devices.some(({ fairSlots }) => fairSlots !== undefined)
    const fair = isKnown ? total(({ fairSlots = 0 }) => fairSlots) : undefined
    const slots = total(each => each.slots)
    const weight = String(Math.round(100 * total(each => each.weight)) / 100)
    return [
      printable(name),
      String(devices.length),
      weight,
      countText(slots),
      percentText(total(each => each.share)),
      ...fairText(slots, fair),
    ]
  })
  return [tableText([head, "DEVICES", "WEIGHT", "SLOTS", "SHARE", "FAIR", "OFF"], rows), ""]
}

export function ringText(
  layout: LayoutDetails,
  work: (progress: NonNullable<Transition["progress"]>) => string,
): string {
  const { version, width, transition, devices } = layout
  const hasNodes = devices.some(({ node }) => node !== undefined)
  const rows = devices.map(({ id, path, node, state, weight, slots, share, fairSlots }) => [
    id,
    state,
    String(weight),
    countText(slots),
    percentText(share),
    ...fairText(slots, fairSlots),
    printable(node === undefined ? path : `${node}:${path}`),
  ])
  const moves = transition?.progress === undefined ? "" : `: ${work(transition.progress)}`
  const moving = transition === undefined ? "nothing" : `from layout ${transition.fromVersion}${moves}`
  const zoneOf = ({ zone = "-" }: LayoutDevice): string => zone
  const machineOf = (device: LayoutDevice): string => `${zoneOf(device)}/${device.machine ?? "-"}`
  const head = ["DEVICE", "STATE", "WEIGHT", "SLOTS", "SHARE", "FAIR", "OFF", hasNodes ? "NODE:FOLDER" : "FOLDER"]
  return [
    labelled("layout", `version ${version}: 65,536 partitions of ${plural(width, "slot")}`),
    labelled("moves", moving),
    "",
    ...sumsTable("ZONE", sumsOf(devices, zoneOf)),
    ...sumsTable("ZONE/MACHINE", sumsOf(devices, machineOf)),
    tableText(head, rows),
  ].join("\n")
}

type Transition = NonNullable<LayoutDetails["transition"]>
type Names = ReadonlyMap<string, string>

const namesOf = ({ devices }: Located): Names =>
  new Map(
    devices.map(({ id, path, node }) => [id, `${id} (${printable(node === undefined ? path : `${node}:${path}`)})`]),
  )

const STATE_TEXTS: Readonly<Record<LocatedShard["state"], string>> = {
  inPlace: "in its place",
  moving: "moves from the device of the previous layout",
  placed: "where it was written while devices were down",
  elsewhere: "on a device to which no layout leads; repair moves it",
  offline: "missing: its device is offline",
  rebuilding: "missing: its device is being rebuilt",
  unknown: "unknown: its device does not answer",
  missing: "missing; repair rebuilds it",
}

function shardRow({ slot, device, state, copies }: LocatedShard, names: Names): readonly string[] {
  const nameOf = (id: string): string => names.get(id) ?? id
  const elsewhere = copies.filter(copy => copy.device !== device || copy.damaged)
  const found = elsewhere.map(copy => `${copy.damaged ? "damaged" : copy.reason} copy on ${nameOf(copy.device)}`)
  return [String(slot), device === undefined ? "-" : nameOf(device), [STATE_TEXTS[state], ...found].join("; ")]
}

function blockText(block: LocatedBlock, names: Names): string {
  const { offsetBytes, lengthBytes, partition, policy, upload, part, generation, found, needed, shards } = block
  const last = offsetBytes + lengthBytes - 1
  const rules = new Map<string, number[]>()
  for (const { rule, slot } of shards) rules.set(rule, [...(rules.get(rule) ?? []), slot])
  return [
    labelled("block", `bytes ${offsetBytes} to ${last} (${sizeText(lengthBytes)}), ${policy}`),
    labelled("", `${found} of ${shards.length} shards found, ${needed} are needed`),
    labelled("id", `upload ${upload}, part ${part}, block ${block.block}, generation ${generation}`),
    labelled("partition", `${partition}: the top 16 bits of the XXH64 of that id`),
    ...Array.from(rules, ([rule, slots], at) =>
      labelled(at === 0 ? "why" : "", `shard ${slots.join(", ")}: ${printable(rule)}`),
    ),
    "",
    tableText(
      ["SHARD", "BELONGS ON", "IS"],
      shards.map(shard => shardRow(shard, names)),
    ),
  ].join("\n")
}

const silentText = (silent: readonly string[]): readonly string[] =>
  silent.length === 0
    ? []
    : [labelled("silent", `no answer from ${plural(silent.length, "device")}: ${silent.join(", ")}`)]

export function locatedText(located: Located): string {
  const { bucket, key, versionId, sizeBytes, inline, layoutVersion, blocks, nextOffset, silent } = located
  const names = namesOf(located)
  const version = versionId === "null" ? "" : `, version ${versionId}`
  const lines = [
    labelled("object", `${printable(`${bucket}/${key}`)}${version}: ${sizeText(sizeBytes)}`),
    labelled("layout", `version ${layoutVersion}`),
    ...silentText(silent),
    ...(inline ? [labelled("bytes", "stored with its row, on each metadata replica: it has no shards")] : []),
    ...(nextOffset === undefined ? [] : [labelled("more", `further blocks: --offset ${nextOffset}`)]),
  ]
  return `${[lines.join("\n"), ...blocks.map(block => blockText(block, names))].join("\n\n")}\n`
}

const tableOf = (head: string, rows: Dispersion["missing"], blocks: number): string =>
  tableText(
    [head, "BLOCKS", "SHARE"],
    rows.map(row => [String(row.shards), countText(row.blocks), percentOfAll(row.blocks / Math.max(1, blocks))]),
  )

export function dispersionText(dispersion: Dispersion): string {
  const { complete, share, blocks, shards, found, inPlace, missing, notInPlace, unreadable, unreferenced } = dispersion
  const all = Object.values(shards).reduce((sum, each) => sum + each, 0)
  const size = complete ? "all of them" : `a sample: ${percentOfAll(share)} of all partitions`
  const moved = `${countText(shards.former)} move, ${countText(shards.elsewhere)} elsewhere`
  const lines = [
    labelled("blocks", `${countText(blocks)}, ${size}; layout version ${dispersion.layoutVersion}`),
    labelled("shards", `${percentOfAll(found)} of ${countText(all)} found; ${countText(shards.missing)} missing`),
    labelled("", `${percentOfAll(inPlace)} in their places; ${moved}`),
    ...(unreadable === 0 ? [] : [labelled("unreadable", `${countText(unreadable)} blocks have too few shards`)]),
    ...(unreferenced === 0
      ? []
      : [labelled("left out", `${countText(unreferenced)} blocks that no object has (any more, or yet)`)]),
    ...silentText(dispersion.silent),
  ]
  const tables = [tableOf("MISSING SHARDS", missing, blocks), tableOf("SHARDS NOT IN PLACE", notInPlace, blocks)]
  return `${lines.join("\n")}\n\n${tables.join("\n")}`
}
