/** Text for the state of a store: its safety first, then everything that is not as it should be. Pure. */
import type { z } from "zod"
import { PARTITIONS } from "@hayloft/base/limits.js"
import { ageText, durationText, textOfLost, plural, sizeText } from "@hayloft/base/text/quantity-text.js"
import { labelled as line, printable, tableText } from "@hayloft/base/text/report-text.js"
import { devicesByNode, nodeLines } from "./cluster-text.js"
import { databaseLines } from "./database-text.js"
import { erasureText } from "../buckets/erasure-text.js"
import type { StatusLine } from "@hayloft/features/operator/index.js"
import type * as STORE_SCHEMAS from "./store-schemas.js"

export type Status = z.output<typeof STORE_SCHEMAS.STATUS>
export type Device = z.output<typeof STORE_SCHEMAS.DEVICE>
type Plan = z.output<typeof STORE_SCHEMAS.PLAN>
type ProgressOfWork = z.output<typeof STORE_SCHEMAS.PROGRESS>
type PendingUploads = z.output<typeof STORE_SCHEMAS.PENDING_UPLOADS>
type Repair = z.output<typeof STORE_SCHEMAS.REPAIR>
type Scrub = z.output<typeof STORE_SCHEMAS.SCRUBS>["scrub"][number]
type Redundancy = z.output<typeof STORE_SCHEMAS.REDUNDANCY>

/** Accounts and keys with limits of rates. */
const RATES_SHOWN = 10
/** The number of riskiest partitions shown; `--json` has more. */
const PARTITIONS_SHOWN = 5
/** Objects that could not be encrypted; `--json` has more. */
const TROUBLES_SHOWN = 10

/** The job that writes the metadata among the shards. */
const METADATA_BACKUP = "metadata-backup"

const encryptionText = (isInDatabase: boolean): string =>
  isInDatabase
    ? "everything on the devices, at rest; values of rows in the database, but not their keys and counters"
    : "everything on the devices, at rest"

/** `being encrypted: 63 % of the objects`, and a line for each device, and for each object that could not be encrypted. */
function encryptingLines(encrypting: NonNullable<Status["encrypting"]>): readonly string[] {
  const { percent, doing, devices, troubles, troubleCount } = encrypting
  const shown = troubles.slice(0, TROUBLES_SHOWN)
  return [
    line("encryption", `being encrypted: ${percent} % of the objects; ${printable(doing)}`),
    ...devices.map(({ path, left = "files are rewritten when all objects are encrypted" }) =>
      line("", `${printable(path)}: ${printable(left)}`),
    ),
    ...shown.map(({ bucket, key, reason }) =>
      line("", `could not be encrypted yet: ${printable(`${bucket}/${key}`)}: ${printable(reason)}`),
    ),
    ...(troubleCount > shown.length
      ? [line("", `and ${plural(troubleCount - shown.length, "other object")}; --json names up to 100`)]
      : []),
  ]
}

/** The safety in a word. */
function threadsText({ wanted, running, reason }: NonNullable<Status["threads"]>): string {
  if (reason !== undefined) return `one thread serves everything: ${printable(reason)}`
  return `${running} of ${wanted} front threads serve`
}

function verdict({ safeLosses, safeLossesWhenWhole, reasons }: Status["safety"]): string {
  if (safeLosses < 0) return "NOT READABLE"
  if (safeLosses === 0) return safeLossesWhenWhole > 0 ? "AT RISK" : "unprotected"
  return safeLosses < safeLossesWhenWhole || reasons.length > 0 ? "degraded" : "safe"
}

/** `40 % of 1.2 GiB, 30.0 MiB/s, done in 12 min`. */
export function workText({ doneBytes, remainingBytes, bytesPerSecond, endsInSeconds }: ProgressOfWork): string {
  const totalBytes = doneBytes + remainingBytes
  const share = totalBytes === 0 ? 100 : Math.floor((100 * doneBytes) / totalBytes)
  const rate = bytesPerSecond > 0 ? [`${sizeText(bytesPerSecond)}/s`] : []
  const end = endsInSeconds === undefined ? [] : [`done in about ${durationText(endsInSeconds)}`]
  return [`${share} % of ${sizeText(totalBytes)}`, ...rate, ...end].join(", ")
}

