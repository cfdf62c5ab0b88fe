/** Describes in one sentence how safe a store is. Pure. */
import type { DeviceId } from "@hayloft/base/ids.js"
import { textOfPolicy } from "@hayloft/base/policy.js"
import { plural } from "@hayloft/base/text/quantity-text.js"
import type { Safety, SafetyCauses } from "./safety-core.js"
import type { DomainSafety } from "./safety-domains-core.js"

interface SentenceFacts {
  /** The policy of new blocks, such as `ec:4+3`. */
  readonly policy: string
  /** The folder by which the operator knows a device. */
  readonly pathOf: (id: DeviceId) => string
  /** Seconds until all shards are in place; undefined if unknown, or nothing is under way. */
  readonly wholeInSeconds: number | undefined
  /** Paused repair scans no shards either. */
  readonly isRepairPaused: boolean
}

/** `40 s`, `12 min`, `3 h`, `2 days`: as precise as an estimate can be. */
function roughly(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`
  return seconds < 36 * 3600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`
}

/** `/a, /b and /c`. */
export function listed(texts: readonly string[]): string {
  const last = texts.at(-1) ?? ""
  return texts.length < 2 ? last : `${texts.slice(0, -1).join(", ")} and ${last}`
}

const are = (ids: readonly DeviceId[]): string => (ids.length === 1 ? "is" : "are")

const UNSEEN = "shards have not all been scanned since the start"

/** Returns why the store survives fewer failures than it could, worst first; empty if it survives all it could. */
export function reasonsOf(causes: SafetyCauses, pathOf: SentenceFacts["pathOf"]): readonly string[] {
  const named = (ids: readonly DeviceId[]) => listed(ids.map(pathOf))
  const {
    isUnseen,
    offline,
    rebuilding,
    lacking,
    isMoving,
    misplacedBytes,
    lostBytes,
    decommissioningBytes,
    metadataCopiesMissing,
  } = causes
  return [
    ...(isUnseen ? [UNSEEN] : []),
    ...(lostBytes > 0 ? ["too few shards of some blocks are left"] : []),
    ...(offline.length > 0 ? [`${named(offline)} ${are(offline)} offline`] : []),
    ...(rebuilding.length > 0 ? [`${named(rebuilding)} ${are(rebuilding)} being rebuilt`] : []),
    ...(lacking.length > 0 ? [`shards that belong on ${named(lacking)} are still missing`] : []),
    ...(metadataCopiesMissing > 0
      ? [`metadata has ${metadataCopiesMissing} ${metadataCopiesMissing === 1 ? "copy" : "copies"} too few`]
      : []),
    ...(misplacedBytes > 0 ? ["some blocks are not placed as their policy requires"] : []),
    ...(decommissioningBytes > 0 ? ["older blocks are still under another policy"] : []),
    ...(isMoving ? ["shards are moving to a new layout"] : []),
  ]
}

/** Returns what may fail when the store is complete: disks, or folders if disks hold several. */
function protection({ disks, devices, offline, now, whole, opensWithout }: Safety): string {
  if (whole.disks > 0 && offline > 0) {
    return `any ${plural(whole.disks, "disk")} may fail without loss once every folder is back, on a disk of its own`
  }
  if (whole.disks > 0) {
    const gone = opensWithout === 0 ? "one" : `${opensWithout + 1}`
    const start = now.disks > opensWithout ? ` (a start without ${gone} of them needs hayloft device forget)` : ""
    return `any ${whole.disks} of ${plural(disks, "disk")} may fail without loss${start}`
  }
  if (whole.devices > 0 && disks < devices - offline) {
    const what = disks === 1 ? "the disk" : "a lost disk"
    return `protects against bit rot and ${plural(whole.devices, "deleted folder")}, not against ${what}`
  }
  return "no disk may fail; a lost disk loses objects"
}

const NAMES_SHOWN = 3

/** `a, b, c and 7 more`. */
function someOf(names: readonly string[]): string {
  const more = names.length - NAMES_SHOWN
  return more > 0 ? `${names.slice(0, NAMES_SHOWN).join(", ")} and ${more} more` : listed(names)
}

/** States whether any single disk, machine or zone may fail now. */
interface MayFail {
  readonly what: "disk" | "machine" | "zone"
  /** `later`: once the store is complete, but not now. `unknown`: shards have not all been scanned. */
  readonly answer: "yes" | "no" | "later" | "unknown"
  /** How many there are. */
  readonly count: number
  /** How many arbitrary ones may fail now; -1: something is not readable now. */
  readonly losses: number
  /** The reasons why they may not; empty if they may. */
  readonly because: string
  /** The first of those that must not fail now: the loss of one alone loses something. */
  readonly critical: readonly string[]
}

const CRITICAL_MAX = 20

