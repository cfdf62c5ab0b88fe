/**
 * A story of each kind of disks in the hands of a nemesis: so many devices, and more or less lost than promised. Twenty
 * stories by `npm run check -- --full`, as many as you like by `npm run sim -- --kind disks --seeds 200`.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { DiskDrama, DRAMA, dramaOf } from "./disk-drama.js"

const isFullCheck = process.env["FULL_CHECK"] === "yes"
/** Five numbers of devices; every fourth seed loses more than the store promises to survive. */
const SEEDS = Array.from({ length: 20 }, (_, i) => i + 1)
const kindOf = (seed: number): string => `${dramaOf(seed).devices} ${String(dramaOf(seed).hasBudget)}`
const firstOfKind = SEEDS.filter((seed, i) => !SEEDS.slice(0, i).some(other => kindOf(other) === kindOf(seed)))
assert.equal(firstOfKind.length, 10)

for (const seed of isFullCheck ? SEEDS : firstOfKind) {
  const { devices, hasBudget } = dramaOf(seed)
  const promise = hasBudget ? "the store continues and becomes whole again" : "no wrong byte is read"
  test(`whatever happens to ${devices} disks, ${promise} (npm run sim -- --kind disks --seed ${seed})`, async () => {
    await new DiskDrama({ ...DRAMA, ...dramaOf(seed) }).run()
  })
}

test("the same seed gives the same run with disk faults", async () => {
  const stories: string[] = []
  for (let run = 0; run < 2; run += 1) {
    const drama = new DiskDrama({ ...DRAMA, ...dramaOf(77), devices: 3, rounds: 1 })
    await drama.run()
    stories.push([...drama.nemesis.story, drama.observer.story(), drama.summary].join("\n"))
  }
  assert.ok(stories[0]?.includes("/d"), "something happened to a disk")
  assert.equal(stories[0], stories[1])
})
