/**
 * Cross-origin requests from web pages: the headers of every answer to them, including errors, and the answers to
 * preflights, which are unsigned.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseBucketName } from "@hayloft/base/ids.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { Bucket, Buckets } from "@hayloft/objects/contract.js"
import { answerEmpty, answerError } from "./call.js"
import type { S3Answer } from "./call.js"
import {
  allowedFields,
  allowingRule,
  corsRequestOf,
  invalidRequestedHeader,
  VARY,
  type CorsRequest,
} from "./cors-core.js"
import { CORS_METHODS, type CorsRule } from "./settings/cors.js"
import type { BucketSettings } from "./settings/bucket-settings.js"
import type { S3Target } from "./wire/target.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

export interface CrossOriginVerdict {
  readonly kind: "sameOrigin" | "noBucket" | "noRules" | "refused" | "allowed"
  /** Headers for every answer to the request. */
  readonly fields: readonly HeaderField[]
}

const SAME_ORIGIN: CrossOriginVerdict = { kind: "sameOrigin", fields: [] }
const NO_BUCKET: CrossOriginVerdict = { kind: "noBucket", fields: [] }
const NO_RULES: CrossOriginVerdict = { kind: "noRules", fields: [] }
const REFUSED: CrossOriginVerdict = { kind: "refused", fields: [VARY] }

export class CrossOrigin {
  /** `otherwise`: the rules of buckets that have none of their own, and of requests without a bucket. */
  constructor(
    private readonly buckets: Buckets,
    private readonly settings: BucketSettings,
    private readonly otherwise: readonly CorsRule[] | undefined,
  ) {}

  evaluate(bucketName: string | undefined, method: string, headers: Headers): Soon<CrossOriginVerdict> {
    const request = corsRequestOf(method, headers)
    return request === undefined ? SAME_ORIGIN : this.evaluateRequest(bucketName, request)
  }

  private async evaluateRequest(bucketName: string | undefined, request: CorsRequest): Promise<CrossOriginVerdict> {
    const bucket = bucketName === undefined ? undefined : await this.find(bucketName)
    const own = bucket && (await this.settings.cors.of(bucket))
    const rules = own ?? this.otherwise
    if (rules === undefined) return bucket === undefined ? NO_BUCKET : NO_RULES
    const rule = allowingRule(rules, request)
    return rule === undefined ? REFUSED : { kind: "allowed", fields: allowedFields(rule, request) }
  }

  private async find(name: string): Promise<Bucket | undefined> {
    try {
      return await this.buckets.open(parseBucketName(name))
    } catch (error) {
      if (isFailure(error, "noSuchBucket", "invalidBucketName")) return undefined
      throw error
    }
  }
}

/** S3's messages, which tools and their users recognise. */
const REFUSALS = {
  noBucket: { message: "CORSResponse: Bucket not found", reason: "there is no such bucket" },
  noRules: { message: "CORSResponse: CORS is not enabled for this bucket.", reason: "the bucket has no CORS rules" },
  refused: { message: undefined, reason: "no CORS rule of the bucket allows this origin, method and headers" },
} as const

const badRequest = (message: string): S3Answer =>
  answerError({ code: "BadRequest", status: 400, message, fields: [], headers: [] })

/** Throws `accessForbidden`. */
export function preflight({ kind }: CrossOriginVerdict, headers: Headers, target: S3Target): S3Answer {
  if (kind === "sameOrigin") return badRequest("Insufficient information. Origin request header needed.")
  const method = headers.get("access-control-request-method")?.slice(0, 32)
  if (method === undefined) return badRequest("Invalid Access-Control-Request-Method: null")
  if (!CORS_METHODS.includes(method)) return badRequest(`Invalid Access-Control-Request-Method: ${method}`)
  const header = invalidRequestedHeader(headers)
  if (header !== undefined)
    return badRequest(`Access-Control-Request-Headers "${header.slice(0, 80)}" contains invalid character.`)
  if (kind === "allowed") return answerEmpty(200)
  const resourceType = kind === "refused" && target.rawKey !== undefined ? "OBJECT" : "BUCKET"
  throw fail("accessForbidden", { ...REFUSALS[kind], method, resourceType })
}
