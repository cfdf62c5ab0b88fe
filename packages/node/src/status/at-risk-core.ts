/**
 * The part of a store that is less safe than it could be, for somebody who has to decide: how much, because of what, what
 * repairs it and when, and one thing to do. Pure.
 */
import type { DeviceId } from "@hayloft/base/ids.js"
import { textOfPolicy } from "@hayloft/base/policy.js"
import { durationText, textOfLost, percentText, plural, sizeText } from "@hayloft/base/text/quantity-text.js"
import { canPlaceWithout, listed, LONG_OUT_MS, type Safety } from "@hayloft/engine/cluster/index.js"
import type { ControlDevice, ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { AtRiskReport } from "./contract.js"

export interface RiskFacts {
  readonly record: ControlRecord
  readonly nowMs: number
  /** The folder by which the operator knows a device. */
  readonly pathOf: (id: DeviceId) => string
  /** Returns why a device does not take part, as far as that is known. */
  readonly offlineReason: (id: DeviceId) => string | undefined
  readonly isRepairPaused: boolean
  readonly isShortOfSpace: boolean
  /** At least so many objects, older versions and uploads are known that cannot be read. */
  readonly lostObjectsMin: number
  readonly wholeInSeconds: number | undefined
  /** The reason why devices of nodes that do not respond are not given up without an operator. */
  readonly heldBack: readonly string[]
}

/** Devices that are gone together: a zone, a node, or one device. */
interface Gone {
  readonly kind: "zone" | "node" | "device"
  readonly name: string
  /** `zone b with 3 devices`, `/mnt/d1`. */
  readonly text: string
}

/** Returns undefined if nothing is less safe than when the store is complete, or if that is not known yet. */
export function atRisk(safety: Safety, reasons: readonly string[], facts: RiskFacts): AtRiskReport | undefined {
  const { now, whole, causes, levels } = safety
  const isWhole = now.disks >= whole.disks && now.devices >= whole.devices && now.disks >= 0
  if (causes.isUnseen || isWhole) return undefined
  const gone = goneOf(causes.offline, facts)
  return {
    bytes: bytesOf(levels.filter(({ losses }) => losses < Math.max(0, whole.disks))),
    totalBytes: bytesOf(levels),
    devices: [causes.offline, causes.rebuilding, causes.lacking].find(ids => ids.length > 0) ?? [],
    what: whatOf(safety, facts),
    because: becauseOf(gone, causes.offline, reasons, facts),
    repair: repairOf(safety, gone, facts),
    ...actionOf(safety, gone, facts),
  }
}

const bytesOf = (levels: Safety["levels"]): number => levels.reduce((sum, { bytes }) => sum + bytes, 0)

/** `3.1 GiB of 9.3 GiB (33.3 %) of objects survive no further lost disk, and 2 once the store is complete`. */
function whatOf({ weakest, now, whole, levels }: Safety, { lostObjectsMin }: RiskFacts): string {
  const total = bytesOf(levels)
  const partOf = (bytes: number): string =>
    bytes >= total
      ? `all ${sizeText(total)}`
      : `${sizeText(bytes)} of ${sizeText(total)} (${percentText(bytes / total)})`
  const unread = bytesOf(levels.filter(({ losses }) => losses < 0))
  if (unread > 0) return `${partOf(unread)} of objects cannot be read now${textOfLost(lostObjectsMin)}`
  if (now.disks < 0) return "something cannot be read now"
  if (now.disks >= whole.disks) return folderText(now.devices, whole.devices)
  const bytes = bytesOf(levels.filter(({ losses }) => losses < whole.disks))
  const what =
    weakest === "metadata" || bytes === 0
      ? "the metadata of all objects survives"
      : `${partOf(bytes)} of objects survive`
  const survived = now.disks === 0 ? "no further lost disk" : `only ${plural(now.disks, "further lost disk")}`
  return `${what} ${survived}, but ${whole.disks} once the store is complete`
}

/** The text for a store whose folders share disks. */
const folderText = (now: number, whole: number): string =>
  `objects survive ${now <= 0 ? "no further deleted folder" : `only ${plural(now, "further deleted folder")}`}, but ${whole} once the store is complete`

function goneOf(ids: readonly DeviceId[], { record: { devices }, pathOf }: RiskFacts): readonly Gone[] {
  const together = (device: ControlDevice): Gone => {
    for (const kind of ["zone", "node"] as const) {
      const name = device.home?.[kind]
      const all = devices.filter(({ home }) => home?.[kind] === name)
      // A zone of one node is known by its node.
      if (kind === "zone" && new Set(all.map(({ home }) => home?.node)).size < 2) continue
      if (name !== undefined && all.length < devices.length && all.every(({ id }) => ids.includes(id)))
        return { kind, name, text: `${kind} ${name} with ${plural(all.length, "device")}` }
    }
    return { kind: "device", name: device.id, text: pathOf(device.id) }
  }
  const found = devices.filter(({ id }) => ids.includes(id)).map(together)
  return [...new Map(found.map(gone => [gone.text, gone])).values()]
}

/** `/mnt/d1 is offline: calls fail`, `node n3 with 2 devices is offline: it cannot be reached`. */
function becauseOf(
  gone: readonly Gone[],
  [first]: readonly DeviceId[],
  reasons: readonly string[],
  { offlineReason }: RiskFacts,
): string {
  if (first === undefined) return reasons[0] ?? "some blocks have fewer shards than they should"
  const reason = gone.length === 1 ? offlineReason(first) : undefined
  return `${listed(gone.map(({ text }) => text))} ${gone.length === 1 ? "is" : "are"} offline${reason === undefined ? "" : `: ${reason}`}`
}

const isLost = ({ causes }: Safety): boolean => causes.lostBytes > 0 && causes.offline.length === 0

/** Says by whom the store becomes complete again, and when. */
function repairOf(safety: Safety, gone: readonly Gone[], facts: RiskFacts): string {
  const { record, isRepairPaused, isShortOfSpace, wholeInSeconds, heldBack } = facts
  const { offline } = safety.causes
  if (isLost(safety)) return "nothing here: too few shards of these blocks are left"
  if (isRepairPaused) return "repair is paused: nothing is rebuilt until it is resumed"
  if (isShortOfSpace) return "repair waits for space: the devices that lack shards are full"
  const [held] = heldBack
  if (offline.length > 0 && held !== undefined) return held
  if (wholeInSeconds !== undefined)
    return `the store rebuilds what is missing, done in about ${durationText(wholeInSeconds)}`
  if (offline.length > 0 && record.previousLayout === undefined) return returnOf(offline, gone, facts)
  return "the store rebuilds what is missing; it is not known yet for how long"
}

/** Says how long the store waits for devices that are gone, and what it does then. */
function returnOf(offline: readonly DeviceId[], gone: readonly Gone[], { record, nowMs }: RiskFacts): string {
  const it = gone.length === 1 && gone[0]?.kind !== "zone" ? "it" : "they"
  if (!canPlaceWithout(record, offline))
    return `nothing until ${it} ${it === "it" ? "is" : "are"} back or replaced: the other devices are too few for ${textOfPolicy(record.policy)}`
  const since = record.devices.filter(({ id, state }) => state === "offline" && offline.includes(id))
  const waits = since.map(({ stateSinceMs }) => stateSinceMs + LONG_OUT_MS - nowMs)
  const waitMs = waits.length < offline.length ? LONG_OUT_MS : Math.max(0, ...waits)
  const when = waitMs === 0 ? "now" : `in at most ${durationText(waitMs / 1_000)}`
  return `the store rebuilds the data on the other devices, beginning ${when} unless ${it} ${it === "it" ? "is" : "are"} back before`
}

/** One thing to do, with the command for it. */
function actionOf(
  safety: Safety,
  [first]: readonly Gone[],
  facts: RiskFacts,
): Pick<AtRiskReport, "action" | "command"> {
  if (isLost(safety))
    return {
      action: "Restore the objects that cannot be read from another copy: list them",
      command: "hayloft repair status",
    }
  if (facts.isRepairPaused) return { action: "Resume repair", command: "hayloft repair resume" }
  if (facts.isShortOfSpace) return { action: "Add a device", command: "hayloft device add FOLDER" }
  if (first === undefined)
    return { action: "Wait until it is done, and look now and then", command: "hayloft repair status" }
  if (first.kind === "device")
    return {
      action: "Look at the disk and its cable, then have it tried again",
      command: `hayloft device check ${first.name}`,
    }
  const what = first.kind === "zone" ? `Bring zone ${first.name} back` : `Start node ${first.name} again`
  return { action: `${what}, then see whether all nodes serve`, command: "hayloft node list" }
}