/** Returns why none may fail even when the store is complete. */
function whyNever(what: MayFail["what"], { count, crowded }: Pick<DomainSafety, "count" | "crowded">): string {
  if (count === 1) return "there is only one"
  if (what === "disk") return "no shard or copy is to spare that would replace a lost disk"
  if (crowded === undefined) return ""
  const { policy, shards, spare } = crowded
  return `up to ${plural(shards, "shard")} of a block (${textOfPolicy(policy)}) ${shards === 1 ? "is" : "are"} in one ${what}, and ${spare === 0 ? "none" : `only ${spare}`} may be lost`
}

function answerOf(what: MayFail["what"], domain: DomainSafety, { isUnseen }: SafetyCauses): MayFail {
  const { count, now, whole, critical } = domain
  const facts = { what, count, losses: isUnseen ? Math.min(now, 0) : now, critical: critical.slice(0, CRITICAL_MAX) }
  if (count === 1 || whole < 1) return { ...facts, answer: "no", because: whyNever(what, domain) }
  if (now >= 1 && !isUnseen) return { ...facts, answer: "yes", because: "" }
  if (isUnseen) return { ...facts, answer: "unknown", because: UNSEEN }
  const because = critical.length === 0 ? "" : `the loss of ${someOf(critical)} would lose objects`
  return { ...facts, answer: "later", because }
}

/** Returns whether any disk, and as far as the store has them any machine and any zone, may fail now. */
export function mayFail(safety: Safety, pathOf: SentenceFacts["pathOf"]): readonly MayFail[] {
  const { disks, now, whole, critical, machines, zones, causes } = safety
  const ofDisks = { count: disks, now: now.disks, whole: whole.disks, critical: critical.map(pathOf) }
  return [
    answerOf("disk", ofDisks, causes),
    ...(machines === undefined ? [] : [answerOf("machine", machines, causes)]),
    ...(zones === undefined ? [] : [answerOf("zone", zones, causes)]),
  ]
}

/** `any machine: yes`, `any zone: no, because …`. */
function textOfAnswer({ what, answer, count, losses, because }: MayFail): string {
  const any = `any ${what}`
  if (answer === "yes") return losses === 1 ? `${any}: yes` : `${any}: yes, any ${losses} of ${count}`
  if (answer === "no") return because === "" ? `${any}: no` : `${any}: no, because ${because}`
  if (answer === "unknown") return `${any}: yes once complete; today is being checked`
  return `${any}: yes once complete, not today${answer === "later" && because !== "" ? `: ${because}` : ""}`
}

/** One answer for machines and one for zones, as far as the store has them. */
export const domainAnswers = (safety: Safety): readonly string[] =>
  mayFail(safety, id => id)
    .filter(({ what }) => what !== "disk")
    .map(textOfAnswer)

function today({ now, whole, causes }: Safety, reasons: readonly string[], isRepairPaused: boolean): string {
  if (causes.isUnseen && now.disks >= 0) {
    const others = reasons.filter(reason => reason !== UNSEEN).slice(0, 2)
    return [
      isRepairPaused
        ? "what may fail today is not known, since repair is paused, which checks it after every start (hayloft repair resume)"
        : "what may fail today is being checked, as after every start",
      ...(others.length === 0 ? [] : [listed(others)]),
    ].join("; ")
  }
  const because = reasons.length === 0 ? "" : `because ${listed(reasons.slice(0, 2))}`
  if (now.disks < 0) return `something cannot be read today${because && `, ${because}`}`
  if (now.disks < whole.disks)
    return `today ${now.disks === 0 ? "none" : `only ${now.disks}`}${because && `, ${because}`}`
  if (now.devices < whole.devices)
    return `today ${plural(Math.max(0, now.devices), "folder")}${because && `, ${because}`}`
  return listed(reasons.slice(0, 2))
}

/**
 * `ec:4+3 in 7 folders on 7 disks: any 3 of 7 disks may fail without loss`, or
 * `ec:4+3 in 7 folders (1 offline) on 6 disks: any 3 disks may fail without loss once every folder is back, on a disk of
 * its own; today only 2, because /c is offline; whole again in about 40 min`. If devices have homes, it says whether any
 * machine and any zone may fail: `any machine: yes; any zone: no, because there is only one`.
 */
export function safetySentence(
  safety: Safety,
  { policy, pathOf, wholeInSeconds, isRepairPaused }: SentenceFacts,
): string {
  const reasons = reasonsOf(safety.causes, pathOf)
  const isLess = safety.now.disks < safety.whole.disks || safety.now.devices < safety.whole.devices
  const offline = safety.offline === 0 ? "" : ` (${safety.offline} offline)`
  const parts = [
    `${policy} in ${plural(safety.devices, "folder")}${offline} on ${plural(safety.disks, "disk")}: ${protection(safety)}`,
    ...domainAnswers(safety),
    ...(isLess || reasons.length > 0 ? [today(safety, reasons, isRepairPaused)] : []),
    ...(wholeInSeconds === undefined || reasons.length === 0
      ? []
      : [`whole again in about ${roughly(wholeInSeconds)}`]),
  ]
  return parts.join("; ")
}
