/**
 * Websites: pages of buckets for browsers, on a listener of their own.
 *
 * A host names a bucket: `BUCKET.DOMAIN` for the domains that the operator names, otherwise the bucket that has the name of
 * the host. What a request may see is what an anonymous GetObject may see, decided and read by the same code: policy, lists,
 * public access block, conditions and ranges.
 *
 * Promises  Only GET, HEAD and OPTIONS. Nothing of a request but its path, conditions, range and origin has an effect.
 * Refuses   Requests for buckets without a website (404).
 * Source    "Hosting a static website using Amazon S3", Amazon S3 User Guide.
 */
import { asFailure, fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { parseBucketName, textOfObjectKey } from "@hayloft/base/ids.js"
import { Remembered } from "@hayloft/base/remembered.js"
import { HeaderShapes } from "@hayloft/base/http/request-headers.js"
import { HeaderLines, type Exchange, type PlainAnswer, type Protocol, type Refusal } from "../../http/index.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import { respondObject } from "../answers.js"
import { ANONYMOUS } from "../authenticate.js"
import { S3Call, type S3Answer } from "../call.js"
import { VARY } from "../cors-core.js"
import { preflight, type CrossOriginVerdict } from "../cross-origin.js"
import { s3ErrorOf, type S3Error } from "../failures.js"
import { S3Parts, type S3Settings } from "../parts.js"
import { RequestPlans } from "../plan.js"
import { S3Request } from "../request.js"
import { route } from "../route.js"
import type { Website } from "../settings/website.js"
import { RequestQuery } from "../wire/query.js"
import { bucketOfHost, nameOfHost, parseTarget, type S3Target } from "../wire/target.js"
import { errorPage } from "./pages.js"
import {
  errorKeyOf,
  indexOfFolder,
  keyOfPage,
  redirectAfterError,
  redirectFirst,
  redirectToFolder,
  type PageRequest,
  type Redirection,
} from "./rules-core.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

interface WebsiteSettings extends S3Settings {
  /** Domains whose sub-domains are buckets, in lower case. */
  readonly websiteDomains: readonly string[]
}

/** The protocol for the HTTP server of websites. */
export const createWebsiteHandler = (settings: WebsiteSettings): Protocol => new WebsiteHandler(settings)

const METHODS = ["GET", "HEAD", "OPTIONS"]
/** The headers that a page takes notice of. */
const CONDITIONS = [
  "if-match",
  "if-none-match",
  "if-modified-since",
  "if-unmodified-since",
  "if-range",
  "range",
  "accept-encoding",
]
const NO_QUERY = new RequestQuery([])
/** For what is asked of an object besides its bytes: no transform need be made for that. */
const OF_ORIGINAL = new RequestQuery([{ name: "x-transform", value: "none", assigned: true }])
const ERROR_STATUS = 400
const SERVER_ERROR_STATUS = 500
/** Statuses of a failed condition or range; the error document does not replace them. */
const OWN_ERRORS = [412, 416]

/** The outcome of a request. */
type Outcome =
  | { readonly kind: "object"; readonly answer: S3Answer }
  | { readonly kind: "redirect"; readonly redirection: Redirection }
  | { readonly kind: "error"; readonly error: S3Error; readonly second?: S3Error }

/** A bucket that is a website. */
interface Site {
  readonly bucket: Bucket
  readonly website: Website
}

class WebsiteHandler implements Protocol {
  private readonly parts: S3Parts
  private readonly plans = new RequestPlans()
  private readonly shapes = new HeaderShapes()
  private readonly hosts: Remembered<string>

  constructor(private readonly settings: WebsiteSettings) {
    this.parts = new S3Parts(settings)
    this.hosts = new Remembered(host => bucketOfHost(host, settings.websiteDomains) ?? nameOfHost(host))
  }

  async handle(exchange: Exchange): Promise<void> {
    let verdict: CrossOriginVerdict | undefined
    let outcome: Outcome
    try {
      if (!METHODS.includes(exchange.method)) throw notAllowed(exchange.method)
      const bucketName = this.hosts.of(exchange.header("host") ?? "")
      exchange.note({ operation: "GetPage", bucket: bucketName.slice(0, 64) })
      verdict = await this.parts.crossOrigin.evaluate(bucketName, exchange.method, exchange.headers)
      if (exchange.method === "OPTIONS") {
        outcome = { kind: "object", answer: preflight(verdict, exchange.headers, targetOf(bucketName, "")) }
      } else {
        const request = pageRequestOf(exchange, bucketName)
        await this.settings.services.buckets.confirm()
        const { bucket, website } = await this.siteOf(bucketName)
        // A cache must not show an answer without these headers to pages of other origins.
        if (verdict.kind === "sameOrigin" && bucket.settings.includes("cors")) verdict = { ...verdict, fields: [VARY] }
        outcome = await this.outcomeOf(exchange, request, bucket, website)
      }
    } catch (error) {
      const failure = asFailure(error)
      // The server logs internal errors with their stack, and then calls `refuse`.
      if (exchange.answered || failure.kind === "internal") throw error
      outcome = { kind: "error", error: this.noteFailure(exchange, failure) }
    }
    await this.respond(exchange, outcome, verdict?.fields ?? [])
  }

  refuse({ requestId, failure, status }: Refusal): PlainAnswer {
    const error = s3ErrorOf(failure)
    return plainError(status === undefined ? error : { ...error, status }, requestId)
  }

  /** Throws `noSuchBucket`, `noSuchWebsite`. */
  private async siteOf(name: string): Promise<Site> {
    const bucket = await this.settings.services.buckets.open(bucketNameOf(name))
    const website = await this.parts.context.bucketSettings.website.of(bucket)
    if (website === undefined) throw fail("noSuchWebsite", { bucketName: name })
    return { bucket, website }
  }

  private async outcomeOf(
    exchange: Exchange,
    request: PageRequest,
    bucket: Bucket,
    website: Website,
  ): Promise<Outcome> {
    const redirection = redirectFirst(website, request)
    if (redirection !== undefined) return { kind: "redirect", redirection }
    if (website.kind === "redirect") throw fail("internal", { reason: "a website that redirects has no pages" })
    try {
      return await this.read(exchange, bucket, keyOfPage(website, request), CONDITIONS)
    } catch (error) {
      const found = this.noteFailure(exchange, asFailure(error))
      if (found.status < ERROR_STATUS || OWN_ERRORS.includes(found.status)) {
        return (await this.redirectOf(exchange, bucket, keyOfPage(website, request))) ?? { kind: "error", error: found }
      }
      const index = indexOfFolder(website, request)
      if (isMissing(found) && index !== undefined && (await this.exists(exchange, bucket, index))) {
        return { kind: "redirect", redirection: redirectToFolder(request) }
      }
      const afterError = redirectAfterError(website, request, found.status)
      if (afterError !== undefined) return { kind: "redirect", redirection: afterError }
      return this.errorOutcome(exchange, bucket, errorKeyOf(website), found)
    }
  }

  /** The error with the site's own page, if it has one. */
  private async errorOutcome(
    exchange: Exchange,
    bucket: Bucket,
    errorKey: string | undefined,
    error: S3Error,
  ): Promise<Outcome> {
    if (errorKey === undefined || error.status >= SERVER_ERROR_STATUS) return { kind: "error", error }
    try {
      const outcome = await this.read(exchange, bucket, errorKey, [])
      if (outcome.kind !== "object") return outcome
      return { kind: "object", answer: { ...outcome.answer, status: error.status } }
    } catch (second) {
      return { kind: "error", error, second: s3ErrorOf(asFailure(second)) }
    }
  }

  /** The redirect of an object, which holds for conditions and ranges too. */
  private async redirectOf(exchange: Exchange, bucket: Bucket, key: string): Promise<Outcome | undefined> {
    const outcome = await this.read(exchange, bucket, key, [], OF_ORIGINAL)
    if (outcome.kind === "redirect") return outcome
    closeUnread(outcome)
    return undefined
  }

  private async exists(exchange: Exchange, bucket: Bucket, key: string): Promise<boolean> {
    try {
      closeUnread(await this.read(exchange, bucket, key, [], OF_ORIGINAL))
      return true
    } catch (error) {
      const { status } = s3ErrorOf(asFailure(error))
      if (status >= SERVER_ERROR_STATUS) throw error
      return false
    }
  }

  /** The object as an anonymous GetObject gets it. Throws as that does. */
  private async read(
    exchange: Exchange,
    bucket: Bucket,
    rawKey: string,
    headerNames: readonly string[],
    query = NO_QUERY,
  ): Promise<Exclude<Outcome, { kind: "error" }>> {
    const nowMs = this.settings.clock.wallMs()
    const request = new S3Request(exchange, nowMs)
    request.isWithinTurn = false
    const headers = (request.headers = this.shapes.ofFlat(
      headerNames.flatMap(name => {
        const value = exchange.header(name)
        return value === undefined ? [] : [name, value]
      }),
    ))
    const target = targetOf(bucket.name, rawKey)
    request.target = target
    const operation = route("GET", "object", query, headers)
    const parts = { exchange, operation, target, query, headers, signer: ANONYMOUS, nowMs, request }
    const call = new S3Call(this.parts.context, { ...parts, file: undefined, formTags: undefined })
    const admitted = { operation, plan: this.plans.of(operation, headers), target, call, form: undefined }
    const answer = await this.parts.runner.run(request, admitted)
    const { body } = answer
    if (body.kind !== "object") throw fail("internal", { reason: "an object has no bytes" })
    const { websiteRedirect } = body.body.info.headers
    if (websiteRedirect === undefined) return { kind: "object", answer }
    body.body.close()
    return { kind: "redirect", redirection: { status: 301, location: websiteRedirect } }
  }

  private async respond(exchange: Exchange, outcome: Outcome, fields: readonly HeaderField[]): Promise<void> {
    const common = HeaderLines.of([["x-amz-request-id", exchange.requestId], ...fields].flat())
    if (outcome.kind === "redirect") {
      const { status, location } = outcome.redirection
      const headers = common.and(HeaderLines.of(["Location", location]))
      return exchange.respond({ status, headers, contentLength: 0 })
    }
    if (outcome.kind === "error") {
      const { error, second } = outcome
      const page = plainError(error, exchange.requestId, second)
      const headers = [...fields.flat(), ...page.headers]
      if (exchange.method !== "HEAD") return exchange.respond({ ...page, headers })
      return exchange.respond({ status: page.status, headers, contentLength: page.body.length })
    }
    const { answer } = outcome
    const { status, body } = answer
    const headers = common.and(answer.headers)
    if (body.kind === "error") return this.respond(exchange, { kind: "error", error: body.error }, fields)
    if (body.kind !== "object") return exchange.respond({ status, headers })
    if (exchange.method !== "HEAD") return respondObject(exchange, { status, headers }, body, this.settings.clock)
    body.body.close()
    const { lengthBytes } = body
    return exchange.respond({ status, headers, ...(lengthBytes !== undefined && { contentLength: lengthBytes }) })
  }

  private noteFailure(exchange: Exchange, failure: Failure): S3Error {
    const error = s3ErrorOf(failure)
    exchange.note({ failure: error.code })
    if (error.status >= SERVER_ERROR_STATUS) exchange.note({ kind: failure.kind, reason: failure.message })
    return error
  }
}

function closeUnread(outcome: Outcome): void {
  if (outcome.kind === "object" && outcome.answer.body.kind === "object") outcome.answer.body.body.close()
}

const isMissing = ({ status }: S3Error): boolean => status === 404 || status === 403

/** Throws `noSuchBucket`: to a browser a name that no bucket can have is a missing site. */
function bucketNameOf(name: string): ReturnType<typeof parseBucketName> {
  try {
    return parseBucketName(name)
  } catch (error) {
    if (isFailure(error, "invalidBucketName")) throw fail("noSuchBucket", { bucketName: name.slice(0, 64) })
    throw error
  }
}

const notAllowed = (method: string): Failure =>
  fail("methodNotAllowed", { method: method.slice(0, 32), resourceType: "OBJECT", allow: METHODS.join(", ") })

/** Throws `invalidUri`, also if the target names another host than the Host header: a cache would mix up the two. */
function pageRequestOf({ rawTarget, headers, tlsVersion }: Exchange, bucketName: string): PageRequest {
  const host = headers.get("host") ?? ""
  const { rawKey = "", rawQuery } = parseTarget(rawTarget, host, bucketName)
  return {
    key: rawKey,
    host,
    protocol: tlsVersion === undefined ? "http" : "https",
    rawQuery: /^[\x21-\x7e]*$/.test(rawQuery) ? rawQuery : "",
  }
}

const targetOf = (bucket: string, rawKey: string): S3Target => ({
  bucket,
  rawKey,
  rawQuery: "",
  style: "virtualHost",
  rawPath: `/${textOfObjectKey(rawKey)}`,
})

function plainError(error: S3Error, requestId: string, second?: S3Error): PlainAnswer {
  const named = ["x-amz-request-id", requestId, "x-amz-error-code", error.code, ...error.headers.flat()]
  if (error.status < ERROR_STATUS) return { status: error.status, headers: named, body: new Uint8Array() }
  const headers = [...named, "Content-Type", "text/html; charset=utf-8", "X-Content-Type-Options", "nosniff"]
  return { status: error.status, headers, body: errorPage(error, requestId, second) }
}
