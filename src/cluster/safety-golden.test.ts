/**
 * Golden judgements: one checksum for each 50 random stores of up to 32 devices, recorded while a set of devices was the
 * bits of one number. The judgement of a store must not change with how it is computed.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SimRandom } from "../seams/random/sim.js"
import { xxh64 } from "../simd/xxh64.js"
import { judgeSafety } from "./safety-core.js"
import { randomState } from "./testing-safety.js"

const STATES_OF_CHECKSUM = 50

const GOLDEN: readonly string[] = [
  "eceb414095f79398",
  "d54f0cc91fb0f615",
  "fc7acaeffddda1bd",
  "0bb92dc3e3959ac3",
  "6d87df429c537580",
  "e0f14ce6fc480eac",
  "b20838ab29bcf9ee",
  "f5737a3cf4c0fc2d",
  "83e85087675a71a6",
  "57e1341178b394a1",
  "8fb32abb0881e5cf",
  "f1f8ff7d767df81c",
  "dc3449199da24587",
  "424e156ccca251eb",
  "c066292f8f421a3c",
  "757e39dad3c6bd30",
  "aa74492b40bf5cc9",
  "cffcfbc2014181c6",
  "bc41d0144a066b60",
  "6c74dd9ac7eadc1b",
]

test("judges 1,000 stores of 1 to 32 devices as it always has", () => {
  const random = new SimRandom(20261122)
  const sums = Array.from({ length: 20 }, () => {
    const judged = Array.from({ length: STATES_OF_CHECKSUM }, () => {
      const devices = 1 + random.below(32)
      const size = { devices, width: 32, partitions: 1 + random.below(40), holders: 1 + random.below(devices) }
      return judgeSafety(randomState(random, size))
    })
    return xxh64(Buffer.from(JSON.stringify(judged)))
      .toString(16)
      .padStart(16, "0")
  })
  assert.deepEqual(sums, GOLDEN)
})
