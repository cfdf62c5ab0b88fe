/**
 * Encryption in the headers of requests and answers: SSE-S3, SSE-KMS and SSE-C. Pure.
 *
 * Promises  A request that states its encryption incompletely or contradictorily is refused; nothing is guessed. The key of
 *           a client is in no message, and no detail of a failure.
 * Refuses   Mostly with `invalidArgument`, with S3's messages. `aws:kms:dsse` is refused by name.
 * Source    "PutObject", "GetObject", "UploadPart", Amazon S3 API Reference; "Specifying server-side encryption with
 *           customer-provided keys", Amazon S3 User Guide. S3 names x-amz-server-side-encryption as the argument also
 *           where another of these headers is wrong.
 */
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { RememberedByObject } from "@hayloft/base/remembered.js"
import type { Headers, HeaderShape, RequestHeaders } from "@hayloft/base/http/request-headers.js"
import type { ShownEncryption } from "@hayloft/objects/contract.js"
import type { Compute } from "@hayloft/base/seams/compute/contract.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

export const ENCRYPTION_HEADER = "x-amz-server-side-encryption"
const KEY_ID = `${ENCRYPTION_HEADER}-aws-kms-key-id`
const CONTEXT = `${ENCRYPTION_HEADER}-context`
const BUCKET_KEY = `${ENCRYPTION_HEADER}-bucket-key-enabled`
const OF_THE_SERVER = [ENCRYPTION_HEADER, KEY_ID, CONTEXT, BUCKET_KEY]

const CUSTOMER = `${ENCRYPTION_HEADER}-customer-`
const SOURCE_CUSTOMER = `x-amz-copy-source-server-side-encryption-customer-`
const CUSTOMER_PARTS = ["algorithm", "key", "key-md5"] as const

/** All of them, for the table of headers. */
export const ENCRYPTION_HEADERS: readonly string[] = [
  ...OF_THE_SERVER,
  ...CUSTOMER_PARTS.map(part => `${CUSTOMER}${part}`),
  ...CUSTOMER_PARTS.map(part => `${SOURCE_CUSTOMER}${part}`),
]

/** Headers that contain a secret: a URL must not. */
export const SECRET_HEADERS: readonly string[] = [`${CUSTOMER}key`, `${SOURCE_CUSTOMER}key`]

const KEY_BYTES = 32
const KEY_ID_CHARACTERS_MAX = 2048
const CONTEXT_CHARACTERS_MAX = 2048
/** The name of the pair that S3 adds to a context itself. */
export const OBJECT_ARN = "aws:s3:arn"

/** Pairs of an encryption context. */
export type EncryptionContextMap = Readonly<Record<string, string>>

/** The encryption that a request states for what it writes. */
export type StatedEncryption =
  | { readonly mode: "s3" }
  | {
      readonly mode: "kms"
      /** An id, an ARN or an alias; undefined: the account's own key for S3. */
      readonly keyId: string | undefined
      readonly context: EncryptionContextMap
      /** It is undefined if the bucket's setting decides. */
      readonly usesBucketKey: boolean | undefined
    }
  | { readonly mode: "client"; readonly key: Uint8Array }

/** The default of the bucket applies; if that is SSE-KMS, the request may choose whether a bucket key is used. */
interface UnstatedEncryption {
  readonly mode: "default"
  readonly usesBucketKey: boolean | undefined
}

type Hash = Compute["hash"]

const hasKey = (headers: Headers, prefix: string): boolean =>
  CUSTOMER_PARTS.some(part => headers.has(`${prefix}${part}`))

/** Returns true if a request has headers of SSE-C, complete or not. */
export const hasClientKey = (headers: Headers): boolean => hasKey(headers, CUSTOMER)

/** Returns true if a request has headers of SSE-C, for the object itself or for the source of a copy. */
export const hasAnyClientKey = (headers: Headers): boolean => hasClientKey(headers) || hasKey(headers, SOURCE_CUSTOMER)

const refusal = (message: string, value: string | undefined): Failure =>
  fail("invalidArgument", {
    message,
    argumentName: ENCRYPTION_HEADER,
    argumentValue: value === undefined ? "null" : value.slice(0, 80),
  })

