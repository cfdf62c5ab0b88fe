/**
 * Full-disk scenarios: a store or other programs fill disks, on a machine that serves its store as a real process does.
 * The unchanged program passes all of them.
 */
import { must } from "@hayloft/base/assert.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { check } from "./checks.js"
import { POLL_MS, Scene, WHOLE_MS_MAX } from "./disk-scenarios.js"
import { missingShard } from "./wholeness.js"

/** The time in which a device with free space reserves some for its records. */
const RESERVE_MS = 5_000
/** A disk that its store fills, and the space that another program uses there and frees again. */
const SMALL_DISK_BYTES = 40 * MIB
const FREED_BYTES = 2 * MIB
/** More than the reserve of a disk of this size. */
const FREE_BYTES = 12 * MIB
const INLINE_PUTS = 300
const COPY_POLL_MS = 5
const HALF_COPY_BYTES = 700 * KIB

/** A disk fills up: writes are refused, all other requests succeed, and nothing is damaged. */
async function fullDisk(seed: number): Promise<void> {
  const on = await Scene.open(seed, 4)
  await on.putSome("kept")
  await on.putSome("removed")
  const drive = must(on.machine.bays.at("/d2"), "a drive is in the bay")
  drive.fill(0)
  const outcomes = new Set<string>()
  for (let i = 0; i < 30; i += 1) {
    outcomes.add((await on.put(`full-${i}`, 300 * KIB)) ?? "done")
    await on.pass(POLL_MS)
    const states = on.devices.map(({ state }) => state)
    check("fullIsNotFaulty", !states.includes("offline"), () => `the devices are ${states.join()}`)
    const lacking = missingShard(on.store.engine)
    check(
      "fullIsNotFaulty",
      lacking === undefined,
      () => `written with missing shards because a disk is full: ${lacking}`,
    )
  }
  check("fullIsNotFaulty", outcomes.has("deviceFull"), () => `writes ended with ${[...outcomes].join()}`)
  await on.readAll()
  await on.removeSome("removed")
  drive.fill(FREE_BYTES)
  await on.until("writesContinue", "writes are refused although space is free", () =>
    on.store.engine.devices.every(({ space }) => !space.isFull),
  )
  await on.putSome("again")
  await on.becomeWhole()
  await on.readWithoutEach()
}

/** Fills a small disk with objects of several sizes; returns their names. */
async function filledDisk(on: Scene): Promise<readonly string[]> {
  must(on.machine.bays.at("/d1"), "a drive is in the bay").disk.capacityBytes = SMALL_DISK_BYTES
  await on.pass(RESERVE_MS)
  const inline = Array.from({ length: INLINE_PUTS }, (_, i) => `inline-${i}`)
  for (const name of inline) await on.put(name, 3_000)
  return [...inline, ...(await on.fill("filled", [200 * KIB, 60 * KIB]))]
}

/**
 * A store fills its disk, another program uses the rest of it, and the process is killed. With a few megabytes freed,
 * deletes alone bring the space back.
 */
async function filledByStore(seed: number): Promise<void> {
  const on = await Scene.open(seed, 1)
  const names = await filledDisk(on)
  await on.fillDisk("/d1")
  for (const name of names.slice(0, 3)) {
    await on.tryRemove(name)
    await on.fillDisk("/d1")
  }
  await on.pass(RESERVE_MS)
  on.machine.kill()
  await on.fillDisk("/d1")
  await on.start()
  await on.fillDisk("/d1")
  await on.pass(POLL_MS)
  must(on.machine.bays.at("/d1"), "a drive is in the bay").fill(FREED_BYTES)
  const { medium } = must(on.machine.bays.at("/d1"), "a drive is in the bay").disk
  // A third of the objects first, spread over all volumes: compaction of the rest would use all remaining space.
  const [third, rest] = [0, 1].map(odd => names.slice(3).filter((_, i) => Number(i % 3 > 0) === odd))
  for (const name of third ?? []) await on.removeWhenPossible(name)
  // The other program also uses the space that the log has freed in the meantime.
  must(on.machine.bays.at("/d1"), "a drive is in the bay").fill(FREED_BYTES)
  for (let passedMs = 0; passedMs < 60_000; passedMs += POLL_MS) {
    await on.pass(POLL_MS)
    const { error } = must(on.store.engine.devices[0], "the store has a device").checkpointer
    check("spaceIsFreed", error === undefined, () => `a checkpoint fails although it has space: ${error}`)
  }
  const kept = (rest ?? []).filter((_, i) => i % 10 === 0)
  for (const name of rest ?? []) if (!kept.includes(name)) await on.removeWhenPossible(name)
  const isMuchFree = () => medium.usedBytes < SMALL_DISK_BYTES / 2
  await on.until("spaceIsFreed", "nearly everything was deleted, but its space is not freed", isMuchFree)
  const takesWrites = () => on.store.engine.devices.every(({ space }) => !space.isFull)
  await on.until("writesContinue", "writes are refused although space is free", takesWrites)
  await on.putSome("again")
  await on.readAll()
  await on.becomeWhole()
}