/** `absent`: folders of devices that are not there, whose shards repair rebuilds elsewhere only once they are given up. */
export function repairText(repair: Repair, absent: readonly string[] = []): string {
  const { isPaused, partitionsScanned, partitionsDone, partitionsRemaining, progress } = repair
  const { rebuiltShards, lostBlocks, lostBytes, lostObjectsMin = 0, singleCopyBlocks } = repair
  const isIdle = partitionsRemaining === 0 && progress.remainingBytes === 0
  const isScanning = partitionsScanned < PARTITIONS
  const scanning = isScanning
    ? [`${Math.floor((100 * partitionsScanned) / PARTITIONS)} % of all partitions scanned`]
    : []
  const partitions = `${partitionsDone} of ${plural(partitionsDone + partitionsRemaining, "partition")} repaired`
  return [
    ...(isPaused ? ["paused"] : []),
    ...scanning,
    ...(isIdle ? (isScanning || isPaused ? [] : [idleText(absent)]) : [workText(progress), partitions]),
    ...(rebuiltShards > 0 ? [`${plural(rebuiltShards, "shard")} rebuilt`] : []),
    ...(singleCopyBlocks > 0 ? [`${plural(singleCopyBlocks, "block")} in a single copy`] : []),
    ...(lostBlocks > 0
      ? [`${plural(lostBlocks, "block")} (${sizeText(lostBytes)}) NOT READABLE${textOfLost(lostObjectsMin)}`]
      : []),
  ].join("; ")
}

const idleText = (absent: readonly string[]): string =>
  absent.length === 0 ? "nothing to do" : `waits for ${absent.join(", ")} to return, or to be replaced or forgotten`

/** The devices that are not there, and that the operator has to bring back or give up. */
const absentOf = (devices: readonly Device[]): readonly Device[] =>
  devices.filter(({ state }) => state === "offline" || state === "missing" || state === "failed")

const placeOf = ({ node, path }: Device): string => printable(node === undefined ? path : `${node}:${path}`)

/** The command to type next for a device that is not there. */
function nextLines({ devices }: Status): readonly string[] {
  const [device, ...others] = absentOf(devices)
  if (device === undefined) return []
  const more = others.length === 0 ? "" : `; the same for ${others.map(placeOf).join(", ")}`
  return [
    line("next", `bring ${placeOf(device)} back, and: hayloft device check ${device.id}`),
    line("", `or rebuild it in an empty folder: hayloft device replace ${device.id} FOLDER`),
    line("", `or give it up: hayloft device forget ${device.id}${more}`),
  ]
}

/** Unreadable objects, one line each; empty if nothing is lost. */
export function lostText({ lostObjects }: Repair): string {
  const metadata = { object: "object", version: "older version", part: "part of an upload" } as const
  const lines = lostObjects.map(({ bucket, key, what }) =>
    line("unreadable", `${metadata[what]} ${printable(`${bucket}/${key}`)}`),
  )
  return lines.map(each => `${each}\n`).join("")
}

export function scrubTable(scrub: readonly Scrub[], nowMs: number): string {
  const rows = scrub.map(({ device, state, progress, oldestVerifiedMs, damagesFound }) => [
    device,
    state,
    workText(progress),
    ageText(oldestVerifiedMs, nowMs),
    String(damagesFound),
  ])
  return tableText(["DEVICE", "STATE", "THIS PASS", "OLDEST VERIFIED", "DAMAGES"], rows)
}

export function pendingText({ uploads, more }: PendingUploads, nowMs: number): string {
  const rows = uploads.map(({ upload, bucket, key, blocks, bytes, removableMs }) => [
    upload,
    printable(`${bucket ?? "(deleted bucket)"}/${key}`),
    String(blocks),
    sizeText(bytes),
    removableMs === undefined ? "once confirmed" : `in ${durationText(Math.max(0, removableMs - nowMs) / 1000)}`,
  ])
  const table = tableText(["UPLOAD", "OBJECT", "BLOCKS", "SIZE", "REMOVED"], rows)
  return more === 0 ? table : `${table}and ${more} more\n`
}

export function devicesTable(devices: readonly Device[]): string {
  const rows = devices.map(device => [
    device.id,
    device.reason === "" ? device.state : `${device.state} (${printable(device.reason)})`,
    sizeText(device.usableBytes ?? device.freeBytes),
    sizeText(device.totalBytes),
    device.fullInSeconds === undefined ? "-" : durationText(device.fullInSeconds),
    String(device.weight),
    device.metadataReplica,
    device.fileSystemKind,
    printable(device.path),
  ])
  return tableText(["DEVICE", "STATE", "FREE", "SIZE", "FULL IN", "WEIGHT", "METADATA", "FILE SYSTEM", "FOLDER"], rows)
}

function levelsText({ levels }: Status["safety"]): string {
  return levels
    .map(({ losses, bytes }) => {
      if (losses < 0) return `${sizeText(bytes)} NOT READABLE`
      return `${sizeText(bytes)} ${losses === 0 ? "survive no lost disk" : `survive any ${losses}`}`
    })
    .join("; ")
}

