/**
 * Steps of the control record: decides the steps of a change, their generations, and when a record has taken effect.
 *
 * A device votes in a record if the record names it and does not mark it as offline. A change takes effect once at
 * least half of the devices that were voting before it have accepted it. The store opens if more than half of the
 * voting devices of its newest record are present.
 *
 * Why no start opens a superseded record:
 * 1. A step adds or removes at most one voting device. So a majority of the voters before it and a majority of the
 *    voters after it always have a device in common.
 * 2. A record in effect is on half of the devices that were voting before it. A start that could open the record
 *    before it has a majority of them, and so finds it on one of them, or something newer.
 * 3. A record that failed to take effect (too few devices accepted it) may be found later. Until then a process tries
 *    nothing else: it first rewrites the record in effect on half of its voting devices and half of those of the
 *    failed record. A start that could open the failed record then finds the newer one.
 * 4. Each process uses an incarnation above all that a majority of the voting devices have recorded, writes it to
 *    them, and rewrites the record under it. By 1, a start that could open a failed record of an earlier process finds
 *    the newer one; and no two processes write under one incarnation.
 * `truth.test.ts` enumerates the possible events of a few devices with the functions below; it finds two records in
 * effect as soon as one of these rules is removed.
 */
import { assert } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import { parseIncarnation, type DeviceId, type Incarnation } from "@hayloft/base/ids.js"
import { votingIds } from "@hayloft/engine/device/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { FRONT_INCARNATIONS } from "@hayloft/engine/format/needles/upload-id.js"

/**
 * Size of the generation range of one process incarnation. Its range is above those of all earlier incarnations, so
 * that records of different processes never share a generation, and the later one is newer. Each process begins its
 * incarnation on the devices before it writes a record.
 */
export const GENERATIONS_PER_INCARNATION = 2 ** 20

/**
 * An incarnation in which the operator gives up devices is this far above all that were seen: above what those devices
 * may have recorded without the others, in 64 starts with front threads or 16384 starts without.
 */
export const FORGET_LIVES = 64 * (1 + FRONT_INCARNATIONS)

/** The incarnation last begun on a device, and the generation of its record. */
interface SeenDevice {
  readonly incarnation: number
  readonly generation: number
}

/**
 * An incarnation above every one recorded on these devices, and above so many `reserved` ones, which no other start uses:
 * threads of this process take them (see `FRONT_INCARNATIONS`). Throws `invalidArgument` once all are used up.
 */
export const nextIncarnation = (seen: readonly SeenDevice[], reserved = 0): Incarnation =>
  parseIncarnation(
    1 +
      reserved +
      Math.max(0, ...seen.flatMap(({ incarnation, generation }) => [incarnation, incarnationOfGeneration(generation)])),
  )

/** Returns the incarnation of the process that wrote a record. */
export const incarnationOfGeneration = (generation: number): number =>
  Math.floor(generation / GENERATIONS_PER_INCARNATION)

/** The generation of the next record: above that of the last one, effective or not, and in this incarnation's range. */
export function nextGeneration(incarnation: Incarnation, lastGeneration: number): number {
  const generation = Math.max(lastGeneration + 1, incarnation * GENERATIONS_PER_INCARNATION)
  if (generation >= (incarnation + 1) * GENERATIONS_PER_INCARNATION || !Number.isSafeInteger(generation)) {
    throw fail("internal", { message: "the control record has been changed too often since the start", generation })
  }
  return generation
}

/**
 * The records from one to the other; the last is `to` itself. Each adds or removes at most one voting device. Removals
 * come first; a removed device is marked as offline.
 */
export function stepsBetween(from: ControlRecord, to: ControlRecord): readonly ControlRecord[] {
  const [before, after] = [votingIds(from), votingIds(to)]
  const moves = [...before.filter(id => !after.includes(id)), ...after.filter(id => !before.includes(id))]
  const steps: ControlRecord[] = []
  let at = from
  for (const id of moves.slice(0, -1)) {
    at = after.includes(id) ? withEntered(at, to, id) : withOffline(at, to, id)
    steps.push(at)
  }
  return [...steps, to]
}

function withOffline(record: ControlRecord, to: ControlRecord, id: DeviceId): ControlRecord {
  const target = to.devices.find(device => device.id === id)
  const devices = record.devices.map(device =>
    device.id === id ? { ...(target ?? device), state: "offline" as const } : device,
  )
  return { ...record, devices }
}

function withEntered(record: ControlRecord, to: ControlRecord, id: DeviceId): ControlRecord {
  const entered = to.devices.filter(device => device.id === id)
  assert(entered.length === 1, "a device that enters is named")
  const isKnown = record.devices.some(device => device.id === id)
  const devices = isKnown
    ? record.devices.flatMap(device => (device.id === id ? entered : [device]))
    : [...record.devices, ...entered]
  return { ...record, devices }
}

/**
 * Returns true if a new record has taken effect. `standing`: the voting devices of the record before, and of each
 * record that has failed since and may be on some of them: a start that could open one of those must find the new one.
 */
export const hasTakenEffect = (standing: readonly (readonly DeviceId[])[], accepted: ReadonlySet<DeviceId>): boolean =>
  standing.every(voting => 2 * voting.filter(id => accepted.has(id)).length >= voting.length)
