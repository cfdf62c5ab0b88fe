/**
 * Settings of buckets as JSON, for callers whose permissions were decided already: each is read, replaced and removed by
 * the requests of S3, as the root user of the bucket's owner.
 *
 * Promises  What S3 would refuse is refused, with the reason. The JSON is that of `aws s3api`: what its `get-bucket-…`
 *           prints can be set again.
 * Limits    A document's own; those of lifecycle rules are the largest, with a mebibyte of XML.
 */
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import { encodeLifecycleRules, TRANSITION_MINIMUMS } from "@hayloft/features/lifecycle/index.js"
import type { ObjectReply } from "@hayloft/features/user-jobs/index.js"
import { OPERATIONS, type S3Method, type S3Operation } from "./operations.js"
import type { OwnRequests } from "./own-requests.js"
import { documentOfJson, jsonOfDocument } from "./settings/json-document-core.js"
import { LIFECYCLE_DOCUMENT, LIFECYCLE_LIMITS, lifecycleRulesOf, MINIMUM_HEADER } from "./settings/lifecycle.js"
import { parseXmlRoot } from "@hayloft/base/text/xml-reader.js"

type Json = Readonly<Record<string, unknown>>
type DocumentMethod = "GET" | "PUT" | "DELETE"

interface Kind {
  readonly name: string
  /** The query parameter of its requests. */
  readonly parameter: string
  /** The root element of its document; undefined: the document is JSON. */
  readonly root: string | undefined
}

const kind = (name: string, root?: string, parameter = name): Kind => ({ name, parameter, root })

const KINDS: readonly Kind[] = [
  kind("versioning", "VersioningConfiguration"),
  kind("lifecycle", LIFECYCLE_DOCUMENT),
  kind("object-lock", "ObjectLockConfiguration"),
  kind("encryption", "ServerSideEncryptionConfiguration"),
  kind("policy"),
  kind("public-access-block", "PublicAccessBlockConfiguration", "publicAccessBlock"),
  kind("ownership-controls", "OwnershipControls", "ownershipControls"),
  kind("acl", "AccessControlPolicy"),
  kind("cors", "CORSConfiguration"),
  kind("tagging", "Tagging"),
  kind("website", "WebsiteConfiguration"),
  kind("transforms", "TransformConfiguration"),
  kind("remote", "RemoteConfiguration"),
  kind("request-payment", "RequestPaymentConfiguration", "requestPayment"),
]

/** A member of the JSON that S3 has in a header. */
const MINIMUM_MEMBER = "TransitionDefaultMinimumObjectSize"

const NOT_FOUND = 404

/** The request of S3 with this method; undefined if the setting cannot be removed. */
const operationOf = ({ parameter }: Kind, method: S3Method): S3Operation | undefined =>
  OPERATIONS.find(
    ({ method: other, resource, when, answer }) =>
      other === method && resource === "bucket" && when.join() === parameter && answer.kind === "bucket",
  )

function kindNamed(name: string): Kind {
  const found = KINDS.find(each => each.name === name)
  if (found !== undefined) return found
  const known = KINDS.map(each => each.name).join(", ")
  throw fail("invalidArgument", { message: `S3 has no setting "${name.slice(0, 80)}"; known are ${known}` })
}

const shown = (value: Json, minimum: string | undefined): Json =>
  minimum === undefined ? value : { [MINIMUM_MEMBER]: minimum, ...value }

export class S3BucketDocuments {
  /** The names of all settings. */
  readonly names: readonly string[] = KINDS.map(({ name }) => name)

  constructor(private readonly requests: Pick<OwnRequests, "sendAsOwner">) {}

  canRemove(name: string): boolean {
    return operationOf(kindNamed(name), "DELETE") !== undefined
  }

  /** The action that access policies must allow for a request: `s3:PutBucketPolicy`. Throws `invalidArgument`. */
  actionOf(name: string, method: DocumentMethod): string {
    const { requiredActions } = this.required(kindNamed(name), method)
    const [required] = typeof requiredActions === "string" ? [] : requiredActions
    if (required === undefined) throw fail("internal", { reason: `no action is required to ${method} ${name}` })
    return `s3:${required.action}`
  }

