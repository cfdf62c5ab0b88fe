/** Runs with disk faults; more by `npm run sim -- --kind disks --seeds 200`. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { seedsOf } from "@hayloft/base/testing-seed.js"
import { DiskDrama, DRAMA, dramaOf } from "./disk-drama.js"

const ROUNDS = 2

for (const seed of seedsOf(3)) {
  const { devices, hasBudget } = dramaOf(seed)
  const promise = hasBudget ? "the store continues and restores its redundancy" : "no wrong byte is read"
  test(`whatever happens to ${devices} disks, ${promise} (npm run sim -- --kind disks --rounds ${ROUNDS} --seed ${seed})`, async () => {
    await new DiskDrama({ ...DRAMA, rounds: ROUNDS, ...dramaOf(seed) }).run()
  })
}

test("the same seed gives the same run with disk faults", async () => {
  const stories: string[] = []
  for (let run = 0; run < 2; run += 1) {
    const drama = new DiskDrama({ ...DRAMA, ...dramaOf(78), devices: 2, rounds: 1, clients: 2, lifeMsMax: 5_000 })
    await drama.run()
    stories.push([...drama.nemesis.story, drama.observer.story(), drama.summary].join("\n"))
  }
  assert.ok(stories[0]?.includes("/d"), "no disk event happened")
  assert.equal(stories[0], stories[1])
})
