/** Status decisions: the state of each device, what may fail, and what is wrong. Pure. */
import type { DeviceReport, DeviceState, SafetyReport } from "./contract.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { textOfPolicy, type Policy } from "@hayloft/base/policy.js"
import { REFUSALS_AT } from "@hayloft/base/space/space-core.js"
import {
  domainsOfHome,
  layoutOf,
  reasonsOf,
  mayFail,
  safetySentence,
  type Safety,
  type SafetyInput,
} from "@hayloft/engine/cluster/index.js"
import type { ControlDevice, ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { atRisk, type RiskFacts } from "./at-risk-core.js"
import type { OpenDevice, StatusSources, StoreContents } from "./status-sources.js"

const STATE_REASONS: Readonly<Record<ControlDevice["state"], string>> = {
  active: "",
  rebuilding: "its missing shards are being written",
  draining: "its shards are moving to the others",
  decommissioning: "its shards are moving to the others; then it is removed",
  offline: "missing since the start, or offline before it",
}

/** The state of a device and its reason: the worst first. */
function stateOf(
  device: ControlDevice,
  open: OpenDevice | undefined,
  offlineReason: string | undefined,
): readonly [state: DeviceState, reason: string] {
  if (device.state === "offline") return ["offline", offlineReason ?? STATE_REASONS.offline]
  if (open === undefined) return ["missing", offlineReason ?? "its folder was not there at the start"]
  if (open.trouble !== undefined) return ["failed", open.trouble.message]
  if (open.space?.isCritical === true) return ["full", REFUSALS_AT.critical]
  if (open.space?.isFull === true) return ["full", REFUSALS_AT.full]
  return [device.state, STATE_REASONS[device.state]]
}

function openReport({ space, deadBytes, memtableRows, asideRows, logBytes, volumeBytes, calls }: OpenDevice) {
  return {
    memtableRows,
    ...(asideRows === undefined ? {} : { asideRows }),
    logBytes,
    volumeBytes,
    queues: [calls],
    ...(space === undefined ? {} : { disk: space.fileSystemId }),
    totalBytes: space?.totalBytes ?? 0,
    freeBytes: space?.freeBytes ?? 0,
    fileSystemKind: space?.fileSystemKind ?? "unknown",
    ...(space?.usableBytes === undefined ? {} : { usableBytes: space.usableBytes }),
    ...(space?.reserveBytes === undefined ? {} : { reserveBytes: space.reserveBytes }),
    ...(space?.secondsUntilFull === undefined ? {} : { fullInSeconds: space.secondsUntilFull }),
    ...(deadBytes === undefined ? {} : { deadBytes }),
  }
}

function metadataReplica({ tablets }: ControlRecord, id: DeviceId): DeviceReport["metadataReplica"] {
  const isIn = (holders: readonly { readonly id: DeviceId }[]) => holders.some(holder => holder.id === id)
  if (tablets.length > 0 && tablets.every(({ replicas }) => isIn(replicas))) return "yes"
  return tablets.some(({ replicas, learners }) => isIn(learners) || isIn(replicas)) ? "learning" : "no"
}

/** All devices of the record, in its order. */
export function deviceReports(
  record: ControlRecord,
  open: readonly OpenDevice[],
  offlineReason: StatusSources["offlineReason"],
): readonly DeviceReport[] {
  return record.devices.map(device => {
    const found = open.find(({ id }) => id === device.id)
    const [state, reason] = stateOf(device, found, offlineReason(device.id))
    return {
      id: device.id,
      path: found?.path ?? device.pathHint,
      ...homeReport(device),
      state,
      reason,
      ...(device.stateSinceMs > 0 ? { sinceMs: device.stateSinceMs } : {}),
      weight: device.weight,
      metadataReplica: metadataReplica(record, device.id),
      ...(found === undefined
        ? { totalBytes: 0, freeBytes: 0, fileSystemKind: "unknown", queues: [] }
        : openReport(found)),
    }
  })
}

const homeReport = ({ home }: ControlDevice): Pick<DeviceReport, "node" | "zone" | "machine"> =>
  home === undefined
    ? {}
    : { node: home.node, ...(home.zone === undefined ? {} : { zone: home.zone }), machine: home.machine }

/** Returns where a device is: its folder, after its node if there are several. */
const placeOf = (path: string, node: string | undefined): string => (node === undefined ? path : `${node}:${path}`)

const isSame = (a: Policy, b: Policy): boolean => textOfPolicy(a) === textOfPolicy(b)

/** Policies of stored blocks, and those of new ones. */
function policiesOf(record: ControlRecord, contents: StoreContents | undefined): SafetyInput["policies"] {
  const wanted = [record.policy, ...(contents?.bucketPolicies ?? [])]
  const held = contents?.policies ?? []
  const unused = wanted.filter(policy => !held.some(use => isSame(use.policy, policy)))
  return [
    ...held.map(use => ({ ...use, isDecommissioning: !wanted.some(policy => isSame(policy, use.policy)) })),
    ...unused.map(policy => ({ policy, bytes: 0, isDecommissioning: false })),
  ]
}

/** Adds the bytes written since repair's last scan to the current policy. */
export function withUnseen(
  found: StoreContents["policies"],
  policy: Policy,
  writtenBytes: number,
): StoreContents["policies"] {
  if (writtenBytes <= 0) return found
  const isNow = (use: { readonly policy: Policy }) => isSame(use.policy, policy)
  if (!found.some(isNow)) return [...found, { policy, bytes: writtenBytes }]
  return found.map(use => (isNow(use) ? { policy, bytes: use.bytes + writtenBytes } : use))
}

/**
 * Corrects the bytes by policy while re-encoding runs: `remainingBytes` are still stored under policies that are no
 * longer wanted; the rest has the store's policy by now. `before`: the store's previous policy; undefined if it has not
 * changed since this process started.
 */
export function withReencoding(
  known: StoreContents["policies"],
  wanted: readonly [ofStore: Policy, ...ofBuckets: Policy[]],
  before: Policy | undefined,
  remainingBytes: number,
): StoreContents["policies"] {
  const [ofStore] = wanted
  const isWanted = (policy: Policy) => wanted.some(each => isSame(each, policy))
  const sum = (uses: StoreContents["policies"]) => uses.reduce((total, { bytes }) => total + bytes, 0)
  const found = known.filter(({ policy }) => !isWanted(policy))
  const foundBytes = sum(found)
  const scaled = found.map(use => ({ ...use, bytes: (use.bytes * remainingBytes) / foundBytes }))
  const guessed = before === undefined || isWanted(before) ? [] : [{ policy: before, bytes: remainingBytes }]
  const decommissioning = (foundBytes > 0 ? scaled : guessed).filter(({ bytes }) => bytes > 0)
  const staying = withUnseen(
    known.filter(({ policy }) => isWanted(policy)),
    ofStore,
    foundBytes,
  )
  const movedBytes = sum(decommissioning)
  const kept = staying.map(use => (isSame(use.policy, ofStore) ? { ...use, bytes: use.bytes - movedBytes } : use))
  return [...decommissioning, ...kept.filter(({ bytes }) => bytes > 0)]
}

export function safetyInputOf(
  record: ControlRecord,
  open: readonly OpenDevice[],
  contents: StoreContents | undefined,
): SafetyInput {
  const byId = new Map(open.map(device => [device.id, device]))
  const isWell = (id: DeviceId) => {
    const device = byId.get(id)
    return device !== undefined && device.trouble === undefined
  }
  const fewest = [...record.tablets].sort((a, b) => a.replicas.length - b.replicas.length)[0]
  return {
    devices: record.devices.map(device => ({
      id: device.id,
      state: isWell(device.id) ? device.state : "offline",
      ...(device.home === undefined
        ? { disk: byId.get(device.id)?.space?.fileSystemId }
        : { disk: undefined, ...domainsOfHome(device.home) }),
    })),
    layout: layoutOf(record.layout),
    previousLayout: record.previousLayout && layoutOf(record.previousLayout),
    policies: policiesOf(record, contents),
    metadata: fewest && {
      replicas: fewest.replicas.map(({ id }) => id),
      learners: fewest.learners.map(({ id }) => id),
      copiesWanted: record.metaCopies,
    },
    lacking: contents?.lacking ?? new Map(),
    misplacedGroups: contents?.misplacedGroups ?? [],
  }
}

/**
 * Before the first scan, safety rests on where the layout assigns blocks. That is no evidence that something cannot be
 * read, nor that a disk may fail: blocks written with a single copy while devices were offline are not known yet.
 */
export function beforeFirstScan(safety: Safety): Safety {
  const { levels, riskiest, causes, whole } = safety
  const bytes = levels.reduce((sum, level) => sum + level.bytes, 0)
  return {
    ...safety,
    now: { disks: 0, devices: 0 },
    levels: bytes > 0 ? [{ losses: 0, bytes }] : [],
    riskiest: riskiest.map(risky => ({ ...risky, losses: Math.max(0, risky.losses) })),
    // If the store could promise nothing anyway, there is nothing to explain.
    causes: { ...causes, isUnseen: whole.devices > 0 },
  }
}

/**
 * After an integrity audit, unreadable data is known by block. By partition, a device that lacks one shard counts as
 * lacking all shards of the partition, which does not show what can be read.
 */
export function byBlock(safety: Safety): Safety {
  const { levels, riskiest, causes, now } = safety
  const bytesAt = (losses: number) => levels.find(level => level.losses === losses)?.bytes ?? 0
  const { lostBytes } = causes
  const known = [
    { losses: -1, bytes: lostBytes },
    { losses: 0, bytes: bytesAt(0) + Math.max(0, bytesAt(-1) - lostBytes) },
  ]
  const least = lostBytes > 0 ? -1 : 0
  return {
    ...safety,
    now: { disks: Math.max(least, now.disks), devices: Math.max(least, now.devices) },
    levels: [...known.filter(({ bytes }) => bytes > 0), ...levels.filter(({ losses }) => losses > 0)],
    riskiest: riskiest.map(risky => ({ ...risky, losses: Math.max(least, risky.losses) })),
  }
}

export function safetyReport(
  safety: Safety,
  open: readonly OpenDevice[],
  facts: Omit<RiskFacts, "pathOf">,
): SafetyReport {
  const { record, wholeInSeconds, isRepairPaused } = facts
  const pathOf = (id: DeviceId): string => {
    const device = record.devices.find(each => each.id === id)
    return placeOf(open.find(each => each.id === id)?.path ?? device?.pathHint ?? id, device?.home?.node)
  }
  const { disks, now, whole, opensWithout, critical, levels, riskiest, causes } = safety
  const reasons = reasonsOf(causes, pathOf)
  const risk = atRisk(safety, reasons, { ...facts, pathOf })
  return {
    sentence: safetySentence(safety, { policy: textOfPolicy(record.policy), pathOf, wholeInSeconds, isRepairPaused }),
    mayFail: mayFail(safety, pathOf),
    disks,
    safeLosses: now.disks,
    safeLossesWhenWhole: whole.disks,
    safeFolderLosses: now.devices,
    safeFolderLossesWhenWhole: whole.devices,
    opensWithout,
    reasons,
    critical,
    levels,
    riskiest,
    ...(wholeInSeconds === undefined ? {} : { wholeInSeconds }),
    ...(risk === undefined ? {} : { atRisk: risk }),
  }
}

/** The problems of devices that should be present, one line each; empty if there are none. */
export function deviceTroubles(reports: readonly DeviceReport[], open: readonly OpenDevice[]): readonly string[] {
  return reports.flatMap(({ id, path: folder, node, state, reason }) => {
    const path = placeOf(folder, node)
    const error = open.find(device => device.id === id)?.checkpointError
    const checkpoints = error === undefined ? [] : [`the metadata store of device ${id} needs attention: ${error}`]
    if (state === "missing") return [`device ${id}, last at ${path}, is missing`]
    if (state === "offline") return [`device ${id}, last at ${path}, is offline: ${reason}`]
    if (state === "failed") return [`device ${id} at ${path} failed: ${reason}`, ...checkpoints]
    return state === "full" ? [`device ${id} at ${path} is full: ${reason}`, ...checkpoints] : checkpoints
  })
}
