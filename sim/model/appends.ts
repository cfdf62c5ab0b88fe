/** The model's appends: an object gets more bytes. */
import { concatBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import { parseMultipartId } from "@hayloft/base/ids.js"
import type { Watcher } from "@hayloft/base/life/index.js"
import { WATCH_LIMITS } from "@hayloft/objects/change-watch.js"
import { requireAppends } from "@hayloft/features/appends/append-commands-core.js"
import type { AppendedObject, AppendRequest, Appends } from "@hayloft/features/appends/index.js"
import type { StoredChecksum } from "@hayloft/objects/contract.js"
import { readBody } from "./bodies.js"
import { checkWrite } from "./conditions.js"
import { DEFAULT_CHECKSUM, fullChecksum, hex } from "./digests.js"
import { commit } from "./objects.js"
import type { ModelObject, ModelState } from "./state.js"
import { currentOf } from "./state.js"

/** Offsets of the appends that had an id, by that id. */
type Done = ReadonlyMap<string, number>

export class ModelAppends implements Appends {
  readonly #done = new WeakMap<Uint8Array, Done>()

  constructor(private readonly state: ModelState) {}

  async append(request: AppendRequest): Promise<AppendedObject> {
    const { key, appendId } = request
    const before = this.#check(request)
    const repeated = before && this.#repeated(before, appendId)
    if (repeated !== undefined) return repeated
    const isFirst = before === undefined || before.body.length === 0
    const algorithm = isFirst ? DEFAULT_CHECKSUM : before.info.checksum?.algorithm
    const { bytes, checksum } = await readBody(request.body, algorithm)
    if (bytes.length === 0) throw fail("invalidRequest")
    const object = this.#check(request)
    const repeatedMeanwhile = object && this.#repeated(object, appendId)
    if (repeatedMeanwhile !== undefined) return repeatedMeanwhile
    const body = concatBytes([object?.body ?? new Uint8Array(), bytes])
    const result = commit(this.state, this.state.open(request.bucket), key, {
      storageClass: "STANDARD",
      ...request.attributes,
      tags: request.tags,
      acl: request.acl,
      ...(object && { ...object.info, tags: object.tags, acl: object.acl }),
      etag: `${hex(this.state.random.bytes(16))}-1`,
      checksum: checksumOf(object, checksum, body),
      stream: object?.info.stream ?? parseMultipartId(hex(this.state.random.bytes(16))),

      partsCount: object?.parts === undefined ? 1 : object.info.partsCount,
      lock: undefined,
      protection: undefined,
      body,
      ...(object?.parts && { parts: object.parts }),
    })
    const offsetBytes = object?.body.length ?? 0
    const done = new Map((object && this.#done.get(object.body)) ?? [])
    if (appendId !== undefined) done.set(appendId, offsetBytes)
    this.#done.set(body, done)
    return { ...result, offsetBytes, isRepeated: false }
  }

  /** Wakes without a change too. */
  watch(): Watcher {
    const { clock } = this.state
    let cancel = (): void => undefined
    const watcher: Watcher = { wake: () => undefined, end: () => cancel() }
    const tick = (): void => {
      cancel = clock.alarm(WATCH_LIMITS.everyMs, tick)
      watcher.wake()
    }
    tick()
    return watcher
  }

  #check({ bucket, key, atOffset, conditions, appendId }: AppendRequest): ModelObject | undefined {
    const found = this.state.open(bucket)
    requireAppends(found.bucket)
    const latest = currentOf(found, key)
    const object = latest?.kind === "object" ? latest : undefined
    if (object && this.#repeated(object, appendId) !== undefined) return object
    checkWrite(conditions, latest)
    const sizeBytes = object?.body.length ?? 0
    if (object === undefined && atOffset !== undefined && atOffset > 0) throw fail("noSuchKey")
    if (atOffset !== undefined && atOffset !== sizeBytes) throw fail("invalidWriteOffset", { sizeBytes })
    if (object?.info.segmentListBytes !== undefined) throw fail("invalidRequest")
    if (object?.info.encryption !== undefined) throw fail("notImplemented")
    return object
  }

  #repeated({ body, info }: ModelObject, appendId: string | undefined): AppendedObject | undefined {
    const offsetBytes = appendId === undefined ? undefined : this.#done.get(body)?.get(appendId)
    if (offsetBytes === undefined) return undefined
    const { etag, checksum, sizeBytes, lastModifiedMs } = info
    return { versionId: undefined, etag, checksum, sizeBytes, lastModifiedMs, offsetBytes, isRepeated: true }
  }
}

/** An object keeps the checksum of all its bytes if what is appended has one by the same algorithm. */
function checksumOf(
  object: ModelObject | undefined,
  appended: StoredChecksum | undefined,
  body: Uint8Array,
): StoredChecksum | undefined {
  if (object === undefined || object.body.length === 0) return appended
  const { checksum } = object.info
  const isKept = checksum?.type === "FULL_OBJECT" && checksum.algorithm === appended?.algorithm
  return isKept && checksum.algorithm.startsWith("CRC") ? fullChecksum(checksum.algorithm, body) : undefined
}
