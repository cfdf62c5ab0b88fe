/**
 * Forms of request: the plain ones, and the same with the additions of real clients.
 *
 * `npm run bench -- --scenario forms` measures their processor time, `npm run request-cost` the files, functions and
 * calls behind each. A form builds its requests before the measurement, so that building them is not measured.
 */
import { presign } from "@hayloft/access/sigv4.js"
import { KIB, MIB, PART_BYTES_MIN } from "@hayloft/base/limits.js"
import { sizeText } from "@hayloft/cli/text.js"
import type { RawRequest } from "@hayloft/client/load/raw-connection.js"
import { wireOf, type ForgedRequest, type RequestForge } from "@hayloft/client/load/request-forge.js"
import { noiseOf, spreadKey } from "@hayloft/client/load/work-mix.js"
import type { OutgoingRequest } from "@hayloft/client/signed-call.js"
import { SHARED_BUCKET, type FormStore, type PlainStore } from "./form-store.js"
import { BUCKET } from "./own-store.js"
import { signedChunks } from "./signed-chunks.js"
import { CHECKSUM_HEADER, crc32Text, unsignedChunkWithTrailer } from "./unsigned-chunks.js"

const CHUNK_BYTES = 64 * KIB
const PRESIGNED_SECONDS = 3600
/** The number of objects that one set of reads cycles through. */
const READ_KEYS = 200
const TAGS = [["x-amz-tagging", "team=storage&kind=report"]] as const
const USER_METADATA = [
  ["x-amz-meta-mtime", "1767225600.123456789"],
  ["x-amz-meta-md5chksum", "XrY7u+Ae7tCTyyK7j1rNww=="],
] as const

type Headers = NonNullable<OutgoingRequest["headers"]>

export interface RequestForm<Store = FormStore> {
  readonly name: string
  /** The form to compare with: the same request without the addition. */
  readonly plain?: string
  readonly isOverTls?: boolean
  /** Each request can be sent only once. */
  readonly isOnce?: boolean
  /** Few requests are sent, because they are large or need much preparation. */
  readonly isLarge?: boolean
  /** The length of each answer's body. */
  readonly answerBytes?: number
  /** Prepares the store and builds this many requests. */
  prepare(store: Store, count: number): Promise<readonly RawRequest[]>
}

/** Any store of S3 can answer it, if it is not by another account or over TLS. */
export type PlainForm = RequestForm<PlainStore>

type Build = (forge: RequestForge, request: OutgoingRequest, body: Buffer) => RawRequest

const whole: Build = (forge, request, body) => forge.forge({ ...request, body })
const inSignedChunks: Build = (forge, request, body) => signedChunks(forge, request, body, CHUNK_BYTES)

const times = <T>(count: number, make: (n: number) => T): T[] => Array.from({ length: count }, (_, n) => make(n))

interface PutOptions {
  readonly adds?: string
  readonly headers?: Headers
  readonly build?: Build
  readonly isByOther?: boolean
  readonly isOverTls?: boolean
}

const sized = (sizeBytes: number): string => sizeText(sizeBytes).replace(".0 ", " ")
const putName = (sizeBytes: number): string => `PUT ${sized(sizeBytes)}`

export function put(sizeBytes: number, options: PutOptions = {}): PlainForm {
  const { adds, headers = [], build = whole, isByOther = false, isOverTls = false } = options
  const plain = putName(sizeBytes)
  return {
    name: adds === undefined ? plain : `${plain} ${adds}`,
    ...(adds === undefined ? {} : { plain }),
    isOverTls,
    isLarge: sizeBytes >= MIB,
    async prepare(store, count) {
      const forge = isByOther ? await store.otherForge() : store.forge
      const bucket = isByOther ? SHARED_BUCKET : BUCKET
      const body = noiseOf(sizeBytes)
      const prefix = `put/${sizeBytes}/${adds ?? "plain"}/`.replaceAll(" ", "-")
      return times(count, n => build(forge, { method: "PUT", bucket, key: spreadKey(prefix, n), headers }, body))
    },
  }
}

interface ReadOptions {
  readonly adds?: string
  readonly method?: "GET" | "HEAD"
  readonly query?: NonNullable<OutgoingRequest["query"]>
  readonly headers?: Headers
  /** The objects have a checksum from their writer. */
  readonly hasChecksum?: boolean
  /** The number of objects that the reads cycle through. */
  readonly keys?: number
  readonly isPresigned?: boolean
  readonly isByOther?: boolean
  readonly isOverTls?: boolean
}

export function read(sizeBytes: number, options: ReadOptions = {}): PlainForm {
  const { adds, method = "GET", query = [], headers = [], isByOther = false, isOverTls = false } = options
  const { hasChecksum = false, isPresigned = false } = options
  const isLarge = sizeBytes >= MIB
  const { keys = isLarge ? 1 : READ_KEYS } = options
  const plain = `${method} ${sized(sizeBytes)}`
  const bucket = isByOther ? SHARED_BUCKET : BUCKET
  const prefix = `read/${sizeBytes}/${keys}/${hasChecksum ? "checksum/" : ""}`
  return {
    name: adds === undefined ? plain : `${plain} ${adds}`,
    ...(adds === undefined ? {} : { plain }),
    isOverTls,
    isLarge,
    answerBytes: method === "HEAD" ? 0 : sizeBytes,
    async prepare(store, count) {
      const forge = isByOther ? await store.otherForge() : store.forge
      const body = noiseOf(sizeBytes)
      const checksum: Headers = hasChecksum ? [[CHECKSUM_HEADER, crc32Text(body)]] : []
      const at = (n: number) => ({ bucket, key: spreadKey(prefix, n % keys) })
      await store.fill(`${bucket}/${prefix}`, () =>
        times(keys, n => whole(store.forge, { method: "PUT", ...at(n), headers: checksum }, body)),
      )
      const make = (request: ForgedRequest): RawRequest =>
        isPresigned ? presigned(forge, request) : forge.forge(request)
      return times(count, n => make({ method, ...at(n), query, headers }))
    },
  }
}

