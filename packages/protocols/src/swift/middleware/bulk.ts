/**
 * Bulk operations: many objects deleted by one request, or stored from one archive. Each is decided by itself, and the report
 * in the body names those that failed; the status of the answer is always 200, as in Swift.
 *
 * Promises  An archive is read as it arrives: of its files none is held. A body cannot unpack to much more than it stores.
 */
import { asFailure, fail } from "@hayloft/base/failures.js"
import { byteStringOfText, textOfObjectKey } from "@hayloft/base/ids.js"
import type { PieceOwner } from "@hayloft/base/memory/pieces.js"
import { asPromise } from "@hayloft/base/soon.js"
import { percentEncode } from "@hayloft/base/http/uri.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { RequestQuery, type S3Answer } from "../../s3/index.js"
import { emptyAnswer, textAnswer } from "../answers.js"
import {
  archiveFormatOf,
  BULK_LIMITS,
  deletionOf,
  DeletionLines,
  extractionOf,
  headersOfMember,
  isContainerName,
  reportOfDeletion,
  reportOfExtraction,
  UnpackedBytes,
  writeReport,
} from "./bulk-core.js"
import type { SwiftContainers } from "../containers.js"
import { statusOf, swiftErrorOf } from "../failures.js"
import { formatOf, LISTING_TYPES } from "../listing-core.js"
import { isTrue } from "../metadata-core.js"
import type { SwiftObjects } from "../objects.js"
import { namesOfSegments } from "./large-objects.js"
import { infoAt, type SwiftObjectRequest, type SwiftContext, type SwiftRequest } from "../requests.js"
import { standingAt } from "../standing.js"
import { storeFile } from "../stored-files.js"
import { TarDecoder, type UploadedTarMember } from "./tar-core.js"

/** Objects that one request deletes at a time. */
const DELETIONS_CONCURRENT = 8
const NO_QUERY = new RequestQuery([])

type BulkErrors = (readonly [path: string, status: string])[]
type TarEvents = AsyncGenerator<ReturnType<TarDecoder["push"]>[number]>

export class BulkRequests {
  constructor(
    private readonly context: SwiftContext,
    private readonly objects: SwiftObjects,
    private readonly containers: SwiftContainers,
  ) {}

  async delete(request: SwiftRequest): Promise<S3Answer> {
    await this.requireStanding(request)
    const { exchange } = request
    const lines = new DeletionLines()
    for await (const bytes of exchange.body()) lines.push(bytes)
    return this.deleteAll(request, lines.end())
  }

  /** A large object with its segments, which go before it. */
  async deleteLarge(request: SwiftObjectRequest): Promise<S3Answer> {
    const { container, object } = request.target
    const own = `/${byteStringOfText(container)}/${object}`
    const info = await infoAt(this.context, request, request.target)
    if (info === undefined) return this.deleteAll(request, [own])
    if (info.partsCount === undefined)
      return this.deleteAll(request, [], [[percentEncode(own, true), "400 Bad Request"]])
    // A multipart object of S3 has its parts in it.
    const names = [...((await namesOfSegments(this.context, request)) ?? []), own]
    const errors: BulkErrors = []
    const answer = await this.deleteAll(request, names, errors)
    // Nothing is left to be done after the answer.
    return isTrue(request.query.get("async")) && errors.length === 0 ? emptyAnswer(204) : answer
  }

  private async deleteAll(request: SwiftRequest, names: readonly string[], errors: BulkErrors = []): Promise<S3Answer> {
    const { exchange, query } = request
    const format = formatOf(query, exchange.header("accept"))
    const outcome = { deleted: 0, notFound: 0, errors }
    const remove = async (name: string): Promise<void> => {
      const step = deletionOf(name)
      if ("error" in step) return void outcome.errors.push(step.error)
      if (outcome.errors.length >= BULK_LIMITS.failuresMax) return
      try {
        await this.remove(request, step.target)
        outcome.deleted += 1
      } catch (error) {
        const failure = asFailure(error)
        if (failure.kind === "internal") throw error
        const status = statusOf(failure)
        if (status.startsWith("404")) outcome.notFound += 1
        else outcome.errors.push([step.path, status])
      }
    }
    await mapBounded(
      names.filter(name => !isContainerName(name)),
      DELETIONS_CONCURRENT,
      remove,
    )
    for (const name of names.filter(isContainerName)) await remove(name)
    const isOver = outcome.errors.length >= BULK_LIMITS.failuresMax
    const failure = isOver ? { status: "400 Bad Request", text: "Max delete failures exceeded" } : undefined
    return textAnswer(200, LISTING_TYPES[format], writeReport(reportOfDeletion({ ...outcome, failure }), format))
  }

  /** Refuses a caller without a place in the account at once; others are refused name by name. Throws `accessDenied`. */
  private async requireStanding(request: SwiftRequest): Promise<void> {
    await standingAt(this.context, request, "ListAllMyBuckets")
  }

