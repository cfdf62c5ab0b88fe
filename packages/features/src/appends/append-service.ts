/**
 * Appends: bytes at the end of an object, by any number of clients at the same time, in one order.
 *
 * Promises  An append is there as a whole or not at all, at one offset, and is acknowledged once it is durable. One that a
 *           client repeats with its id, within `APPEND_LIMITS.repeatableMs`, is not there twice.
 */
import { must } from "@hayloft/base/assert.js"
import { bytesOfHex } from "@hayloft/base/bytes.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { ObjectKey } from "@hayloft/base/ids.js"
import { OFFSET_PART } from "@hayloft/base/limits.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import { multipartIdOf, RANDOM_BYTES } from "@hayloft/engine/format/objects/version-id.js"
import type { VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import type { Watcher } from "@hayloft/base/life/index.js"
import type { ChecksumAlgorithm } from "@hayloft/base/http/checksum-algorithms.js"
import { digestOnce } from "@hayloft/base/seams/compute/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { append, appendable, type Appendable, type AppendResult } from "./append-commands-core.js"
import { type Core, type Ingested, isOpenEnd } from "@hayloft/objects/door/index.js"
import {
  bodyOfSource,
  DEFAULT_CHECKSUM,
  type MovedBytes,
  packDetails,
  putResultOf,
  type SegmentBytes,
} from "@hayloft/objects/door/rows.js"
import type { BodySource, Bucket } from "@hayloft/objects/contract.js"
import type { AppendedObject, AppendRequest, Appends } from "./contract.js"

/** If a small object is replaced during every attempt, the failure is returned to the caller. */
const ATTEMPTS_MAX = 16
const ID_HASH_BYTES = 16
const ETAG_BYTES = 16

type AppendSeams = Pick<
  Core,
  "clock" | "storeClock" | "metadata" | "reader" | "ingest" | "objectWatch" | "encryptsAtRest"
>

/** Ends an append that was done before: its bytes are discarded. */
class Repeated extends Error {
  constructor(readonly result: AppendResult) {
    super("the append was done before")
  }
}

/** The bytes of an inline object, in blocks. */
interface Moved extends MovedBytes {
  readonly hints: Ingested["hints"]
}

/** Runs the decision. */
type Run = (moved: Moved | undefined) => Promise<AppendResult>

export class AppendService implements Appends {
  private readonly random: Random

  constructor(
    private readonly seams: AppendSeams,
    random: Random,
  ) {
    this.random = random.fork("appends")
  }

  async append(request: AppendRequest): Promise<AppendedObject> {
    const { metadata, ingest } = this.seams
    await ingest.expiring.refuseEarlier()
    const target = this.targetOf(request)
    const { repeated, record } = await metadata.ask(appendable(target, ingest.expiring.nowMs()))
    if (repeated !== undefined && record !== undefined) {
      const { checksumValue } = record
      return shownOf({ versioning: request.bucket.versioning, ...repeated, checksumValue, isRepeated: true })
    }
    this.checkRequest(request)
    const algorithm = algorithmOf(request.body, record)
    const bytes = { ...this.described(request, record), body: request.body, checksumAlgorithm: algorithm }
    try {
      return shownOf(
        await ingest.run(bytes, ingested => {
          if (ingested.lengthBytes === 0) throw emptyAppend()
          return this.commit(request, { ...target, algorithm }, ingested)
        }),
      )
    } catch (error) {
      if (error instanceof Repeated) return shownOf(error.result)
      throw error
    }
  }

  watch({ id }: Pick<Bucket, "id">, key: ObjectKey): Watcher {
    return this.seams.objectWatch.begin(objectRowKey(id, key))
  }

  private targetOf({ bucket, key, atOffset, appendId, conditions }: AppendRequest) {
    const idHash = appendId === undefined ? undefined : hashOf(appendId)
    const clockMs = this.seams.storeClock.nowMs()
    return { bucketId: bucket.id, key, atOffset, idHash, conditions, clockMs }
  }

  private checkRequest({ body, encryption }: AppendRequest): void {
    if (body.lengthBytes === 0) throw emptyAppend()
    if (encryption !== undefined || this.seams.encryptsAtRest)
      throw fail("notImplemented", { message: "appending to an encrypted object is not implemented" })
  }

  /** The object keeps its class. */
  private described(
    { bucket, key, attributes, signal, storageClass = "STANDARD" }: AppendRequest,
    record?: VersionRecord,
  ) {
    return {
      bucket,
      key,
      part: OFFSET_PART,
      multipartId: undefined,
      inlineBytesMax: 0,
      client: { signal },
      contentType: attributes.headers.contentType ?? "",
      userMetadata: [],
      isSegment: true as const,
      storageClass: record?.head.storageClass ?? storageClass,
    }
  }

  private async commit(
    request: AppendRequest,
    target: ReturnType<AppendService["targetOf"]> & { readonly algorithm: ChecksumAlgorithm | undefined },
    ingested: Ingested,
  ): Promise<AppendResult> {
    const { metadata, clock } = this.seams
    const { attributes, tags, acl, storageClass = "STANDARD" } = request
    const put = {
      ...target,
      bytes: bytesOf(ingested, request.body.lengthBytes),
      storageClass,
      details: packDetails({ ...attributes, tags, acl }),
      random: this.random.bytes(RANDOM_BYTES),
      multipartId: multipartIdOf(clock.wallMs() * 1000, this.random.bytes(RANDOM_BYTES)),
      md5: this.random.bytes(ETAG_BYTES),
    }
    const run: Run = async moved => {
      const hints = [...ingested.hints, ...(moved?.hints ?? [])]
      const result = await metadata.run(append({ ...put, moved, hints }))
      if (result.isRepeated) throw new Repeated(result)
      return result
    }
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.withMoved(request, target, run)
      } catch (error) {
        if (!isFailure(error, "conflict") || attempt === ATTEMPTS_MAX) throw error
      }
    }
  }

  /** Moves the bytes of an inline object to blocks first: segments have no payload. */
  private async withMoved(
    request: AppendRequest,
    target: ReturnType<AppendService["targetOf"]>,
    run: Run,
  ): Promise<AppendResult> {
    const { metadata, ingest, reader } = this.seams
    const { record }: Appendable = await metadata.ask(appendable(target, ingest.expiring.nowMs()))
    if (record?.content.kind !== "inline" || record.head.sizeBytes === 0) return run(undefined)
    return inBlocks({ reader, ingest }, request, record, moved => run(moved))
  }
}