/** With the signature in the query. */
function presigned(forge: RequestForge, request: OutgoingRequest): RawRequest {
  const { method, rawTarget } = forge.sign(request)
  const rawHeaders = ["host", forge.endpoint.host]
  const { accessKeyId, secretAccessKey: secret, region } = forge.access
  const credentials = { accessKeyId, secret, region, service: "s3" }
  const target = presign({ method, rawTarget, rawHeaders }, PRESIGNED_SECONDS, credentials, forge.nowMs)
  return { bytes: wireOf({ method, rawTarget: target, rawHeaders }), isHead: method === "HEAD" }
}

const remove: RequestForm = {
  name: "DELETE",
  isOnce: true,
  async prepare(store, count) {
    const at = (n: number) => ({ bucket: BUCKET, key: spreadKey("removed/", n) })
    await store.sendAll(times(count, n => whole(store.forge, { method: "PUT", ...at(n) }, noiseOf(KIB))))
    return times(count, n => store.forge.forge({ method: "DELETE", ...at(n) }))
  },
}

export function list(keys: number): PlainForm {
  const prefix = `listed-${keys}/`
  const query = [
    ["list-type", "2"],
    ["prefix", prefix],
  ] as const
  return {
    name: `LIST of ${keys} keys`,
    async prepare(store, count) {
      const make = (n: number) => ({ method: "PUT", bucket: BUCKET, key: spreadKey(prefix, n) })
      await store.fill(prefix, () => times(keys, n => whole(store.forge, make(n), noiseOf(KIB))))
      return times(count, () => store.forge.forge({ method: "GET", bucket: BUCKET, query }))
    },
  }
}

function uploadPart(sizeBytes: number): RequestForm {
  const body = noiseOf(sizeBytes)
  return {
    name: `UploadPart ${sized(sizeBytes)}`,
    plain: putName(sizeBytes),
    async prepare(store, count) {
      const at = { bucket: BUCKET, key: "parts" }
      const uploadId = await store.store.client.createMultipart(at)
      const query = (n: number) =>
        [
          ["partNumber", String(n + 1)],
          ["uploadId", uploadId],
        ] as const
      return times(count, n => whole(store.forge, { method: "PUT", ...at, query: query(n) }, body))
    },
  }
}

const completeUpload: RequestForm = {
  name: "CompleteMultipartUpload of 2 parts",
  isOnce: true,
  isLarge: true,
  async prepare(store, count) {
    const { client } = store.store
    const bodies = [noiseOf(PART_BYTES_MIN), noiseOf(KIB)]
    const requests: RawRequest[] = []
    for (let n = 0; n < count; n += 1) {
      const at = { bucket: BUCKET, key: spreadKey("completed/", n) }
      const uploadId = await client.createMultipart(at)
      const parts: string[] = []
      for (const [i, body] of bodies.entries()) {
        const etag = await client.putPart({ ...at, uploadId, partNumber: i + 1, body })
        parts.push(`<Part><PartNumber>${i + 1}</PartNumber><ETag>"${etag}"</ETag></Part>`)
      }
      const text = `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts.join("")}</CompleteMultipartUpload>`
      requests.push(whole(store.forge, { method: "POST", ...at, query: [["uploadId", uploadId]] }, Buffer.from(text)))
    }
    return requests
  },
}

/** MinIO's clients send puts over HTTP like this. */
export const IN_SIGNED_CHUNKS = { adds: "in signed chunks", build: inSignedChunks } as const
const BY_OTHER = { adds: "by another account, bucket policy", isByOther: true }
const CHECKSUM_MODE = { headers: [["x-amz-checksum-mode", "ENABLED"]], hasChecksum: true } as const

/** Decorated forms follow their plain form; forms over TLS come last, because the store restarts for them. */
export const FORMS: readonly RequestForm[] = [
  read(KIB),
  read(KIB, { adds: "with x-amz-checksum-mode", ...CHECKSUM_MODE }),
  read(KIB, { adds: "with ?versionId=null", query: [["versionId", "null"]] }),
  read(KIB, { adds: "presigned", isPresigned: true }),
  read(KIB, BY_OTHER),
  read(KIB, { method: "HEAD" }),
  list(50),
  list(100),
  read(9 * MIB),
  remove,
  put(KIB),
  put(KIB, { adds: "with x-amz-tagging", headers: TAGS }),
  put(KIB, { adds: "with user metadata", headers: USER_METADATA }),
  put(KIB, BY_OTHER),
  put(4 * KIB),
  put(4 * KIB, IN_SIGNED_CHUNKS),
  put(4 * KIB, { adds: "in unsigned chunks with trailer", build: unsignedChunkWithTrailer }),
  put(32 * KIB),
  put(64 * KIB),
  uploadPart(64 * KIB),
  put(9 * MIB),
  completeUpload,
  read(KIB, { adds: "over TLS", isOverTls: true }),
  put(KIB, { adds: "over TLS", isOverTls: true }),
]