/** Lines of work in progress. */
function workLines(status: Status, nowMs: number, ofFeatures: readonly StatusLine[]): string[] {
  const { repair, layout, reencoding, scrub } = status
  const { transition } = layout
  const running = (scrub ?? []).filter(({ state }) => state === "running")
  const oldestMs = Math.min(...(scrub ?? []).map(({ oldestVerifiedMs }) => oldestVerifiedMs))
  const moving =
    transition?.progress === undefined ? "shards are moving to a new layout" : workText(transition.progress)
  return [
    ...(repair === undefined ? [] : [line("repair", repairText(repair, absentOf(status.devices).map(placeOf)))]),
    ...(transition === undefined ? [] : [line("moving", moving)]),
    ...(reencoding === undefined || reencoding.doneBytes + reencoding.remainingBytes === 0
      ? []
      : [line("re-encoding", workText(reencoding))]),
    ...(scrub === undefined || scrub.length === 0
      ? []
      : [
          line(
            "scrub",
            `${running.length} of ${plural(scrub.length, "device")} active; oldest verified ${ageText(oldestMs, nowMs)}`,
          ),
        ]),
    ...status.jobs.flatMap(({ name, progress }) =>
      name === METADATA_BACKUP && progress !== undefined
        ? [line("backup", `of the metadata: ${printable(progress)}`)]
        : [],
    ),
    ...ofFeatures.map(([title, text]) => line(title, text)),
    ...(status.erasures ?? []).map(erasure =>
      line("erasing", `bucket ${erasure.bucket}, ${ageText(erasure.sinceMs, nowMs)}: ${erasureText(erasure)}`),
    ),
    ...(status.rates ?? [])
      .filter(({ refused, paced }) => refused + paced > 0)
      .slice(0, RATES_SHOWN)
      .map(({ holder, id, refused, paced, waiting }) =>
        line(
          "limited",
          `${holder} ${id}: ${plural(refused, "request")} refused, ${plural(paced, "wait")}, ${waiting} waiting now`,
        ),
      ),
    ...(status.keyServices ?? []).map(({ name, state, sinceMs, reason }) =>
      line(
        "key service",
        sinceMs === undefined
          ? `${name} ${state}`
          : `${name} ${state}, ${ageText(sinceMs, nowMs)}: ${printable(reason ?? "")}`,
      ),
    ),
    ...status.jobs.flatMap(({ name, state, lastError }) =>
      state === "failed" ? [line("job", `${name} fails: ${printable(lastError ?? "")}`)] : [],
    ),
  ]
}

function atRiskLines({ atRisk }: Status["safety"]): string[] {
  if (atRisk === undefined) return []
  const { what, because, repair } = atRisk
  return [line("at risk", `${what}, because ${printable(because)}`), line("repaired by", printable(repair))]
}

/** Which partitions survive how little matters only while no device is absent: its return settles all of them. */
function riskLines({ riskiest, critical }: Status["safety"], devices: readonly Device[]): string[] {
  const paths = critical.map(id => {
    const { path = id, node } = devices.find(device => device.id === id) ?? {}
    return printable(node === undefined ? path : `${node}:${path}`)
  })
  const worst = riskiest.slice(0, PARTITIONS_SHOWN).map(({ partition, losses }) => `${partition} (${losses})`)
  return [
    ...(paths.length > 0 && riskiest.length > 0
      ? [line("must stay", `a lost disk under one of these loses data now: ${paths.join(", ")}`)]
      : []),
    ...(worst.length > 0 && absentOf(devices).length === 0
      ? [line("riskiest", `partitions, with what they survive: ${worst.join(", ")}`)]
      : []),
  ]
}

