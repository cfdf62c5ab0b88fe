/**
 * Changing the control record, decided: by which steps, under which generation, and accepted by whom.
 *
 * Counted are the devices that a record names and does not say are out. A change takes effect once at
 * least half of the devices that counted before it have accepted it, and the store opens where more than
 * half of those that its newest record counts are here.
 *
 * Why no start opens a truth that was left behind:
 * 1. A step counts one device in or out at most. So more than half of those that count before it and
 *    more than half of those that count after it always have a device in common.
 * 2. What took effect lies on half of those that counted before it; whoever opens the record before has
 *    more than half of them, and so meets it on one of them, or something newer still.
 * 3. What was tried in vain (fewer accepted it) may come to light again. Within a life nothing else is
 *    tried before the record in force has been written anew, on half of those that count in it and half
 *    of those that count in what was tried: whoever could open that meets the newer one.
 * 4. Each life takes a number above all that more than half of the counted devices have seen, tells it
 *    to them, and writes the record anew under it. By 1 whoever could open what an earlier life tried in
 *    vain meets that newer one; and no two lives write under one number.
 * `truth.test.ts` goes through what can happen to few devices with the functions below, and finds two
 * truths as soon as one of these rules is left out.
 */
import { assert } from "../../base/assert.js"
import { fail } from "../../base/failures.js"
import { parseIncarnation, type DeviceId, type Incarnation } from "../../base/ids.js"
import { votingIds } from "../../device/index.js"
import type { ControlRecord } from "../../format/control-record.js"

/**
 * Generations of one life of a process begin here: above all of earlier lives, so that records which
 * different lives wrote, each without knowing of the other's, are never of one generation, and the later
 * one counts. Each life makes itself known on the devices before it writes any.
 */
export const GENERATIONS_PER_INCARNATION = 2 ** 20

/**
 * A life in which the operator gives devices up begins so far above all that were seen: above what those
 * devices may have been through without the others.
 */
export const FORGET_LIVES = 1024

/** What is known of a device's past: the life last begun on it, and the generation of the record that it has. */
interface SeenDevice {
  readonly incarnation: number
  readonly generation: number
}

/** A life after all that left a trace on these devices. */
export const nextIncarnation = (seen: readonly SeenDevice[]): Incarnation =>
  parseIncarnation(
    1 +
      Math.max(0, ...seen.flatMap(({ incarnation, generation }) => [incarnation, incarnationOfGeneration(generation)])),
  )

/** Of the process that wrote a record. */
export const incarnationOfGeneration = (generation: number): number =>
  Math.floor(generation / GENERATIONS_PER_INCARNATION)

/** The generation of the next record: above that of the last, effective or in vain, and this life's own. */
export function nextGeneration(incarnation: Incarnation, lastGeneration: number): number {
  const generation = Math.max(lastGeneration + 1, incarnation * GENERATIONS_PER_INCARNATION)
  if (generation >= (incarnation + 1) * GENERATIONS_PER_INCARNATION || !Number.isSafeInteger(generation)) {
    throw fail("internal", { message: "the control record has been changed too often since the start", generation })
  }
  return generation
}

/**
 * Records from one to the other, the last being `to` itself, in each of which one counted device at most
 * comes or goes: those that go first, each marked as out.
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
 * Whether a new record has taken effect. `standing`: the devices that counted in the record before, and in
 * each that was tried since in vain and may lie on some of them: whoever may open one of those must find
 * the new one.
 */
export const hasTakenEffect = (standing: readonly (readonly DeviceId[])[], accepted: ReadonlySet<DeviceId>): boolean =>
  standing.every(voting => 2 * voting.filter(id => accepted.has(id)).length >= voting.length)