/** Throws `invalidArgument`, `invalidEncryptionAlgorithm`, `notImplemented`. */
export function encryptionIn(headers: Headers, hash: Hash): StatedEncryption | UnstatedEncryption {
  const method = headers.get(ENCRYPTION_HEADER)
  if (hasClientKey(headers)) {
    checkNoMethodBesides(headers)
    const key = keyIn(headers, CUSTOMER, hash)
    if (key !== undefined) return { mode: "client", key }
  }
  const usesBucketKey = usesBucketKeyIn(headers)
  if (method === "aws:kms:dsse") {
    const message = "Dual-layer server-side encryption (aws:kms:dsse) is not implemented."
    throw fail("notImplemented", { header: ENCRYPTION_HEADER, message })
  }
  if (method === "aws:kms") {
    return { mode: "kms", keyId: keyIdIn(headers), context: contextIn(headers), usesBucketKey }
  }
  if (method !== undefined && method !== "AES256") {
    throw refusal("The encryption method specified is not supported", method)
  }
  if (headers.has(KEY_ID) || headers.has(CONTEXT)) {
    const message = `Server Side Encryption with AWS KMS managed key requires HTTP header ${ENCRYPTION_HEADER} : aws:kms`
    throw refusal(message, method)
  }
  // For SSE-S3 it has no meaning, as in the setting of a bucket.
  return method === undefined ? { mode: "default", usesBucketKey } : { mode: "s3" }
}

function checkNoMethodBesides(headers: Headers): void {
  const method = OF_THE_SERVER.find(name => name !== BUCKET_KEY && headers.has(name))
  if (method === undefined) return
  const message =
    "Server Side Encryption with Customer provided key is incompatible with the encryption method specified"
  throw refusal(message, headers.get(ENCRYPTION_HEADER))
}

/** The key of SSE-C. Throws `invalidArgument`, `invalidEncryptionAlgorithm`. */
export const clientKeyIn = (headers: Headers, hash: Hash): Uint8Array | undefined => keyIn(headers, CUSTOMER, hash)

/** The key of the source of a copy. Throws as `clientKeyIn`. */
export const sourceKeyIn = (headers: Headers, hash: Hash): Uint8Array | undefined =>
  keyIn(headers, SOURCE_CUSTOMER, hash)

const unusable = (what: string): Failure =>
  refusal(`Requests specifying Server Side Encryption with Customer provided keys must provide ${what}.`, undefined)

function keyIn(headers: Headers, prefix: string, hash: Hash): Uint8Array | undefined {
  const [algorithm, keyText, md5Text] = CUSTOMER_PARTS.map(part => headers.get(`${prefix}${part}`))
  if (!hasKey(headers, prefix)) return undefined
  if (algorithm === undefined) throw unusable("a valid encryption algorithm")
  if (algorithm !== "AES256") {
    throw fail("invalidEncryptionAlgorithm", {
      argumentName: ENCRYPTION_HEADER,
      argumentValue: algorithm.slice(0, 80),
    })
  }
  if (keyText === undefined) throw unusable("an appropriate secret key")
  if (md5Text === undefined) throw unusable("the client calculated MD5 of the secret key")
  const key = decoded(keyText)
  const md5 = key && hash({ md5: true, sha256: false, checksum: undefined }, key).md5
  // S3 compares the digest first, so a key of another length with its digest is reported as such.
  if (md5 !== undefined && !equalBytes(md5, decoded(md5Text) ?? new Uint8Array())) {
    throw refusal("The calculated MD5 hash of the key did not match the hash that was provided.", undefined)
  }
  if (key?.length !== KEY_BYTES) throw refusal("The secret key was invalid for the specified algorithm.", undefined)
  return key
}

/** Throws `invalidArgument`. */
function usesBucketKeyIn(headers: Headers): boolean | undefined {
  const text = headers.get(BUCKET_KEY)
  const word = text?.toLowerCase()
  if (word === undefined) return undefined
  if (word === "true" || word === "false") return word === "true"
  throw fail("invalidArgument", {
    message: `Value for ${BUCKET_KEY} header is invalid.`,
    argumentName: BUCKET_KEY,
    argumentValue: text?.slice(0, 80),
  })
}