export function statusText(status: Status, nowMs: number, ofFeatures: readonly StatusLine[]): string {
  const { health, metadata, safety } = status
  const state = health.ready ? (health.reasons.length === 0 ? "ready" : "ready, degraded") : "not ready"
  const queues = [...status.queues, ...status.devices.flatMap(device => device.queues)].filter(queue => queue.depth > 0)
  const levels = levelsText(safety)
  const wanted = metadata.copies < metadata.copiesWanted ? ` of ${metadata.copiesWanted} wanted` : ""
  const learning = metadata.learning > 0 ? `, ${metadata.learning} more learning it` : ""
  const lines = [
    `${verdict(safety)}: ${printable(safety.sentence)}`,
    line("store", `Hayloft ${status.version}, ${status.storeId}, up ${durationText(status.uptimeSeconds)}`),
    line("health", state),
    ...health.reasons.map(reason => line("", printable(reason))),
    ...(status.compatibility.length === 0
      ? []
      : [line("allowed", `beyond the defaults: ${status.compatibility.join(", ")}`)]),
    ...(status.threads === undefined ? [] : [line("threads", threadsText(status.threads))]),
    ...(status.isEncryptedAtRest ? [line("encryption", encryptionText(metadata.isInDatabase))] : []),
    ...(status.encrypting === undefined ? [] : encryptingLines(status.encrypting)),
    line("redundancy", `${status.policy}${status.isPolicyAutomatic ? ", automatic" : ""}`),
    ...(levels === "" ? [] : [line("bytes", levels)]),
    ...atRiskLines(safety),
    ...riskLines(safety, status.devices),
    line(
      "metadata",
      metadata.isInDatabase
        ? "kept in the database"
        : `kept on ${plural(metadata.copies, "device")}${wanted}${learning}`,
    ),
    ...(status.nodes === undefined
      ? []
      : nodeLines(status.nodes).map((text, at) => line(at === 0 ? "nodes" : "", text))),
    ...(status.database === undefined
      ? []
      : databaseLines(status.database).map(([label, text]) => line(label, printable(text)))),
    ...workLines(status, nowMs, ofFeatures),
    ...(queues.length === 0 ? [] : [line("queues", queues.map(q => `${q.name} ${q.depth}/${q.limit}`).join(", "))]),
    "",
    status.nodes === undefined
      ? devicesTable(status.devices)
      : devicesByNode(status.nodes, status.devices, devicesTable),
  ]
  return [lines.join("\n"), ...nextLines(status).map(each => `${each}\n`)].join("")
}

/** `in about 15 min`; no `0 s` for work that is done very soon. */
const hoursText = (hours: number): string =>
  hours * 3600 < 1 ? "in less than a second" : `in about ${durationText(hours * 3600)}`

export function planText(plan: Plan): string {
  const { summary, devices, movedBytes, reencodedBytes, hours, survives, warnings, policyBefore, policyAfter } = plan
  const rows = devices
    .filter(({ bytesIn, bytesOut }) => bytesIn > 0 || bytesOut > 0)
    .map(({ id, path, node, bytesIn, bytesOut }) => {
      const place = printable(node === undefined ? path : `${node}:${path}`)
      return [id ?? "new", sizeText(bytesIn), sizeText(bytesOut), place]
    })
  const { usableBytesBefore, usableBytesAfter } = plan
  const space =
    usableBytesBefore === undefined || usableBytesAfter === undefined
      ? []
      : [line("space", `${sizeText(usableBytesBefore)} of objects before, ${sizeText(usableBytesAfter)} after`)]
  const lines = [
    line("plan", printable(summary)),
    ...(policyBefore === policyAfter ? [] : [line("redundancy", `${policyBefore} becomes ${policyAfter}`)]),
    line("moves", `${sizeText(movedBytes)}, ${sizeText(reencodedBytes)} re-encoded, ${hoursText(hours)}`),
    line("survives", survivesText(survives, "disk")),
    ...(plan.survivesMachines === undefined ? [] : [line("", survivesText(plan.survivesMachines, "machine"))]),
    ...(plan.survivesZones === undefined ? [] : [line("", survivesText(plan.survivesZones, "zone"))]),
    ...space,
    ...warnings.map(warning => line("mind", printable(warning))),
  ]
  const table = rows.length === 0 ? "" : tableText(["DEVICE", "IN", "OUT", "FOLDER"], rows)
  return `${lines.join("\n")}\n${table}`
}

const survivesText = ({ before, during, after }: Plan["survives"], what: string): string =>
  `${lossesText(before, what)} before, ${lossesText(during, what)} meanwhile, ${lossesText(after, what)} after`

function lossesText(losses: number, what: string): string {
  if (losses < 0) return "none (some data is not readable)"
  return losses === 0 ? `no lost ${what}` : `any ${plural(losses, `lost ${what}`)}`
}

export function classesText({ policy, classes }: Redundancy): string {
  const rows = classes.map(({ storageClass, policy: its }) => [storageClass, its])
  const rest = rows.length === 0 ? "all classes" : "others"
  return tableText(["CLASS", "REDUNDANCY"], [...rows, [rest, `that of the bucket, else ${policy}`]])
}

export function redundancyText({ policy, isAutomatic, meaning, buckets, classes, reencoding }: Redundancy): string {
  const lines = [
    line("redundancy", `${policy}${isAutomatic ? ", automatic" : ""}`),
    line("meaning", printable(meaning)),
    ...buckets.map(({ bucket, policy: its }) => line("bucket", `${printable(bucket)} ${its}`)),
    ...classes.map(({ storageClass, policy: its }) => line("class", `${storageClass} ${its}`)),
    ...(reencoding === undefined ? [] : [line("re-encoding", workText(reencoding))]),
  ]
  return `${lines.join("\n")}\n`
}
