/** Steps of twins about appends, and about objects that consist of the bytes of others. */
import type { MultipartId, ObjectKey } from "@hayloft/base/ids.js"
import type { Bucket, NamedSource } from "@hayloft/objects/index.js"
import type { ModelServices } from "../model/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { noSignal, sourceOf } from "./bodies.js"

interface DrawnAppend {
  readonly key: ObjectKey
  readonly bytes: Uint8Array
  readonly atOffset: number | undefined
  readonly appendId: string | undefined
}

const ATTRIBUTES = { headers: { contentType: "text/x" }, userMetadata: [] }

/** Mostly wherever the end is. */
const drawAppend = (random: Random, key: ObjectKey): DrawnAppend => ({
  key,
  bytes: random.bytes([1, 50, 3_000, 140_000][random.below(4)] ?? 1),
  atOffset: random.below(4) === 0 ? [0, 1, 100][random.below(3)] : undefined,
  appendId: random.below(3) === 0 ? `id${random.below(3)}` : undefined,
})

const append = ({ appends }: ModelServices, bucket: Bucket, drawn: DrawnAppend) => {
  const { key, bytes, atOffset, appendId } = drawn
  const request = { bucket, key, atOffset, appendId, attributes: ATTRIBUTES, tags: [], conditions: {} }
  return appends.append({ ...request, body: sourceOf(bytes, 50_000), signal: noSignal })
}

/** One to three objects, some with a range. */
const drawSources = (random: Random, key: () => ObjectKey): readonly NamedSource[] =>
  Array.from({ length: 1 + random.below(3) }, () => {
    const first = random.below(3_000)
    const last = random.below(2) === 0 ? undefined : first + random.below(100_000)
    const range = random.below(3) === 0 ? ({ kind: "fromTo", first, last } as const) : undefined
    return { key: key(), conditions: {}, range }
  })

async function join({ multipart }: ModelServices, bucket: Bucket, key: ObjectKey, sources: readonly NamedSource[]) {
  const created = { attributes: ATTRIBUTES, tags: [], acl: undefined, checksum: undefined }
  const { multipartId } = await multipart.create({ bucket, key, ...created, initiator: undefined, lock: undefined })
  try {
    return await complete(multipart, { bucket, key, multipartId }, sources)
  } catch (error) {
    await multipart.abort({ bucket, key, multipartId })
    throw error
  }
}

const complete = (
  multipart: ModelServices["multipart"],
  target: { readonly bucket: Bucket; readonly key: ObjectKey; readonly multipartId: MultipartId },
  sources: readonly NamedSource[],
) =>
  multipart.complete({
    ...target,
    parts: [],
    sources,
    conditions: {},
    sizeBytes: undefined,
    checksum: undefined,
    checksumType: undefined,
    signal: noSignal,
  })

/** Asks both sides, and compares what they answer. */
export type Ask = (what: string, ask: (services: ModelServices, bucket: Bucket) => Promise<unknown>) => Promise<unknown>

export async function appendStep(random: Random, key: () => ObjectKey, ask: Ask): Promise<void> {
  const drawn = drawAppend(random, key())
  const what = `append ${drawn.key} ${drawn.bytes.length} at ${drawn.atOffset} as ${drawn.appendId}`
  await ask(what, (services, bucket) => append(services, bucket, drawn))
}

export async function joinStep(random: Random, key: () => ObjectKey, ask: Ask): Promise<void> {
  const [to, sources] = [key(), drawSources(random, key)]
  await ask(`join ${to} of ${JSON.stringify(sources)}`, (services, bucket) => join(services, bucket, to, sources))
}
