/**
 * Transforms of objects: from an original and a pipeline to a representation with an ETag, a length and a range of its own.
 *
 * Promises  The ETag of a representation is known before it is made, and differs if its bytes may: it depends on the ETag of
 *           the original and on the steps with their versions. What no step could change is shown as the original with the
 *           original's ETag. Conditions are evaluated against the representation that the client gets.
 * Limits    TRANSFORM_LIMITS. Results of the same work are made once for all requests that wait for them.
 */
import { createHash } from "node:crypto"
import { fail } from "@hayloft/base/failures.js"
import type {
  ByteRange,
  Conditions,
  ContentHeaders,
  GetRequest,
  ObjectBody,
  ObjectInfo,
  Objects,
} from "@hayloft/objects/index.js"
import { evaluateRead, gathered, resolveRange, segmentsMd5Of } from "@hayloft/objects/index.js"
import { contentTypeOf } from "@hayloft/base/http/content-types.js"
import type { TarIndex } from "@hayloft/engine/format/objects/tar-index.js"
import { ByteBudget, laterTurn, limited, mapBounded, type Budget } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { Sandbox, SandboxFault } from "@hayloft/base/seams/sandbox/index.js"
import { recipeOf, skipReason, type FoundModules } from "./base-core.js"
import { bodyOfBytes, bodyOfStream, encodedPieces, shownAs, type Base, type Original } from "./bodies.js"
import type {
  ArchiveStep,
  Coding,
  Pipeline,
  StepVersions,
  TaskStep,
  TransformAnswer,
  TransformTask,
} from "./contract.js"
import { TRANSFORM_LIMITS } from "./limits.js"
import type { Modules } from "./modules.js"
import type { KeptBytes, Results } from "./results.js"
import { Makings, type MakingResult } from "./makings.js"
import { partOf } from "@hayloft/base/text/round.js"
import { Slots, tooMany } from "@hayloft/base/life/index.js"
import { WrittenObjects } from "./written.js"
import { listingOf, archiveMember, TarIndexes } from "./tar-archive.js"
import { buildTarIndex } from "./tar-index-builder.js"

interface TransformRequest extends Pick<GetRequest, "range" | "ifRange"> {
  readonly original: Original
  readonly pipeline: Pipeline
  /** A rule of the bucket asks for it, not the client: results are kept. */
  readonly isRule: boolean
  readonly conditions: Conditions
  readonly signal: AbortSignal
}

interface Transformed {
  readonly body: ObjectBody
  /** The length is undefined if it is only known when the body has ended. */
  readonly lengthBytes: number | undefined
  /** The reason why a step has left the bytes as they were. */
  readonly skipped: string | undefined
}

interface Work {
  readonly request: TransformRequest
  readonly base: Base
  readonly versions: StepVersions
  readonly modules: FoundModules
  readonly id: string
  /** ETag of the representation; if the steps are skipped, the ETag of the base applies. */
  readonly etag: string
  readonly isKept: boolean
}

/** The interface for protocols. */
export interface ObjectTransforms {
  /**
   * The representation that a request gets; the caller reads or closes its body. Throws `notModified`, `preconditionFailed`,
   * `invalidRange`, `noSuchTransform`, `noSuchKey` for a member that an archive lacks, `invalidRequest` for what is no archive,
   * `tooManyInFlight`.
   */
  get(request: TransformRequest): Promise<Transformed>
  /** Objects for which a rule wants a result before they are read. */
  readonly written: Pick<WrittenObjects, "note">
}

/** Limits of the work of all threads of a process that serve. */
export interface TransformBudgets {
  /** In results. */
  readonly makings: Budget
  /** In tasks in processes. */
  readonly tasks: Budget
  /** In bytes of native code. */
  readonly native: Budget
}

/** `tasks`: how many processes work at transforms. */
export const transformBudgets = (tasks: number): TransformBudgets => ({
  makings: new ByteBudget(() => TRANSFORM_LIMITS.makingMax),
  tasks: new ByteBudget(() => tasks),
  native: nativeBudget(),
})

const nativeBudget = (): Budget => new ByteBudget(() => TRANSFORM_LIMITS.nativeBytesMax)

