/** Real accounts, keys and identities over rows in memory, for tests of what shows and changes them. */
import { MasterKeys, openAccess } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import { parseAccessKeyId, type AccountId } from "@hayloft/base/ids.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { AdminServices } from "./operation.js"

/** The policy facts of a store without actions. */
export const NO_POLICY_FACTS: AdminServices["policyFacts"] = {
  knownActions: new Map(),
  decideS3: async () => {
    throw fail("notImplemented")
  },
  nowMs: () => 7,
}

/** The links of a store without keys. */
export const LINKS: AdminServices["links"] = {
  keyOf: () => undefined,
  endpoint: () => "http://127.0.0.1:9000",
  sign: () => "",
  nowMs: () => 7,
}

/** Two empty disks; the second has a device of the store in memory by now. */
export const FREE_DISKS: Awaited<ReturnType<AdminServices["freeDisks"]>> = ["9", "2049"].map(disk => ({
  mount: `/mnt/${disk}`,
  path: `/mnt/${disk}/hayloft`,
  source: "/dev/sdb1",
  fileSystemKind: "xfs",
  disk,
  isOnSystem: false,
  totalBytes: 100,
  freeBytes: 90,
}))

/** `ensureRoot` of its accounts creates the account. */
export function accessInMemory(accountId: AccountId) {
  const root = { accountId, accessKeyId: parseAccessKeyId("HLROOT"), secret: "root-secret", createdMs: 1 }
  const masterKeys = new MasterKeys(new Uint8Array(32).fill(9))
  return openAccess(new SimRandom(7), new MemoryMetadata(), masterKeys, root)
}
