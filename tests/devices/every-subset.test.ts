/**
 * Loses every set of disks that a redundancy tolerates, one set after the other on the same store: with a set
 * gone clients continue to read and write, empty disks replace the lost ones, and once these are rebuilt the next
 * set is lost. Some sets are lost under the running store, some between two processes. The disks are
 * simulated; everything else is what a real process runs.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { defaultPolicy, textOfPolicy, tolerance } from "../../src/base/policy.js"
import { LOOK_MS, SimStore } from "./sim-store.js"

const isFullCheck = process.env["FULL_CHECK"] === "yes"

/** Writes, overwrites and removes objects, and reads all of them. */
async function use(store: SimStore, round: number, when: string): Promise<void> {
  await store.put(`round ${round}`)
  await store.put("ever again")
  await store.remove(`round ${round - 2}`)
  await store.readAll(when)
}

/** Under the running store; the operator names the empty disks that replace the lost ones. */
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

/** Between two processes; the next start finds empty disks in the places. */
async function loseStopped(store: SimStore, lost: readonly string[], round: number): Promise<void> {
  store.machine.crash()
  store.drop(lost)
  for (const bay of lost) store.machine.bays.put(bay, store.machine.newDrive())
  await store.start()
  await use(store, round, `with ${lost.join()} empty`)
}

/** Sets of this many bays at most, each once, smaller and larger ones mixed. */
function setsUpTo(most: number, bays: readonly string[]): readonly (readonly string[])[] {
  const sets = Array.from({ length: 2 ** bays.length }, (_, mask) =>
    bays.filter((_bay, i) => Math.floor(mask / 2 ** i) % 2 === 1),
  )
  return sets.filter(({ length }) => length >= 1 && length <= most)
}

// Of the many sets of wide redundancies every so manieth; `npm run check` takes them all.
for (const [devices, policy, sets, stride] of [
  [4, "ec:2+2", 4 + 6, 1],
  [6, "ec:4+2", 6 + 15, 4],
  [7, "ec:4+3", 7 + 21 + 35, 10],
] as const) {
  const taken = isFullCheck ? "all" : stride === 1 ? "all" : `one in ${stride}`
  test(`${policy}: of the ${sets} sets of disks that may be lost ${taken} are lost, each made good before the next`, async () => {
    const store = await SimStore.open(devices)
    assert.equal(textOfPolicy(defaultPolicy(devices)), policy)
    const all = setsUpTo(tolerance(defaultPolicy(devices)), store.machine.folders)
    assert.equal(all.length, sets)
    for (const [round, lost] of all.filter((_set, i) => isFullCheck || i % stride === 0).entries()) {
      // A start needs more than half of the devices.
      const mayStop = 2 * (devices - lost.length) > devices
      if (mayStop && round % 3 === 2) await loseStopped(store, lost, round)
      else await loseRunning(store, lost, round)
      await store.becomeWhole(`the loss of ${lost.join()}`)
    }
    await store.end()
  })
}