const NO_BUDGET: Budget = { run: (_, work) => work() }

/** The limits of one of several threads of a process that serve. */
export interface SharedTransforms {
  readonly budgets: TransformBudgets
  /** The part of other limits that it has, from 0 to 1. */
  readonly share: number
}

interface TransformParts {
  readonly sandbox: Sandbox<TransformTask, TransformAnswer>
  /** It is undefined in a process in which one thread serves: the limits of the sandbox and of requests are enough. */
  readonly shared?: SharedTransforms | undefined
  readonly modules: Modules
  readonly results: Results
  readonly clock: Clock
  readonly objects: Pick<Objects, "get">
  readonly log: Log
  /** Ends with the process. */
  readonly signal: AbortSignal
  readonly onMade: (outcome: "made" | "skipped" | "failed" | "cached") => void
}

const ETAG_DIGITS = 16
/** Changes whenever the same archive may give another index. */
const INDEX_VERSION = "1"
const hashOf = (...texts: readonly string[]): string => createHash("sha256").update(JSON.stringify(texts)).digest("hex")

export class Transforms implements ObjectTransforms {
  private readonly makings: Makings
  private readonly streams: Slots
  private readonly indexing: Slots
  private readonly native: Budget
  private readonly tasks: Budget
  private readonly indexes = new TarIndexes()
  private known: Promise<StepVersions> | undefined

  readonly written: WrittenObjects

  constructor(private readonly parts: TransformParts) {
    const { clock, objects, log } = parts
    const { streamsMax, indexingMax, makingWaitMax, makingWaitMs } = TRANSFORM_LIMITS
    this.written = new WrittenObjects(objects, this, log)
    const { budgets, share = 1 } = parts.shared ?? {}
    this.native = budgets?.native ?? nativeBudget()
    this.tasks = budgets?.tasks ?? NO_BUDGET
    this.makings = new Makings(clock, budgets?.makings ?? NO_BUDGET, share)
    this.streams = new Slots(clock, partOf(streamsMax, share), 0, 0, "compressed answers")
    this.indexing = new Slots(
      clock,
      partOf(indexingMax, share),
      makingWaitMax,
      makingWaitMs,
      "archives to read through",
    )
  }

  /** Returns the fault of a module, or undefined if it can be a step. */
  async checkModule(code: Uint8Array): Promise<string | undefined> {
    const answer = await this.ask({ kind: "checkModule", code }, this.parts.signal)
    if (answer.kind === "checked") return answer.fault
    throw fail("internal", { reason: "a process of transforms does not check modules" })
  }

  /** Which steps this process has. */
  versions(): Promise<StepVersions> {
    return (this.known ??= this.ask({ kind: "versions" }, this.parts.signal).then(
      answer => {
        if (answer.kind === "versions") return answer.versions
        throw fail("internal", { reason: "a process of transforms does not know its steps" })
      },
      (error: unknown) => {
        this.known = undefined
        throw error
      },
    ))
  }

  async get(request: TransformRequest): Promise<Transformed> {
    const { pipeline, original, isRule } = request
    if (pipeline.archive !== undefined && original.info.segmentListBytes !== undefined)
      throw fail("invalidRequest", { message: "Members of large objects of Swift cannot be read." })
    const versions = await this.versions()
    if (pipeline.archive?.kind === "list") return this.list(request, pipeline.archive)
    const base = pipeline.archive === undefined ? original : await this.member(request, pipeline.archive)
    const reason = skipReason(base.info, pipeline, versions, isRule)
    if (reason !== undefined) return this.unchanged(request, base, reason)
    if (pipeline.steps.length === 0 && pipeline.coding === undefined) return this.unchanged(request, base, undefined)
    const modules = await this.modulesOf(pipeline, isRule)
    if (typeof modules === "string") return this.unchanged(request, base, modules)
    return this.represent(this.workOf(request, base, versions, modules))
  }