/**
 * Writes the bytes of an inline object to blocks, since segments have no payload. `run` makes them reachable, if the object is
 * still the one with their order.
 */
export async function inBlocks<Result>(
  { reader, ingest }: Pick<AppendSeams, "reader" | "ingest">,
  { bucket, key, signal }: Pick<AppendRequest, "bucket" | "key" | "signal">,
  { head: { storageClass } }: Pick<VersionRecord, "head">,
  run: (moved: Moved) => Promise<Result>,
): Promise<Result> {
  const source = await reader.open({ bucket, key, conditions: {} })
  try {
    const { order } = source.opened.record.head
    const body = bodyOfSource(source, signal)
    const bytes = {
      bucket,
      key,
      part: OFFSET_PART,
      multipartId: undefined,
      inlineBytesMax: 0,
      client: { signal },
      body,
      contentType: "",
      userMetadata: [],
      isSegment: true as const,
      storageClass,
      checksumAlgorithm: undefined,
    }
    return await ingest.run(bytes, ingested =>
      run({ order, bytes: bytesOf(ingested, body.lengthBytes), hints: ingested.hints }),
    )
  } finally {
    source.close()
  }
}

/** The algorithm of the object, whose checksum goes on if the appended bytes have it too; otherwise that of the request. */
function algorithmOf(body: BodySource, record: VersionRecord | undefined): ChecksumAlgorithm | undefined {
  if (body.checksumAlgorithm !== undefined) return body.checksumAlgorithm
  // Bytes that follow others without a checksum cannot get one that covers all.
  return record === undefined || record.head.sizeBytes === 0 ? DEFAULT_CHECKSUM : record.head.checksumAlgorithm
}

function bytesOf({ content, lengthBytes, checksumValue }: Ingested, declaredBytes: number | undefined): SegmentBytes {
  const { extent } = must(content.kind === "extent" ? content : undefined, "appended bytes are in blocks")
  const isOpen = declaredBytes !== undefined && isOpenEnd(declaredBytes, extent.blockBytes)
  return { extent, lengthBytes, checksumValue, isOpen }
}

const emptyAppend = () => fail("invalidRequest", { message: "an append has at least one byte" })

const hashOf = (appendId: string): Uint8Array =>
  must(bytesOfHex(digestOnce("sha256", Buffer.from(appendId), "hex")), "a digest is hex").subarray(0, ID_HASH_BYTES)

function shownOf(result: AppendResult): AppendedObject {
  const { offsetBytes, isRepeated, checksumValue } = result
  return { ...putResultOf(result, checksumValue), offsetBytes, isRepeated }
}
