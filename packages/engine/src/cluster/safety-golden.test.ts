/**
 * Golden evaluations: one checksum for each 50 random stores of up to 32 devices, recorded with an earlier
 * implementation. The evaluation of a store must not change with how it is computed.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"
import { evaluateSafety } from "./safety-core.js"
import { randomState } from "./testing-safety.js"

const STATES_OF_CHECKSUM = 50

const GOLDEN: readonly string[] = [
  "4911e39560789e5f",
  "70800cf5c71ef5f2",
  "8d9cc718269bf7d8",
  "10eacf72f06ae876",
  "9da40bce2670e41b",
  "567633be8d98e3dd",
  "9ba12137c65e7943",
  "c62ff22b2e460a52",
  "3d2eeaca49da90cd",
  "b70b1ed0e9419fab",
  "886c84034f54d5c8",
  "15c94f9a173dccba",
  "cd3c1a7e10ca197f",
  "41d9760528e731c5",
  "30b576870a98280b",
  "ffd3132c0e9474b6",
  "20b80da26f1c0287",
  "d993280a4db4b16c",
  "fb2dd4b15b2ddf72",
  "3c5135c29e8dc4ad",
]

test("evaluates 1,000 stores of 1 to 32 devices as recorded", () => {
  const random = new SimRandom(20261122)
  const sums = Array.from({ length: 20 }, () => {
    const checksummed = Array.from({ length: STATES_OF_CHECKSUM }, () => {
      const devices = 1 + random.below(32)
      const size = { devices, width: 32, partitions: 1 + random.below(40), holders: 1 + random.below(devices) }
      return evaluateSafety(randomState(random, size))
    })
    return xxh64(Buffer.from(JSON.stringify(checksummed)))
      .toString(16)
      .padStart(16, "0")
  })
  assert.deepEqual(sums, GOLDEN)
})