  private workOf(request: TransformRequest, base: Base, versions: StepVersions, modules: FoundModules): Work {
    const { original, pipeline, isRule } = request
    const recipe = recipeOf(pipeline, versions, modules)
    const { info } = original
    const { bucket, key, versionId } = original.of
    const mode = info.encryption?.mode ?? ""
    const id = hashOf(String(bucket.id), key, versionId, info.etag, info.headers.contentType ?? "", mode, recipe)
    const etag = `${info.etag}-${hashOf(info.headers.contentType ?? "", recipe).slice(0, ETAG_DIGITS)}`
    const isPlain = info.encryption === undefined || info.encryption.mode === "s3"
    const isKept = isRule && isPlain && base.info.sizeBytes <= TRANSFORM_LIMITS.inputBytesMax
    return { request, base, versions, modules, id, etag, isKept }
  }

  private async represent(work: Work): Promise<Transformed> {
    const { request, etag, isKept, base } = work
    const early = conditionsFailure(request, etag, base)
    // A step may leave the bytes as they are, which have another ETag.
    if (early?.kind === "notModified" || (early !== undefined && originalFailure(request, base) !== undefined))
      throw early
    if (isKept) {
      const kept = await this.fromKept(work)
      if (kept !== undefined) {
        this.parts.onMade("cached")
        return kept
      }
    }
    const { steps, coding } = request.pipeline
    if (steps.length === 0 && coding !== undefined && !isKept && base.info.sizeBytes > TRANSFORM_LIMITS.pieceBytes)
      return this.stream(work, coding)
    const { made, leave } = await this.share(work)
    try {
      if ("skipped" in made) {
        leave()
        return await this.unchanged(request, base, made.skipped)
      }
      if (made.isKept === true) {
        const kept = await this.fromKept(work)
        if (kept !== undefined) {
          leave()
          return kept
        }
      }
      return this.answer(work, made, leave)
    } catch (error) {
      leave()
      throw error
    }
  }

  private answer(
    work: Work,
    { bytes, result }: Extract<MakingResult, { bytes: Uint8Array }>,
    close: () => void,
  ): Transformed {
    const { request, base, etag } = work
    const failure = conditionsFailure(request, etag, base)
    if (failure !== undefined) throw failure
    const range = rangeOf(request, etag, undefined, bytes.length)
    const body = bodyOfBytes(infoOf(work, result, bytes.length), bytes, range, close)
    return { body, lengthBytes: range?.lengthBytes ?? bytes.length, skipped: undefined }
  }

  /** From what was kept earlier. Undefined: nothing, or nothing that can be read. */
  private async fromKept(work: Work): Promise<Transformed | undefined> {
    const { request, base, etag, id } = work
    const of = { ...request.original.of, etag: request.original.info.etag }
    const found = await this.parts.results.open(of, id, undefined)
    if (found === undefined) return undefined
    const { result, sizeBytes } = found
    if ("skipped" in result) {
      found.body.close()
      return this.unchanged(request, base, result.skipped)
    }
    const shown = (body: ObjectBody, range: ByteRange | undefined): Transformed => ({
      body: shownAs(body, infoOf(work, result, sizeBytes), range),
      lengthBytes: range?.lengthBytes ?? sizeBytes,
      skipped: undefined,
    })
    let range: ByteRange | undefined
    try {
      const failure = conditionsFailure(request, etag, base)
      if (failure !== undefined) throw failure
      range = rangeOf(request, etag, undefined, sizeBytes)
    } catch (error) {
      found.body.close()
      throw error
    }
    if (range === undefined) return shown(found.body, undefined)
    found.body.close()
    const part = await this.parts.results.open(of, id, range)
    return part && shown(part.body, range)
  }

  /** The bytes stay as they are. */
  private async unchanged(request: TransformRequest, base: Base, skipped: string | undefined): Promise<Transformed> {
    const failure = originalFailure(request, base)
    if (failure !== undefined) throw failure
    const { info } = base
    const range = rangeOf(request, info.etag, info.lastModifiedMs, info.sizeBytes)
    const body = await base.open(range)
    return { body: shownAs(body, info, range), lengthBytes: range?.lengthBytes ?? info.sizeBytes, skipped }
  }

