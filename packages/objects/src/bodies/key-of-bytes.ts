/**
 * The key of existing bytes: in a store that encrypts from some moment on, what has bytes from before gets a sealing first;
 * the bytes follow. See decision 56, "Existing objects".
 */
import { isSameSealing, type Sealing } from "@hayloft/engine/format/needles/sealing.js"
import type { ObjectKeys, Protection } from "@hayloft/access/keys/contract.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { addSealing, bytesToSeal, type SharedBytes } from "../commands/encrypt-commands-core.js"
import { factsOf } from "./encryption-core.js"

export const AT_REST: Protection = { mode: "atRest" }
/** The sealing of bytes, and their key. */
interface KeyOfBytes {
  readonly sealing: Sealing
  readonly key: Uint8Array
}

interface Seams {
  readonly metadata: Pick<Metadata, "ask" | "run">
  readonly keys: Pick<ObjectKeys, "create" | "open" | "bind">
}

/**
 * Gives what has these bytes a sealing, unless it has one; from then on new parts of an open upload are sealed.
 * Undefined: nothing has these bytes any more. Throws `conflict`, `keysUnavailable`.
 */
export async function keyOfBytes({ metadata, keys }: Seams, bytes: SharedBytes): Promise<KeyOfBytes | undefined> {
  const { bucketId, key } = bytes
  const { heads, isKept, sealing: before } = await metadata.ask(bytesToSeal(bytes))
  if (!isKept) return undefined
  if (before !== undefined) return { sealing: before, key: await keys.open(bucketId, before, undefined) }
  const created = await keys.create(bucketId, AT_REST)
  const binds = new Map<number, Uint8Array>()
  for (const head of heads) {
    const { bind } = await keys.bind(created.sealing, factsOf(bucketId, key, head))
    binds.set(head.order, bind)
  }
  const sealing = await metadata.run(addSealing({ ...bytes, sealing: created.sealing, binds }))
  if (sealing === undefined) return undefined
  if (isSameSealing(sealing, created.sealing)) return { sealing, key: created.key }
  return { sealing, key: await keys.open(bucketId, sealing, undefined) }
}
