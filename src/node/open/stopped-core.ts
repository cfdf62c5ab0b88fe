/**
 * The operator's words for devices of a store that is stopped, decided on the control record: giving
 * missing devices up, and putting an empty folder in the place of one. Pure.
 *
 * A stopped store cannot know what its missing devices have been through. The words are therefore the
 * operator's to say, and each comes with what it means, in sentences.
 */
import { fail, isFailure, sentenceOf, type Failure } from "../../base/failures.js"
import type { DeviceId } from "../../base/ids.js"
import { shardCount, shardsNeeded, textOfPolicy } from "../../base/policy.js"
import { deviceOf, forgetDevice, layoutOf, markOffline, replaceDevice, type NewDevice } from "../../cluster/index.js"
import { isVoting } from "../../device/index.js"
import type { ControlDevice, ControlRecord } from "../../format/control-record.js"
import { aliveSlots } from "../../placement/index.js"
import { whyNotOpen } from "./start-core.js"

export interface StoppedChange {
  readonly record: ControlRecord
  /** What it means, one sentence each. */
  readonly sentences: readonly string[]
  /** What cannot be read any more once it is done; undefined: nothing. */
  readonly loss: string | undefined
}

/** `here`: the devices that the word can be written to. Throws `invalidArgument` where it cannot be done at all. */
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
      waiting.push(`Device ${id} is out until shards have moved; forget it once more then.`)
    }
  }
  const sentences = [
    ...devices.map(({ id, pathHint }) => `Device ${id}, last at ${pathHint}, is given up for good.`),
    "Whatever the store did with it and without the devices that are here is lost.",
    ...waiting,
    ...whatIsLeft(next, here),
  ]
  return { record: next, sentences, loss: lossIn(marked) }
}

/** An empty folder in the place of a device that is not here. */
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
    `${device.pathHint} takes the place of device ${oldId}, last at ${pathHint}, as device ${device.id}, and is filled once the store runs.`,
    `Device ${oldId} is given up for good; whatever the store did with it and without the devices that are here is lost.`,
    ...whatIsLeft(next, new Set([...here, device.id])),
  ]
  return { record: next, sentences, loss: lossIn(marked) }
}

function absentDevice(record: ControlRecord, id: DeviceId, here: ReadonlySet<DeviceId>): ControlDevice {
  const device = deviceOf(record, id)
  if (!isVoting(device) || !here.has(id)) return device
  throw fail("invalidArgument", {
    message: `device ${id} is here: start the store, and remove it with: hayloft device remove ${id}`,
  })
}

function markedOffline(record: ControlRecord, ids: readonly DeviceId[], nowMs: number): ControlRecord {
  try {
    return markOffline(record, ids, nowMs)
  } catch (error) {
    if (!isFailure(error, "deviceFailed")) throw error
    throw fail("invalidArgument", {
      message: `no device that holds the names of objects would be left, and without names nothing is found: attach one of ${ids.join(", ")}`,
    })
  }
}

function whatIsLeft(record: ControlRecord, here: ReadonlySet<DeviceId>): readonly string[] {
  const holders = Math.min(...record.tablets.map(({ replicas }) => replicas.filter(({ id }) => here.has(id)).length))
  const names = holders === 1 ? "one device" : `${holders} devices`
  const refusal: Failure | undefined = whyNotOpen(record, here)
  return [
    `The names of objects are on ${names} of those that are here.`,
    refusal
      ? `The store still does not open: ${sentenceOf(refusal)}`
      : "The store opens with the devices that are here.",
  ]
}

/** What has too few shards without devices that are out or not filled yet. */
function lossIn(record: ControlRecord): string | undefined {
  const whole = record.devices.filter(({ state }) => state !== "offline" && state !== "rebuilding").map(({ id }) => id)
  const layout = layoutOf(record.layout)
  const previous = record.previousLayout && layoutOf(record.previousLayout)
  const { policy } = record
  const alive = aliveSlots(layout, new Set(whole), shardCount(policy), previous)
  const lost = alive.reduce((sum, count) => sum + (count < shardsNeeded(policy) ? 1 : 0), 0)
  if (lost === 0) return undefined
  const what = lost === alive.length ? "all that is" : `about ${((100 * lost) / alive.length).toFixed(1)} % of what is`
  return `${what} stored as ${textOfPolicy(policy)} has too few shards left to be read`
}
