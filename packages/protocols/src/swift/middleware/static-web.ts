/**
 * Static web: containers as websites, for browsers that have not signed in.
 *
 * Every object and every listing that a page consists of is decided as a request of its own: a container is a website only for
 * those whom its access lists let in, and shows its folders only with `.rlistings`.
 */
import { asFailure, fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { asPromise, type Soon } from "@hayloft/base/soon.js"
import { percentEncode } from "@hayloft/base/http/uri.js"
import { operationAs, type S3Answer, type BucketCall } from "../../s3/index.js"
import { emptyAnswer, textAnswer } from "../answers.js"
import { swiftErrorOf } from "../failures.js"
import { entriesOf } from "../listings.js"
import { LISTING_MAX, type ListingRequest, type ObjectEntry } from "../listing-core.js"
import { objectEntries } from "../containers.js"
import type { SwiftObjects } from "../objects.js"
import { infoAt, type ContainerRequest, type SwiftContext, type SwiftRequest } from "../requests.js"
import { pathOf } from "../target-core.js"
import { isTrue } from "../metadata-core.js"
import {
  afterFind,
  afterProbe,
  errorObjectOf,
  firstStep,
  listingPage,
  noListingPage,
  staticWebOf,
  type StaticWeb,
  type WebStep,
} from "./static-web-core.js"

const HTML = "text/html; charset=UTF-8"
const ERROR_STATUS = 400

/** A page that is searched, and what was refused on the way. */
interface Search {
  readonly request: ContainerRequest
  readonly web: StaticWeb
  readonly page: { readonly path: string; readonly object: string }
  failure: Failure
}

/** Returns true if a website may answer: a browser has no token, and a client with one asks for the website. */
const isForWeb = ({ exchange, caller, tempUrl }: SwiftRequest): boolean =>
  (exchange.method === "GET" || exchange.method === "HEAD") &&
  tempUrl === undefined &&
  (caller.account === undefined || isWebMode(exchange))

const isWebMode = (exchange: SwiftRequest["exchange"]): boolean => isTrue(exchange.header("x-web-mode"))

export class StaticWebsites {
  constructor(
    private readonly context: SwiftContext,
    private readonly objects: SwiftObjects,
  ) {}

  /** Returns undefined if the request is not for a website. `metadata` is that of the container. */
  answer(
    request: ContainerRequest,
    metadata: readonly (readonly [name: string, value: string])[],
  ): Soon<S3Answer | undefined> {
    const web = isForWeb(request) ? staticWebOf(metadata) : undefined
    return web && this.pageOf(request, web)
  }

  private async pageOf(request: ContainerRequest, web: StaticWeb): Promise<S3Answer | undefined> {
    const { path } = pathOf(request.exchange.rawTarget)
    const search: Search = {
      request,
      web,
      page: { path, object: request.target.object ?? "" },
      failure: fail("noSuchKey"),
    }
    try {
      const step = await this.search(search, firstStep(web, search.page, isWebMode(request.exchange)))
      return await this.answerOf(search, step)
    } catch (error) {
      if (asFailure(error).kind === "internal") throw error
      return this.errorOf(search, asFailure(error))
    }
  }

  private async search(search: Search, first: WebStep): Promise<WebStep> {
    const { web, page } = search
    for (let step = first; ;) {
      if (step.kind === "find") step = afterFind(web, page, step, await this.find(search, step.object))
      else if (step.kind === "probe") step = afterProbe(page, await this.probe(search, step.prefix))
      else return step
    }
  }

  private async answerOf(search: Search, step: WebStep): Promise<S3Answer | undefined> {
    const { request, web, page } = search
    if (step.kind === "plain") return undefined
    if (step.kind === "answer") return this.read(request, step.object)
    if (step.kind === "redirect") return emptyAnswer(301, [["Location", percentEncode(step.path, true)]])
    if (step.kind !== "list") throw search.failure
    if (!web.listings) return textAnswer(404, HTML, noListingPage(web, page))
    const entries = await this.list(request, step.prefix)
    if (entries.length === 0 && step.prefix !== "") throw search.failure
    return textAnswer(200, HTML, listingPage(web, page, { entries: entries.map(shownEntry), query: "", topPrefix: "" }))
  }

  /** The error with the site's own page, if it has one. */
  private async errorOf({ request, web }: Search, failure: Failure): Promise<S3Answer> {
    const error = swiftErrorOf(failure, request.caller.account === undefined)
    const object = error.status < ERROR_STATUS ? undefined : errorObjectOf(web, error.status)
    if (object === undefined) throw failure
    try {
      return { ...(await this.read(request, object)), status: error.status }
    } catch (second) {
      throw asFailure(second).kind === "internal" ? second : failure
    }
  }

  private read(request: ContainerRequest, object: string): Promise<S3Answer> {
    const { target, exchange } = request
    const named = { ...request, target: { ...target, object } }
    return asPromise(() => (exchange.method === "HEAD" ? this.objects.head(named) : this.objects.get(named)))
  }

  /** Returns undefined if the object is missing, or if this caller has no access to it. */
  private async find(search: Search, object: string): Promise<{ contentType: string; sizeBytes: number } | undefined> {
    const { request } = search
    try {
      const info = await infoAt(this.context, request, { container: request.target.container, object })
      if (info === undefined) search.failure = fail("noSuchKey")
      return info && { contentType: info.headers.contentType ?? "", sizeBytes: info.sizeBytes }
    } catch (error) {
      if (!isFailure(error, "accessDenied")) throw error
      search.failure = error
      return undefined
    }
  }

  private async probe({ request }: Search, prefix: string): Promise<boolean> {
    try {
      return (await this.list(request, prefix, 1)).length > 0
    } catch (error) {
      if (!isFailure(error, "accessDenied")) throw error
      return false
    }
  }

  private async list(request: ContainerRequest, prefix: string, limit = LISTING_MAX): Promise<readonly ObjectEntry[]> {
    const bounds = { marker: "", endMarker: "", isReverse: false, isPath: false, format: "plain" } as const
    const listing: ListingRequest = { ...bounds, prefix, delimiter: "/", limit }
    let found: readonly ObjectEntry[] = []
    const handle = async (call: BucketCall): Promise<S3Answer> => {
      found = await entriesOf(objectEntries(call, listing), listing)
      return emptyAnswer(204)
    }
    const { container } = request.target
    const operation = operationAs("ListObjects", { kind: "bucket", handle })
    await this.context.calls.run(request.request, request.caller, { operation, bucket: container, headers: [] })
    return found
  }
}

const shownEntry = (entry: ObjectEntry) => (entry.kind === "subdir" ? entry : { ...entry, sizeBytes: entry.bytes })