  /** Compressed while it is sent: of a length that nobody knows before, so that ranges are ignored. */
  private async stream(work: Work, coding: Coding): Promise<Transformed> {
    const { request, base, etag } = work
    const failure = conditionsFailure(request, etag, base)
    if (failure !== undefined) throw failure
    // A client that has not asked for a coding can do without it.
    if (request.isRule && this.streams.isFull)
      return this.unchanged(request, base, "too many answers are compressed now")
    const giveBack = await this.streams.take()
    try {
      const body = await base.open(undefined)
      const info = infoOf(work, { type: base.info.headers.contentType ?? "", coded: true }, 0)
      const pieces = (signal: AbortSignal) =>
        encodedPieces(body.read(signal), coding, bytes => this.encode(bytes, coding, signal))
      const close = (): void => {
        body.close()
        giveBack()
      }
      return { lengthBytes: undefined, skipped: undefined, body: bodyOfStream(info, pieces, close) }
    } catch (error) {
      giveBack()
      throw error
    }
  }

  /** The result of a rule for an object that was just written, so that the first reader finds it. */
  async prepare(request: Pick<TransformRequest, "original" | "pipeline">): Promise<void> {
    const { original, pipeline } = request
    const versions = await this.versions()
    const asked = { ...request, isRule: true, conditions: {}, range: undefined, ifRange: undefined }
    if (skipReason(original.info, pipeline, versions, true) !== undefined) return
    const modules = await this.modulesOf(pipeline, true)
    if (typeof modules === "string") return
    const work = this.workOf({ ...asked, signal: this.parts.signal }, original, versions, modules)
    const of = { ...original.of, etag: original.info.etag }
    if (!work.isKept) return
    const kept = await this.parts.results.open(of, work.id, undefined)
    kept?.body.close()
    if (kept !== undefined) return
    const { leave } = await this.share(work)
    leave()
  }

  private share(work: Work) {
    const { request, id } = work
    return this.makings.of(id, request.original.of.bucket.id, request.signal, () => this.make(work))
  }

  private async make(work: Work): Promise<MakingResult> {
    const { request, id, isKept } = work
    const made = await this.run(work)
    const isSkipped = "skipped" in made
    this.parts.onMade(isSkipped ? (made.isLasting ? "skipped" : "failed") : "made")
    if (!isKept || (isSkipped && !made.isLasting)) return made
    const of = { ...request.original.of, etag: request.original.info.etag }
    const isSealed = request.original.info.encryption !== undefined
    const [bytes, result] = isSkipped ? [new Uint8Array(), { skipped: made.skipped }] : [made.bytes, made.result]
    const wasKept = await this.parts.results.put(of, id, bytes, result, isSealed)
    return isSkipped ? made : { ...made, isKept: wasKept }
  }

  /** Reads the input, and runs all steps. */
  private async run({ request, base, modules }: Work): Promise<MakingResult> {
    const { signal } = this.parts
    const { steps, coding } = request.pipeline
    const input = await gathered(await base.open(undefined), signal)
    const type = base.info.headers.contentType ?? ""
    let [bytes, madeType] = [input, type]
    if (steps.length > 0) {
      const taskSteps = await mapBounded(steps, 1, step => this.taskStepOf(step, modules))
      const answer = await this.runSteps({ kind: "steps", steps: taskSteps, bytes, type }, signal)
      if (answer.kind === "faulted") return { skipped: answer.reason, isLasting: false }
      if (answer.kind === "skipped") return { skipped: answer.reason, isLasting: true }
      if (answer.kind !== "bytes") throw fail("internal", { reason: "a process of transforms answers something else" })
      ;[bytes, madeType] = [answer.bytes, answer.type]
    }
    if (coding !== undefined) {
      const pieces: Uint8Array[] = []
      const source = [bytes]
      for await (const piece of encodedPieces(source, coding, each => this.encode(each, coding, signal)))
        pieces.push(piece)
      bytes = Buffer.concat(pieces)
    }
    return { bytes, result: { type: madeType, coded: coding !== undefined } }
  }