  private async remove(
    request: SwiftRequest,
    { container, object }: { readonly container: string; readonly object: string | undefined },
  ): Promise<void> {
    const { account } = request.target
    const named = { account, container: textOfObjectKey(container) }
    // Requests at the same time must not share what is noted of one.
    const own = { ...request, request: this.context.calls.begin(request.exchange), query: NO_QUERY }
    await asPromise(() =>
      object === undefined
        ? this.containers.delete({ ...own, target: { ...named, object } })
        : this.objects.delete({ ...own, target: { ...named, object } }),
    )
  }

  async extract(request: SwiftRequest): Promise<S3Answer> {
    await this.requireStanding(request)
    const { exchange, query, target } = request
    const format = formatOf(query, exchange.header("accept"))
    const archive = archiveFormatOf(query.get("extract-archive") ?? "")
    const base = [target.container ?? "", target.object ?? ""].join("/")
    const unpacked = new UnpackedBytes()
    const received = (pieces: AsyncIterable<Uint8Array>) => counted(pieces, bytes => unpacked.received(bytes))
    const body =
      archive === "tar"
        ? received(exchange.body())
        : this.context.decompress[archive](received(exchange.body("caller")))
    const events = eventsOf(counted(body, bytes => unpacked.unpacked(bytes)))
    const errors: BulkErrors = []
    const outcome = { created: 0, errors }
    const known = new Set<string>()
    let failure: { readonly status: string; readonly text: string } | undefined
    try {
      for (let next = await events.next(); next.done !== true; next = await events.next()) {
        if (next.value.kind !== "member") continue
        const { member } = next.value
        const step = extractionOf(member, base)
        if (step === undefined) continue
        if ("error" in step) outcome.errors.push(step.error)
        else if (await this.store(request, step, { member, events, unpacked }, { known, errors: outcome.errors }))
          outcome.created += 1
        if (outcome.errors.length >= BULK_LIMITS.failuresMax)
          throw fail("invalidRequest", { message: "Max failures exceeded" })
      }
    } catch (error) {
      const caught = asFailure(error)
      if (caught.kind === "internal") throw error
      failure = { status: statusOf(caught), text: swiftErrorOf(caught, false).message }
    }
    return textAnswer(200, LISTING_TYPES[format], writeReport(reportOfExtraction({ ...outcome, failure }), format))
  }

  /** Returns whether the file is stored. */
  private async store(
    request: SwiftRequest,
    {
      target,
      path,
    }: { readonly target: { readonly container: string; readonly object: string | undefined }; readonly path: string },
    {
      member,
      events,
      unpacked,
    }: { readonly member: UploadedTarMember; readonly events: TarEvents; readonly unpacked: UnpackedBytes },
    { known, errors }: { readonly known: Set<string>; readonly errors: BulkErrors },
  ): Promise<boolean> {
    const { caller, request: begun } = request
    const container = textOfObjectKey(target.container)
    const content = new MemberContent(events, unpacked)
    try {
      await this.requireContainer(request, container, known)
      const headers = new Map(headersOfMember(member))
      const open = (pieces: PieceOwner) => content.read(pieces)
      unpacked.beginFile()
      const file = { container, object: target.object ?? "", headers, lengthBytes: member.sizeBytes, open }
      await storeFile(this.context, begun, caller, file)
      return true
    } catch (error) {
      const failure = asFailure(error)
      // A fault of the archive itself ends the request.
      if (failure.kind === "internal" || content.isBroken) throw error
      errors.push([path, statusOf(failure)])
      return false
    }
  }

  private async requireContainer(request: SwiftRequest, container: string, known: Set<string>): Promise<void> {
    if (known.has(container)) return
    if (known.size >= BULK_LIMITS.containersMax)
      throw fail("invalidRequest", { message: `More than ${BULK_LIMITS.containersMax} containers` })
    await this.containers.ensure({ ...request, target: { ...request.target, container, object: undefined } })
    known.add(container)
  }
}

/** The bytes of the member whose start was read last. */
class MemberContent {
  /** The archive cannot be read any further. */
  isBroken = false

  constructor(
    private readonly events: TarEvents,
    private readonly unpacked: UnpackedBytes,
  ) {}

  async *read(pieces: PieceOwner): AsyncGenerator<Uint8Array> {
    for (;;) {
      const next = await this.events.next().catch((error: unknown) => {
        this.isBroken = true
        throw error
      })
      if (next.done === true || next.value.kind !== "content") return
      this.unpacked.stored(next.value.bytes.length)
      yield pieces === "caller" ? new Uint8Array(next.value.bytes) : next.value.bytes
    }
  }
}

async function* counted(pieces: AsyncIterable<Uint8Array>, count: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  for await (const bytes of pieces) {
    count(bytes.length)
    yield bytes
  }
}

async function* eventsOf(pieces: AsyncIterable<Uint8Array>): TarEvents {
  const decoder = new TarDecoder()
  for await (const bytes of pieces) yield* decoder.push(bytes)
  decoder.end()
}
