/** Tables for tests: rows of a source, and files in a simulated disk. */
import { RealDisk } from "@hayloft/base/seams/disk/index.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { buildTable, type BuildOptions } from "./build-table.js"

export type Pair = readonly [key: Uint8Array, value: Uint8Array]

const BATCH_ROWS = 500

async function* batchesOf(pairs: readonly Pair[]) {
  for (let from = 0; from < pairs.length; from += BATCH_ROWS)
    yield pairs.slice(from, from + BATCH_ROWS).map(([key, value], i) => ({ key, value, line: from + i + 1 }))
}

const random = new SimRandom(TEST_SEED).fork("tables")

export const buildOf = (
  path: string,
  pairs: readonly Pair[],
  options: Partial<BuildOptions> = {},
  disk: Disk = new RealDisk(),
): Promise<void> => buildTable({ disk, random }, path, batchesOf(pairs), { values: "bytes", ...options })
