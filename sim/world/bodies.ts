/**
 * Bodies: each write's bytes identify the write, so that any byte read back proves its origin.
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { ObjectKey } from "@hayloft/base/ids.js"
import type { Engine } from "@hayloft/node/engine.js"
import type { BodySource, Bucket, GetRequest, ObjectInfo } from "@hayloft/objects/index.js"
import { CheckFailed } from "./checks.js"

export const noSignal = new AbortController().signal
const HEAD_BYTES = 32

/** Bytes that begin with `name` and continue with a pattern derived from it. */
export function bodyBytes(name: string, lengthBytes: number): Buffer {
  const body = Buffer.alloc(lengthBytes)
  let state = 0x9e37_79b9
  for (let i = 0; i < name.length; i += 1) state = Math.imul(state ^ name.charCodeAt(i), 0x85eb_ca6b)
  for (let at = 0; at < lengthBytes; at += 1) {
    state = (Math.imul(state, 0x0019_660d) + 0x3c6e_f35f) | 0
    body[at] = state >>> 24
  }
  body.write(`${name} ${lengthBytes}`.padEnd(HEAD_BYTES).slice(0, HEAD_BYTES), 0, "latin1")
  return body
}

/** Returns the name of the write that wrote these bytes. Throws if they are not one whole write. */
export function nameOfBody(body: Uint8Array): string {
  const [name = "", length = ""] = Buffer.from(body.subarray(0, HEAD_BYTES)).toString("latin1").trimEnd().split(" ")
  const expected = bodyBytes(name, Number(length) || 0)
  if (Buffer.compare(expected, body) === 0) return name
  throw new CheckFailed("noPartialWrites", `${body.length} bytes that begin with "${name} ${length}"`)
}

export function sourceOf(bytes: Uint8Array, pieceBytes = 10_000, gap?: () => Promise<void>): BodySource {
  return {
    lengthBytes: bytes.length,
    declaredChecksum: () => undefined,
    // Bodies of even length are passed whole, those of odd length are streamed.
    gather: () => (gap || bytes.length % 2 === 1 ? undefined : bytes),
    async *open() {
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        await gap?.()
        yield bytes.subarray(at, at + pieceBytes)
      }
    },
  }
}

export const putRequest = (bucket: Bucket, key: ObjectKey, body: BodySource) => ({
  bucket,
  key,
  attributes: { headers: {}, userMetadata: [] },
  tags: [],
  conditions: {},
  body,
  signal: noSignal,
})

export interface Got {
  readonly info: ObjectInfo
  readonly bytes: Buffer
}

/** A thread that serves requests: of the engine, or a front. */
export type Server = Pick<Engine, "services">

/** Only pieces that are lent to their reader are from copies. */
export const pieceOwner = ({ services }: Server) => (services.core.blocks.hotCopies === undefined ? "caller" : "reader")

export async function get(engine: Server, request: GetRequest): Promise<Got> {
  const body = await engine.services.objects.get(request)
  const pieces: Uint8Array[] = []
  for await (const piece of body.read(noSignal, pieceOwner(engine))) pieces.push(Uint8Array.from(piece))
  return { info: body.info, bytes: Buffer.concat(pieces) }
}

/** Returns undefined if the object does not exist. */
export async function find(engine: Server, bucket: Bucket, key: ObjectKey): Promise<Got | undefined> {
  try {
    return await get(engine, { bucket, key, conditions: {} })
  } catch (error) {
    if (isFailure(error, "noSuchKey")) return undefined
    throw error
  }
}
