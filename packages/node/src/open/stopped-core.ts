/**
 * Stopped-store decisions: changes of the control record for a stopped store: giving up missing devices, and putting
 * an empty folder in the place of one. Pure.
 *
 * A stopped store cannot know what its missing devices have done. Only an operator can therefore decide these changes,
 * and each comes with its consequences, in sentences.
 */
import { fail, isFailure, sentenceOf, type Failure } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { shardCount, shardsNeeded, textOfPolicy } from "@hayloft/base/policy.js"
import {
  deviceOf,
  forgetDevice,
  layoutOf,
  markOffline,
  replaceDevice,
  type NewDevice,
} from "@hayloft/engine/cluster/index.js"
import { isVoting } from "@hayloft/engine/device/index.js"
import type { ControlDevice, ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { aliveSlots } from "@hayloft/engine/placement/index.js"
import { whyNotOpen } from "./start-core.js"

export interface StoppedChange {
  readonly record: ControlRecord
  /** The consequences, one sentence each. */
  readonly sentences: readonly string[]
  /** The data that becomes unreadable; undefined if there is none. */
  readonly loss: string | undefined
}

/**
 * Throws `invalidArgument` if the record in effect is not the newest one in the folders, but one in a database: a newer one
 * in folders is the sign of a database that has lost changes, and would stop all nodes. `isAttested`: a folder attests
 * that a node has used the database. Until the first has, after a move to one, the folders decide.
 */
export function checkChangeable({ tablets }: ControlRecord, isAttested: boolean): void {
  if (tablets.length > 0 || !isAttested) return
  const message =
    "nothing was changed: this store's devices are recorded in its database, and only a running node changes them; " +
    "start this node, which opens without its missing folders, or use another one, and repeat the command there"
  throw fail("invalidArgument", { message })
}

/** `here`: the devices that the change can be written to. Throws `invalidArgument` if the change is impossible. */
export function giveUpDevices(
  record: ControlRecord,
  ids: readonly DeviceId[],
  here: ReadonlySet<DeviceId>,
  nowMs: number,
): StoppedChange {
  const devices = ids.map(id => absentDevice(record, id, here))
  const marked = markedOffline(record, ids, nowMs)
  let next = marked
  const waiting: string[] = []
  for (const id of ids) {
    try {
      next = forgetDevice(next, id, [], true)
    } catch (error) {
      if (!isFailure(error, "conflict")) throw error
      waiting.push(`Device ${id} is offline until shards have moved; then forget it again.`)
    }
  }
  const sentences = [
    ...devices.map(({ id, pathHint }) => `Device ${id}, last at ${pathHint}, is given up permanently.`),
    "Changes that reached it but none of the present devices are lost.",
    ...waiting,
    ...whatIsLeft(next, here),
  ]
  return { record: next, sentences, loss: lossIn(marked) }
}

/** Replaces a device that is not present by an empty folder. */
export function fillPlace(
  record: ControlRecord,
  oldId: DeviceId,
  device: NewDevice,
  here: ReadonlySet<DeviceId>,
  nowMs: number,
): StoppedChange {
  const { pathHint } = absentDevice(record, oldId, here)
  const marked = markedOffline(record, [oldId], nowMs)
  const next = replaceDevice(marked, oldId, device, [], true, nowMs)
  const sentences = [
    `${device.pathHint} replaces device ${oldId}, last at ${pathHint}, as device ${device.id}; it is rebuilt once the store runs.`,
    `Device ${oldId} is given up permanently; changes that reached it but none of the present devices are lost.`,
    ...whatIsLeft(next, new Set([...here, device.id])),
  ]
  return { record: next, sentences, loss: lossIn(marked) }
}

function absentDevice(record: ControlRecord, id: DeviceId, here: ReadonlySet<DeviceId>): ControlDevice {
  const device = deviceOf(record, id)
  if (!isVoting(device) || !here.has(id)) return device
  throw fail("invalidArgument", {
    message: `device ${id} is present: start the store, and remove it with: hayloft device remove ${id}`,
  })
}

function markedOffline(record: ControlRecord, ids: readonly DeviceId[], nowMs: number): ControlRecord {
  try {
    return markOffline(record, ids, nowMs)
  } catch (error) {
    if (!isFailure(error, "deviceFailed")) throw error
    throw fail("invalidArgument", {
      message: `no metadata replica would be left, and without metadata no object can be read: attach one of ${ids.join(", ")}`,
    })
  }
}

function whatIsLeft(record: ControlRecord, here: ReadonlySet<DeviceId>): readonly string[] {
  const [holders] = record.tablets
    .map(({ replicas }) => replicas.filter(({ id }) => here.has(id)).length)
    .sort((a, b) => a - b)
  const names = holders === 1 ? "one device" : `${holders} devices`
  const refusal: Failure | undefined = whyNotOpen(record, here)
  return [
    holders === undefined ? "The metadata is in a database." : `The metadata is on ${names} of those that are present.`,
    refusal
      ? `The store still does not open: ${sentenceOf(refusal)}`
      : "The store opens with the devices that are present.",
  ]
}

/** Data with too few shards if offline and rebuilding devices do not count. */
function lossIn(record: ControlRecord): string | undefined {
  const whole = record.devices.filter(({ state }) => state !== "offline" && state !== "rebuilding").map(({ id }) => id)
  const layout = layoutOf(record.layout)
  const previous = record.previousLayout && layoutOf(record.previousLayout)
  const { policy } = record
  const alive = aliveSlots(layout, new Set(whole), shardCount(policy), previous)
  const lost = alive.reduce((sum, count) => sum + (count < shardsNeeded(policy) ? 1 : 0), 0)
  if (lost === 0) return undefined
  const what = lost === alive.length ? "all that is" : `about ${((100 * lost) / alive.length).toFixed(1)} % of what is`
  return `${what} stored as ${textOfPolicy(policy)} has too few shards left for a read`
}