/** Throws `invalidArgument`. */
function keyIdIn(headers: Headers): string | undefined {
  const keyId = headers.get(KEY_ID)
  if (keyId === undefined || keyId === "") return undefined
  if (keyId.length <= KEY_ID_CHARACTERS_MAX) return keyId
  throw fail("invalidArgument", { message: `${KEY_ID} is too long.`, argumentName: KEY_ID })
}

const NO_CONTEXT: EncryptionContextMap = {}

/** Throws `invalidArgument`. */
function contextIn(headers: Headers): EncryptionContextMap {
  const text = headers.get(CONTEXT)
  if (text === undefined) return NO_CONTEXT
  const pairs = text.length <= CONTEXT_CHARACTERS_MAX ? pairsOf(text) : undefined
  if (pairs !== undefined && !Object.hasOwn(pairs, OBJECT_ARN)) return pairs
  const form = "Base64-encoded UTF-8 string holding JSON which represents a string-string map"
  throw fail("invalidArgument", {
    message:
      pairs === undefined ? `The header '${CONTEXT}' shall be ${form}` : `The context must not contain '${OBJECT_ARN}'`,
    argumentName: CONTEXT,
    argumentValue: text.slice(0, 80),
  })
}

function pairsOf(text: string): EncryptionContextMap | undefined {
  const bytes = decoded(text)
  if (bytes === undefined) return undefined
  try {
    return pairsIn(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
  } catch {
    return undefined
  }
}

/** Returns undefined for anything but a JSON object of texts. */
function pairsIn(json: string): EncryptionContextMap | undefined {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    return undefined
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined
  const pairs = Object.entries(value)
  if (!pairs.every((pair): pair is [string, string] => typeof pair[1] === "string")) return undefined
  return Object.fromEntries(pairs)
}

/** Decodes exact base64; undefined for any other text. */
function decoded(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, "base64")
  return bytes.toString("base64") === text ? bytes : undefined
}

/** Throws `invalidArgument` for what only a request that begins an object may state. */
export function checkNoMethod(headers: Headers): void {
  const name = OF_THE_SERVER.find(header => headers.has(header))
  if (name === undefined) return
  throw fail("invalidArgument", {
    message: `${name} header is not supported for this operation.`,
    argumentName: name,
    argumentValue: headers.get(name)?.slice(0, 80),
  })
}

/** Which headers an answer has: S3 shows a context only where it was given, and no client's key after a completion. */
export interface ShownParts {
  readonly context?: boolean
  readonly clientKey?: boolean
}

/** The pairs that the client gave. */
function contextFields(text: string | undefined): readonly HeaderField[] {
  const given = Object.entries(pairsIn(text ?? "{}") ?? {}).filter(([name]) => name !== OBJECT_ARN)
  if (given.length === 0) return []
  return [[CONTEXT, Buffer.from(JSON.stringify(Object.fromEntries(given))).toString("base64")]]
}

/** The headers of an answer. `headers`: those of the request, whose client's key was checked. */
export function encryptionFields(
  shown: ShownEncryption | undefined,
  headers: Headers,
  { context = false, clientKey = true }: ShownParts = {},
): readonly HeaderField[] {
  if (shown === undefined) return []
  switch (shown.mode) {
    case "s3":
      return [[ENCRYPTION_HEADER, "AES256"]]
    case "client": {
      const md5 = headers.get(`${CUSTOMER}key-md5`)
      if (!clientKey || md5 === undefined) return []
      return [
        [`${CUSTOMER}algorithm`, "AES256"],
        [`${CUSTOMER}key-MD5`, md5],
      ]
    }
    case "kms":
      return [
        [ENCRYPTION_HEADER, "aws:kms"],
        [KEY_ID, shown.keyArn],
        // S3 omits it where it is false.
        ...(shown.usesBucketKey ? [[BUCKET_KEY, "true"] as const] : []),
        ...(context ? contextFields(shown.context) : []),
      ]
  }
}

/** Tells whether requests have such headers. Most have none, so this is computed once for each set of names. */
export class EncryptionHeaders {
  private readonly known = new RememberedByObject(({ uniqueNames }: HeaderShape): "yes" | "no" =>
    uniqueNames.some(name => ENCRYPTION_HEADERS.includes(name)) ? "yes" : "no",
  )

  areIn({ shape }: RequestHeaders): boolean {
    return this.known.of(shape) === "yes"
  }
}
