/**
 * Loses sets of disks that a redundancy tolerates, one set after the other, on the same store: clients
 * continue to read and write, empty disks replace the lost ones, and once these are rebuilt the next set is lost.
 * Some sets are lost while the store runs, others between two processes. The disks are simulated; everything else
 * is the code of a real process.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { defaultPolicy, textOfPolicy, tolerance } from "@hayloft/base/policy.js"
import { runsOf, TEST_SEED } from "@hayloft/base/testing-seed.js"
import { LOOK_MS, SimStore } from "./sim-store.js"

/** A soak tries so many that all sets have their turn. */
const SETS = runsOf(2)

const STEP = 11

/** Writes, overwrites and deletes objects, and reads all of them. */
async function use(store: SimStore, round: number, when: string): Promise<void> {
  await store.put(`round ${round}`)
  await store.put("ever again")
  await store.remove(`round ${round - 2}`)
  await store.readAll(when)
}

/** Loses disks while the store runs; the operator names the empty disks that replace the lost ones. */
async function loseRunning(store: SimStore, lost: readonly string[], round: number): Promise<void> {
  store.drop(lost)
  await use(store, round, `without ${lost.join()}`)
  // The store also detects the loss of a disk that no request used.
  await store.machine.pass(LOOK_MS)
  for (const bay of lost) {
    store.machine.bays.put(bay, store.machine.newDrive())
    await store.replace(store.deviceIn(bay).id, bay)
  }
}

/** Loses disks between two processes; the next start finds empty disks in their bays. */
async function loseStopped(store: SimStore, lost: readonly string[], round: number): Promise<void> {
  store.machine.crash()
  store.drop(lost)
  for (const bay of lost) store.machine.bays.put(bay, store.machine.newDrive())
  await store.start()
  await use(store, round, `with ${lost.join()} empty`)
}

/** All sets of at most this many bays, each once, small and large sets mixed. */
function setsUpTo(most: number, bays: readonly string[]): readonly (readonly string[])[] {
  const sets = Array.from({ length: 2 ** bays.length }, (_, mask) =>
    bays.filter((_bay, i) => Math.floor(mask / 2 ** i) % 2 === 1),
  )
  return sets.filter(({ length }) => length >= 1 && length <= most)
}

for (const [devices, policy, sets] of [
  [4, "ec:2+2", 4 + 6],
  [6, "ec:4+2", 6 + 15],
  [7, "ec:4+3", 7 + 21 + 35],
] as const) {
  test(`${policy}: ${SETS} of ${sets} sets of disks are lost, each repaired before the next`, async () => {
    const store = await SimStore.open(devices)
    assert.equal(textOfPolicy(defaultPolicy(devices)), policy)
    const all = setsUpTo(tolerance(defaultPolicy(devices)), store.machine.folders)
    assert.equal(all.length, sets)
    // Each set comes once, since a step and the number of sets have no common divisor.
    const steps = Array.from({ length: Math.min(SETS, sets) }, (_, i) => (TEST_SEED + i * STEP) % sets)
    for (const [round, lost] of steps.map(at => must(all[at], "the step ends at a set")).entries()) {
      // A start needs more than half of the devices.
      const mayStop = 2 * (devices - lost.length) > devices
      if (mayStop && round % 2 === 1) await loseStopped(store, lost, round)
      else await loseRunning(store, lost, round)
      await store.becomeWhole(`the loss of ${lost.join()}`)
    }
    await store.end()
  })
}
