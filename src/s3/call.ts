/**
 * A call: one request after it has been routed, authenticated and authorised, as operations see it;
 * and the answer that they give. Operations never touch sockets.
 */
import type { Account, Keyring } from "../access/contract.js"
import type { BucketName, ObjectKey } from "../base/ids.js"
import type { Bucket, BodySource, ObjectBody, ObjectServices, Tags } from "../object/contract.js"
import type { AccessControl } from "./acl/access-control.js"
import type { Field, S3Error } from "./failures.js"
import type { Authority } from "./rights/authority.js"
import type { NewBuckets } from "./settings/new-bucket.js"
import type { Query } from "./wire/query.js"
import { xmlDocument } from "./wire/xml-writer.js"
import type { XmlWriter } from "./wire/xml-writer.js"

/** Request headers: lower-case name to value, one character a byte; repeated ones joined by ",". */
export type Headers = ReadonlyMap<string, string>

/** The body of a request, not yet opened. */
export interface CallBody {
  /**
   * The body as bytes of an object or part, with everything promised about it.
   * Throws `missingLength`, `entityTooLarge`, `invalidDigest`, `badDigest`, `invalidRequest`, `malformedTrailer`.
   */
  payload(): BodySource
  /**
   * The body as a small document, read whole and checked; once, also where it is asked for twice.
   * `checksum: "required"` refuses a document without Content-MD5, checksum or signed SHA-256;
   * `"ofObject"`: the checksum header speaks of something else than the document.
   */
  document(options: {
    readonly bytesMax: number
    readonly checksum: "required" | "optional" | "ofObject"
  }): Promise<Uint8Array>
}

export interface Call {
  readonly services: ObjectServices
  /** What the caller may do besides what the operation needs by the table. */
  readonly authority: Authority
  readonly accessControl: AccessControl
  /** Who asks; undefined: nobody, whose signature is none. */
  readonly caller: Account | undefined
  /** Whom policies may name. */
  readonly principals: Pick<Keyring, "principalExists" | "pinPrincipals" | "showPrincipals">
  /** As reported to clients. */
  readonly region: string
  /** The region that the operator configured; undefined: any. */
  readonly configuredRegion: string | undefined
  /** `http://host[:port]` as the client addressed it, for `Location`. */
  readonly origin: string
  /** The path as sent, percent-coded. */
  readonly rawPath: string
  readonly query: Query
  readonly headers: Headers
  readonly body: CallBody
  /** The wall clock when the request arrived. */
  readonly nowMs: number
  /** Resolves when this request may hold the thread for some milliseconds: one does in a turn. Throws `tooManyInFlight`. */
  turn(): Promise<void>
  /** Whoever waits for the answer; its signal fires when it is gone, and is made when first asked for. */
  readonly client: { readonly signal: AbortSignal }
}

/** Somebody who has an account. */
export interface AccountCall extends Call {
  readonly account: Account
}

export interface NewBucketCall extends AccountCall {
  readonly newBuckets: NewBuckets
  readonly bucketName: BucketName
}

/** The bucket exists, and the caller has been let in. */
export interface BucketCall extends Call {
  readonly bucket: Bucket
  /** Whose it is. */
  readonly owner: Account
  /** The bucket that a copy comes from. Throws `noSuchBucket`, `invalidBucketName`, `accessDenied`. */
  readonly openSource: (name: string) => Promise<Bucket>
}

export interface ObjectCall extends BucketCall {
  readonly key: ObjectKey
}

/** How a form that was stored is answered. */
export interface FormSuccess {
  readonly status: 200 | 201 | 204
  /** Where the browser is sent instead. */
  readonly redirect: string | undefined
}

/** A form that its policy allows: its fields are the headers, its file is the body. */
export interface FormCall extends ObjectCall {
  readonly tags: Tags
  readonly success: FormSuccess
}

export type AnswerBody =
  | { readonly kind: "none" }
  /** What a HEAD leaves out. */
  | { readonly kind: "omitted"; readonly lengthBytes: number }
  /** An XML document, unless it has a type of its own. */
  | { readonly kind: "document"; readonly bytes: Uint8Array; readonly type?: string }
  | { readonly kind: "object"; readonly body: ObjectBody; readonly lengthBytes: number }
  /** An error that no failure stands for; its status counts. */
  | { readonly kind: "error"; readonly error: S3Error }

export interface Answer {
  readonly status: number
  /** Values are bytes, one character a byte. */
  readonly headers: readonly Field[]
  readonly body: AnswerBody
}

export const XML_TYPE = "application/xml"

export const answerEmpty = (status: number, headers: readonly Field[] = []): Answer => ({
  status,
  headers,
  body: { kind: "none" },
})

export const answerXml = (root: string, content: (xml: XmlWriter) => void, headers: readonly Field[] = []): Answer => ({
  status: 200,
  headers,
  body: { kind: "document", bytes: xmlDocument(root, content) },
})

export const answerError = (error: S3Error): Answer => ({
  status: error.status,
  headers: [],
  body: { kind: "error", error },
})
