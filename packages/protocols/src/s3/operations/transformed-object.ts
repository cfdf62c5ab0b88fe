/**
 * Objects read through transforms: `GET ?x-transform=PIPELINE`, and GetObject and HeadObject where a rule of the bucket fits the
 * key. `x-transform=none` reads the original; so do requests for a part, and all that S3 does itself, such as copies.
 */
import { fail, isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { after, asPromise, type Soon } from "@hayloft/base/soon.js"
import type { ObjectBody } from "@hayloft/objects/contract.js"
import {
  parsePipeline,
  withoutCoding,
  type Original,
  type Pipeline,
  type ObjectTransforms,
} from "@hayloft/features/transforms/index.js"
import { linesOfFields, type S3Answer, type BucketCall, type ObjectCall } from "../call.js"
import { checkOverrides } from "../content-lines.js"
import { ifRangeOf, readConditionsOf } from "../parse-conditions.js"
import { ruleOfKey } from "../settings/transforms.js"
import { announcedRules, answerWith, getObject, headObject, openObject, rangeOf } from "./get-object.js"
import { expirationOf } from "./lifecycle-headers.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

/** How often a read starts over because the object was replaced. */
const RETRIES_MAX = 3
const PARAMETER = "x-transform"
const ORIGINAL = "none"
const OFF = "Transforms are switched off. The operator starts the store with --transforms."

/** The pipeline that applies to a request. */
interface Chosen {
  readonly pipeline: Pipeline
  readonly isRule: boolean
  /** Value of the `Vary` header in every response. */
  readonly vary?: string
}

export const getTransformed = (call: ObjectCall): Soon<S3Answer> => readAsked(call, getObject)
export const headTransformed = (call: ObjectCall): Soon<S3Answer> => readAsked(call, headObject)

/** GetObject, through the rule of the bucket that fits the key. */
export const getByRules = (call: ObjectCall): Soon<S3Answer> => readByRules(call, getObject)
export const headByRules = (call: ObjectCall): Soon<S3Answer> => readByRules(call, headObject)

/** Throws `notImplemented` while transforms are off: rules would have no effect. */
export function checkTransforms({ context }: BucketCall): Promise<void> {
  return context.transforms === undefined ? Promise.reject(fail("notImplemented", { message: OFF })) : Promise.resolve()
}

const WRITES: ReadonlySet<string> = new Set(["PutObject", "CopyObject", "CompleteMultipartUpload", "RenameObject"])

/** Schedules the result of an object that was just written, if a rule "on PUT" fits its key. */
export function noteWritten({ context, bucket, bucketSettings, key, name }: ObjectCall): void {
  const { transforms } = context
  if (transforms === undefined || !WRITES.has(name) || !bucket.settings.includes("transforms")) return
  // A failure here does not concern the client: the result is computed when it is first read.
  asPromise(() =>
    after(bucketSettings.transforms.of(bucket), settings => {
      const rule = settings && ruleOfKey(settings, key)
      if (rule?.when === "PUT") transforms.written.note({ bucket, key, pipeline: rule.pipeline })
    }),
  ).catch(() => undefined)
}

async function readAsked(call: ObjectCall, readOriginal: (call: ObjectCall) => Soon<S3Answer>): Promise<S3Answer> {
  const { context, query } = call
  checkOverrides(query)
  const { transforms } = context
  const text = query.get(PARAMETER) ?? ""
  if (text === ORIGINAL) return readOriginal(call)
  if (transforms === undefined) throw fail("notImplemented", { message: OFF })
  if (query.has("partNumber"))
    throw fail("invalidRequest", { message: `A request with ${PARAMETER} cannot ask for a part.` })
  return answer(call, transforms, await askedFor(call, text))
}

/** Looks up a pipeline that the bucket names, or parses one. Throws `accessDenied` if an unsigned request does not use a name. */
async function askedFor({ bucketSettings, bucket, caller }: ObjectCall, text: string): Promise<Chosen> {
  const settings = await bucketSettings.transforms.of(bucket)
  const named = settings?.pipelines.get(text)
  if (named !== undefined) return { pipeline: named, isRule: false }
  // Otherwise anyone could make the store compute anything.
  if (caller === undefined) {
    const message = "Without a signature, only pipelines that the bucket names can be used."
    throw fail("accessDenied", { message })
  }
  return { pipeline: parsePipeline(text), isRule: false }
}

function readByRules(call: ObjectCall, readOriginal: (call: ObjectCall) => Soon<S3Answer>): Soon<S3Answer> {
  const { context, bucket, query } = call
  if (!query.isEmpty) checkOverrides(query)
  const { transforms } = context
  if (transforms === undefined || !bucket.settings.includes("transforms") || query.has("partNumber"))
    return readOriginal(call)
  return (async () => {
    const chosen = await ruleFor(call)
    return chosen === undefined ? readOriginal(call) : answer(call, transforms, chosen)
  })()
}

async function ruleFor({ bucketSettings, bucket, key, headers }: ObjectCall): Promise<Chosen | undefined> {
  const settings = await bucketSettings.transforms.of(bucket)
  const rule = settings && ruleOfKey(settings, key)
  if (rule === undefined) return undefined
  const { pipeline } = rule
  const { coding } = pipeline
  if (coding === undefined) return { pipeline, isRule: true }
  const isAccepted = acceptsCoding(headers.get("accept-encoding"), coding)
  return { pipeline: isAccepted ? pipeline : withoutCoding(pipeline), isRule: true, vary: "Accept-Encoding" }
}

/** RFC 9110, section 12.5.3: without the header, the server does not know what the client understands. */
export function acceptsCoding(header: string | undefined, coding: string): boolean {
  const weights = new Map<string, boolean>()
  for (const each of header?.toLowerCase().split(",") ?? []) {
    const [name = "", ...parameters] = each.split(";").map(part => part.trim())
    weights.set(name, !parameters.some(parameter => /^q=0(?:\.0*)?$/.test(parameter)))
  }
  return weights.get(coding) ?? weights.get("*") ?? false
}

/** Starts over if the object is replaced while it is read. Throws as `Transforms.get`, `conflict`. */
async function answer(call: ObjectCall, transforms: ObjectTransforms, chosen: Chosen): Promise<S3Answer> {
  for (let retries = RETRIES_MAX; ; retries -= 1) {
    try {
      return await answerOnce(call, transforms, chosen)
    } catch (error) {
      if (!isFailure(error)) throw error
      if (error.details["replaced"] === true && retries > 0) continue
      // An archived object has headers all the same.
      if (error.kind === "invalidObjectState" && chosen.isRule && isHead(call)) return headObject(call)
      const { vary } = chosen
      throw vary !== undefined && VARYING.has(error.kind) ? fail(error.kind, { ...error.details, vary }, error) : error
    }
  }
}

const isHead = ({ name }: ObjectCall): boolean => name.startsWith("Head")

async function answerOnce(call: ObjectCall, transforms: ObjectTransforms, chosen: Chosen): Promise<S3Answer> {
  const { pipeline, isRule, vary } = chosen
  const rules = await announcedRules(call)
  const original = await originalOf(call)
  try {
    const { headers, nowMs, client } = call
    const { body, lengthBytes, skipped } = await transforms.get({
      original,
      pipeline,
      isRule,
      signal: client.signal,
      conditions: readConditionsOf(headers, nowMs),
      range: rangeOf(call),
      ifRange: ifRangeOf(headers),
    })
    // Rules go by the stored object: a representation has another size.
    const made = await answerWith(call, body, expirationOf(call, rules, original.info))
    const fields: readonly HeaderField[] = [
      ...(vary === undefined ? [] : [["Vary", vary] as const]),
      ...(pipeline.text === "" ? [] : fieldsOf(skipped)),
    ]
    const lines = made.headers.and(linesOfFields(fields))
    if (!isHead(call)) return { ...made, headers: lines, body: { kind: "object", body, lengthBytes } }
    body.close()
    return { ...made, headers: lines, body: { kind: "omitted", lengthBytes } }
  } finally {
    original.close()
  }
}

const fieldsOf = (skipped: string | undefined): readonly HeaderField[] =>
  skipped === undefined
    ? [["x-hayloft-transform", "applied"]]
    : [
        ["x-hayloft-transform", "skipped"],
        ["x-hayloft-transform-reason", skipped],
      ]

/** Failures that depend on `Accept-Encoding`. */
const VARYING: ReadonlySet<FailureKind> = new Set(["notModified", "preconditionFailed", "invalidRange"])
const GONE: ReadonlySet<FailureKind> = new Set(["preconditionFailed", "noSuchKey", "noSuchVersion", "isDeleteMarker"])

/** The condition is our own, so its failure means that the object was replaced. */
function orReplaced(error: unknown): never {
  if (!isFailure(error) || !GONE.has(error.kind)) throw error
  throw fail("conflict", { replaced: true, reason: "the object was replaced while it was read" }, error)
}

/** Opens the original with the permissions of the caller. `close` releases a body that was not read. */
async function originalOf(call: ObjectCall): Promise<Original & { readonly close: () => void }> {
  const { bucket, key } = call
  let unread: ObjectBody | undefined = await openObject(call, false, { conditions: {} })
  const { info } = unread
  const isUnchanged = { ifMatch: [info.etag] }
  return {
    info,
    of: { bucket, key, versionId: info.versionId },
    open: async range => {
      if (range === undefined && unread !== undefined) {
        const body = unread
        unread = undefined
        return body
      }
      const asked = range && { kind: "fromTo" as const, first: range.first, last: range.first + range.lengthBytes - 1 }
      return asPromise(() => openObject(call, false, { range: asked, conditions: isUnchanged })).catch(orReplaced)
    },
    close: () => unread?.close(),
  }
}