  /** Memory for native code is reserved before it begins, until it has ended. */
  private async runSteps(task: Extract<TransformTask, { kind: "steps" }>, signal: AbortSignal) {
    const { steps, bytes } = task
    const isNative = steps.some(({ kind }) => kind === "image")
    const measured = isNative ? await this.tryAsk({ kind: "measure", steps, bytes }, signal) : undefined
    if (measured?.kind === "faulted") return measured
    const nativeBytes = measured?.kind === "measured" ? measured.nativeBytes : 0
    if (nativeBytes === 0) return this.tryAsk(task, signal)
    return this.native.run(nativeBytes, () => this.tryAsk(task, signal))
  }

  private async taskStepOf(step: Pipeline["steps"][number], modules: FoundModules): Promise<TaskStep> {
    if (step.kind !== "module") return step
    const { name, parameters } = step
    const found = modules.get(name)
    if (found === undefined) throw fail("internal", { reason: "a module was found before" })
    const code = await this.parts.modules.codeOf(found)
    const { contentType } = found
    return { kind: "module", name, code, parameters, ...(contentType !== undefined && { contentType }) }
  }

  /** Returns the modules of a pipeline, or for a rule the reason why it cannot run. Throws `noSuchTransform` for a request by name. */
  private async modulesOf({ steps }: Pipeline, isRule: boolean): Promise<FoundModules | string> {
    const found = new Map<string, Awaited<ReturnType<Modules["list"]>>[number]>()
    for (const step of steps) {
      if (step.kind !== "module") continue
      const info = await this.parts.modules.find(step.name)
      if (info !== undefined) found.set(step.name, info)
      else if (isRule) return `there is no transform ${step.name}`
      else {
        const message = `There is no transform "${step.name}".`
        throw fail("noSuchTransform", { argumentName: "x-transform", argumentValue: step.name, message })
      }
    }
    return found
  }

  private async encode(bytes: Uint8Array, coding: NonNullable<Pipeline["coding"]>, signal: AbortSignal) {
    const answer = await this.ask({ kind: "encode", coding, bytes }, signal)
    if (answer.kind === "encoded") return answer.bytes
    throw fail("internal", { reason: `a process could not compress with ${coding}` })
  }

  private async ask(task: TransformTask, signal: AbortSignal): Promise<TransformAnswer> {
    const answer = await this.tryAsk(task, signal)
    if (answer.kind !== "faulted") return answer
    throw fail("tooManyInFlight", { message: `The transform was stopped: ${answer.reason}. Try again.` })
  }

  private async tryAsk(task: TransformTask, signal: AbortSignal) {
    const outcome = await this.tasks.run(1, () => this.parts.sandbox.run(task, signal))
    return outcome.kind === "answered" ? outcome.answer : { kind: "faulted" as const, reason: FAULTS[outcome.fault] }
  }

  /** A member of an archive, as an object of its own. */
  private async member(
    { original }: TransformRequest,
    { path }: Extract<ArchiveStep, { kind: "member" }>,
  ): Promise<Base> {
    const { info } = original
    const { range } = archiveMember(await this.indexOf(original), path)
    const { contentEncoding: _coding, contentType: _type, contentDisposition: _name, ...headers } = info.headers
    const etag = `${info.etag}-${hashOf("member", INDEX_VERSION, path).slice(0, ETAG_DIGITS)}`
    return {
      info: representationOf(info, etag, range.lengthBytes, { ...headers, contentType: contentTypeOf(path) }),
      open: part => {
        const { first, lengthBytes } = part ?? { first: 0, lengthBytes: range.lengthBytes }
        return lengthBytes === 0
          ? Promise.resolve(bodyOfBytes(info, new Uint8Array(0), undefined, () => undefined))
          : original.open({ first: range.first + first, lengthBytes })
      },
    }
  }

  private async list(request: TransformRequest, step: Extract<ArchiveStep, { kind: "list" }>): Promise<Transformed> {
    const { original, pipeline } = request
    const { info } = original
    const page = listingOf(await this.indexOf(original), step)
    const bytes = Buffer.from(`${JSON.stringify(page)}\n`)
    const etag = `${info.etag}-${hashOf("list", INDEX_VERSION, pipeline.text).slice(0, ETAG_DIGITS)}`
    const listed = representationOf(info, etag, bytes.length, { contentType: "application/json" })
    const base = { info: listed, open: () => Promise.resolve(bodyOfBytes(listed, bytes, undefined, () => undefined)) }
    return this.unchanged(request, base, undefined)
  }