  /** Returns undefined if the bucket has none. */
  async get(bucket: Bucket, name: string): Promise<Json | undefined> {
    const found = kindNamed(name)
    const reply = await this.send(bucket, found, "GET")
    if (reply.status === NOT_FOUND) return undefined
    const { document, header } = reply
    const json = found.root === undefined ? objectIn(document) : jsonOfDocument(Buffer.from(document))
    return json && shown(json, header(MINIMUM_HEADER))
  }

  async put(bucket: Bucket, name: string, json: Json): Promise<void> {
    const found = kindNamed(name)
    const { value, minimum } = partsOf(found, json)
    const body = found.root === undefined ? Buffer.from(JSON.stringify(value)) : documentOfJson(found.root, value)
    await this.send(bucket, found, "PUT", body, minimum === undefined ? [] : [[MINIMUM_HEADER, minimum]])
  }

  async remove(bucket: Bucket, name: string): Promise<void> {
    const found = kindNamed(name)
    this.required(found, "DELETE")
    await this.send(bucket, found, "DELETE")
  }

  /** The JSON of lifecycle rules as the store keeps them, without setting them. Throws the faults of the rules. */
  lifecycleRules(json: Json): string {
    const { value, minimum } = partsOf(kindNamed("lifecycle"), json)
    const transitionMinimum =
      minimum === undefined ? TRANSITION_MINIMUMS[0] : TRANSITION_MINIMUMS.find(known => known === minimum)
    if (transitionMinimum === undefined)
      throw fail("invalidArgument", { message: `${MINIMUM_MEMBER}: one of ${TRANSITION_MINIMUMS.join(", ")}` })
    let ids = 0
    const newId = (): string => `rule ${(ids += 1)}`
    try {
      const root = parseXmlRoot(documentOfJson(LIFECYCLE_DOCUMENT, value), LIFECYCLE_DOCUMENT, LIFECYCLE_LIMITS)
      return encodeLifecycleRules({ transitionMinimum, rules: lifecycleRulesOf(root, newId) })
    } catch (error) {
      throw isFailure(error) ? ofJson(error) : error
    }
  }

  private required(found: Kind, method: DocumentMethod): S3Operation {
    const operation = operationOf(found, method)
    if (operation !== undefined) return operation
    const hint = found.name === "versioning" ? `; "Status": "Suspended" ends it` : "; set another value"
    throw fail("invalidArgument", { message: `${found.name} cannot be removed${hint}` })
  }

  private async send(
    bucket: Bucket,
    { parameter }: Kind,
    method: DocumentMethod,
    body?: Uint8Array,
    headers: readonly (readonly [string, string])[] = [],
  ): Promise<ObjectReply> {
    const reply = await this.requests.sendAsOwner(bucket, {
      method,
      bucket: bucket.name,
      query: [[parameter, ""]],
      headers,
      ...(body !== undefined && { body }),
    })
    if (reply.failure !== undefined) throw ofJson(reply.failure)
    const { status, code, message } = reply
    if (status >= 400 && status !== NOT_FOUND) throw fail("internal", { reason: `${code}: ${message}` })
    return reply
  }
}

function objectIn(text: string): Json {
  const json: unknown = JSON.parse(text)
  if (typeof json === "object" && json !== null) return { ...json }
  throw fail("internal", { reason: "a document is no object" })
}

/** The caller has sent no XML. */
const ofJson = (failure: Failure): Failure =>
  failure.kind === "malformedXml"
    ? fail("invalidArgument", { message: `the document: ${String(failure.details["reason"] ?? "it is not valid")}` })
    : failure

function partsOf({ root }: Kind, json: Json): { readonly value: Json; readonly minimum: string | undefined } {
  if (root !== LIFECYCLE_DOCUMENT) return { value: json, minimum: undefined }
  const { [MINIMUM_MEMBER]: minimum, ...value } = json
  if (minimum === undefined || typeof minimum === "string") return { value, minimum }
  throw fail("invalidArgument", { message: `${MINIMUM_MEMBER}: must be a text` })
}
