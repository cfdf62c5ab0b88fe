/**
 * A temporary bucket for a load, with a unique name; it is removed with its contents in the end, even if the work
 * failed or was interrupted.
 */
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { RemoteFailure } from "../remote.js"
import { DELETE_KEYS_MAX, S3Client } from "../s3-client.js"
import type { S3Access } from "../signed-call.js"

const NAME_BYTES = 8
const ATTEMPTS_MAX = 10
const BETWEEN_MS = 100

export async function withScratchBucket<T>(
  access: S3Access,
  clock: Clock,
  random: Random,
  signal: AbortSignal,
  use: (bucket: string) => Promise<T>,
): Promise<T> {
  const bucket = `hayloft-bench-${Buffer.from(random.bytes(NAME_BYTES)).toString("hex")}`
  // Not interruptible: otherwise it would be unknown whether the bucket exists.
  const client = new S3Client(access, clock, new AbortController().signal)
  try {
    await client.createBucket(bucket)
  } finally {
    client.close()
  }
  try {
    signal.throwIfAborted()
    return await use(bucket)
  } finally {
    await removeBucket(access, clock, bucket)
  }
}

/** Uses its own signal, so that interrupted work is cleaned up too. */
async function removeBucket(access: S3Access, clock: Clock, bucket: string): Promise<void> {
  const { signal } = new AbortController()
  const client = new S3Client(access, clock, signal)
  try {
    for (let attempt = 1; ; attempt += 1) {
      await empty(client, bucket)
      try {
        return await client.removeBucket(bucket)
      } catch (error) {
        // A put whose client has gone may still arrive.
        const isLate = error instanceof RemoteFailure && error.status === 409
        if (!isLate || attempt === ATTEMPTS_MAX) throw error
        await clock.sleep(BETWEEN_MS * attempt, signal)
      }
    }
  } finally {
    client.close()
  }
}

async function empty(client: S3Client, bucket: string): Promise<void> {
  const keys: string[] = []
  const flush = () => client.removeMany(bucket, keys.splice(0))
  for await (const { key } of client.keys(bucket, "")) {
    keys.push(key)
    if (keys.length === DELETE_KEYS_MAX) await flush()
  }
  if (keys.length > 0) await flush()
}