/** Every sixth object on a full disk is deleted, so that little of each volume is dead: half as much is accepted again. */
async function littleOfEach(seed: number): Promise<void> {
  const on = await Scene.open(seed, 1)
  must(on.machine.bays.at("/d1"), "a drive is in the bay").disk.capacityBytes = SMALL_DISK_BYTES
  await on.pass(RESERVE_MS)
  const removed = (await on.fill("filled", [200 * KIB])).filter((_, i) => i % 6 === 0)
  for (const name of removed) await on.removeWhenPossible(name)
  let again = 0
  for (let passedMs = 0; again < removed.length / 2; passedMs += POLL_MS) {
    check("writesContinue", passedMs < WHOLE_MS_MAX, () => `${again} writes are accepted for ${removed.length} deletes`)
    if ((await on.put(`again-${again}`, 200 * KIB)) === undefined) again += 1
    else await on.pass(POLL_MS)
  }
  await on.readAll()
  await on.becomeWhole()
}

/** Another program uses all space while compaction copies: the checkpoint gets the space of the copy. */
async function halfCopied(seed: number): Promise<void> {
  const on = await Scene.open(seed, 1)
  const names = await filledDisk(on)
  for (const [i, name] of names.entries()) if (i % 2 === 0) await on.removeWhenPossible(name)
  const { checkpointer, tending, volumes } = must(on.store.engine.devices[0], "the store has a device")
  const isHalfCopied = (): boolean => {
    const { newest = 0, containedUpTo, durable } = volumes.ordinary.upkeep
    const isUncontained = newest > (containedUpTo?.volumeId ?? 0) && (durable?.offsetBytes ?? 0) > HALF_COPY_BYTES
    return tending.compaction.progress().startsWith("copying") && isUncontained
  }
  for (let passedMs = 0; !isHalfCopied(); passedMs += COPY_POLL_MS) {
    check("spaceIsFreed", passedMs < WHOLE_MS_MAX, () => "compaction copies nothing")
    await on.pass(COPY_POLL_MS)
  }
  await on.fillDisk("/d1")
  const left = names.filter((_, i) => i % 2 === 1)
  for (const name of left.slice(0, left.length - 5)) await on.removeWhenPossible(name)
  const { medium } = must(on.machine.bays.at("/d1"), "a drive is in the bay").disk
  const isMuchFree = () => medium.usedBytes < SMALL_DISK_BYTES / 2
  await on.until("spaceIsFreed", `the space of deleted objects is not freed: ${checkpointer.error}`, isMuchFree)
  await on.readAll()
  await on.becomeWhole()
}

/** Disks are full to the last byte, their ballast is used up, and the process is restarted repeatedly. */
async function fullStart(seed: number): Promise<void> {
  const on = await Scene.open(seed, 4)
  const drives = on.machine.folders.map(bay => [bay, must(on.machine.bays.at(bay), "a drive is in the bay")] as const)
  await on.putSome("kept")
  await on.putSome("removed")
  await on.pass(RESERVE_MS)
  for (let restart = 0; restart < 4; restart += 1) {
    if (restart % 2 === 0) on.machine.kill()
    else on.machine.crash()
    for (const [bay] of drives) await on.fillDisk(bay)
    await on.start()
    await on.pass(POLL_MS)
    const states = on.devices.map(({ state }) => state)
    check("fullIsNotFaulty", !states.includes("offline"), () => `the devices are ${states.join()}`)
    await on.readAll()
  }
  for (const [, drive] of drives) drive.fill(FREE_BYTES)
  await on.removeSome("removed")
  await on.until("writesContinue", "writes are refused although space is free", () =>
    on.store.engine.devices.every(({ space }) => !space.isFull),
  )
  await on.putSome("again")
  await on.becomeWhole()
  await on.readWithoutEach()
}

export const FULL_DISK_SCENARIOS = {
  "full disk": fullDisk,
  "full disks at a start": fullStart,
  "disk filled by its store": filledByStore,
  "half-made copy on a full disk": halfCopied,
  "full disk of which little is deleted": littleOfEach,
} as const satisfies Record<string, (seed: number) => Promise<void>>