  /** Kept beside the results of rules, so that an archive is read through once. */
  private indexOf({ of, info, open }: Original): Promise<TarIndex> {
    const { results, signal } = this.parts
    const mode = info.encryption?.mode ?? ""
    const id = hashOf("tar", INDEX_VERSION, String(of.bucket.id), of.key, of.versionId, info.etag, mode)
    return this.indexes.of(id, async () => {
      const result = { ...of, etag: info.etag }
      const isPlain = info.encryption === undefined || info.encryption.mode === "s3"
      const kept = isPlain ? await results.open(result, id, undefined) : undefined
      if (kept !== undefined) return gathered(kept.body, signal)
      const bytes = await this.buildIndex(info.sizeBytes, open)
      const isSealed = info.encryption !== undefined
      if (isPlain) await results.put(result, id, bytes, { type: "index", coded: false }, isSealed)
      return bytes
    })
  }

  private async buildIndex(sizeBytes: number, open: Original["open"]): Promise<Uint8Array> {
    const { signal, clock } = this.parts
    const giveBack = await this.indexing.take()
    const limit = { clock, durationMs: TRANSFORM_LIMITS.indexingMs, late: () => tooMany("archives to read through") }
    try {
      return await limited(limit, [signal], either => {
        const read = async function* (range: ByteRange) {
          const body = await open(range)
          yield* body.read(either)
        }
        return buildTarIndex(read, sizeBytes, either, () => laterTurn(clock))
      })
    } finally {
      giveBack()
    }
  }
}

const FAULTS: Readonly<Record<SandboxFault, string>> = {
  time: `it takes more than ${TRANSFORM_LIMITS.taskMs / 1_000} seconds`,
  memory: "it takes too much memory",
  died: "its process has ended",
}

/** Evaluates the conditions of a read, without `If-Modified-Since`: a time does not show that steps have changed. */
const conditionsFailure = ({ conditions }: TransformRequest, etag: string, { info }: Base) =>
  evaluateRead(
    { ...conditions, ifModifiedSinceMs: undefined },
    { etag, modifiedMs: info.lastModifiedMs, headers: info.headers },
  )

const originalFailure = ({ conditions }: TransformRequest, { info }: Base) =>
  evaluateRead(conditions, {
    etag: info.etag,
    modifiedMs: info.lastModifiedMs,
    segmentsMd5: segmentsMd5Of(info),
    headers: info.headers,
  })

/** Returns true if a range applies to this representation. `modifiedMs` is undefined if dates do not identify it. */
function isRangeOf({ ifRange }: TransformRequest, etag: string, modifiedMs: number | undefined): boolean {
  if (ifRange === undefined) return true
  if ("etag" in ifRange) return ifRange.etag === etag
  return modifiedMs !== undefined && Math.floor(modifiedMs / 1000) * 1000 <= ifRange.unmodifiedSinceMs
}

/** Throws `invalidRange`. */
function rangeOf(
  request: TransformRequest,
  etag: string,
  modifiedMs: number | undefined,
  sizeBytes: number,
): ByteRange | undefined {
  const { range } = request
  if (range === undefined || !isRangeOf(request, etag, modifiedMs)) return undefined
  if (range.kind === "part") throw fail("invalidRequest", { message: "A transformed object has no parts." })
  return resolveRange(range, sizeBytes)
}

/** A checksum of the original, or its number of parts, would describe other bytes. */
const representationOf = (info: ObjectInfo, etag: string, sizeBytes: number, headers: ContentHeaders): ObjectInfo => ({
  ...info,
  etag,
  sizeBytes,
  headers,
  checksum: undefined,
  partsCount: undefined,
})

function infoOf({ base, etag, request }: Work, { type, coded }: KeptBytes, sizeBytes: number): ObjectInfo {
  const { contentType: _type, ...headers } = base.info.headers
  const { coding } = request.pipeline
  return representationOf(base.info, etag, sizeBytes, {
    ...headers,
    ...(type !== "" && { contentType: type }),
    ...(coded && coding !== undefined && { contentEncoding: coding }),
  })
}
