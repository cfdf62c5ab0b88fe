/** The reads and writes of a store before its first request. */
import type { Access } from "@hayloft/access/index.js"
import { checkEpochs } from "@hayloft/access/keys/index.js"
import type { CoreServices } from "@hayloft/objects/index.js"
import type { RecordEpochKeys } from "./control/epoch-keys.js"

export async function beginServing(
  { storeClock, buckets, tablet }: CoreServices,
  { accounts }: Access,
  epochs: RecordEpochKeys,
): Promise<void> {
  await epochs.start()
  // Refused, instead of each request for an object of such a bucket.
  await checkEpochs(tablet, epochs)
  await storeClock.start()
  await accounts.ensureRoot()
  await buckets.start()
}
