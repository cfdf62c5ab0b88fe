/**
 * Uploads of files from this browser: in parts, with progress; they can be paused, resumed and cancelled, and go on while
 * other pages of the console are shown.
 *
 * Promises  An object appears whole or not at all. A paused or failed upload keeps the parts that have arrived, until it is
 *           resumed or cancelled; a file that has changed meanwhile is not mixed with its older self.
 * Limits    One file at a time, `CONCURRENT_PARTS` of it; the browser reads each part from the disk while it is sent.
 *           Uploads end with the page: what has arrived of them is an unfinished upload of the bucket.
 */
import { signal } from "@preact/signals"
import { ApiError, asApiError, failureOfText, noteFailure, proofOf } from "./client.js"
import { inParallel } from "./parallel.js"
import { beginParts, checkAddressable, dropParts, endParts, s3Path } from "./s3.js"

const MIB = 1024 * 1024
const PART_BYTES_MIN = 8 * MIB
/** S3's limit, of which some are left. */
const PARTS_MAX = 9_000
const CONCURRENT_PARTS = 3
const ATTEMPTS = 3
const BACK_OFF_MS = 500

type State = "waiting" | "running" | "paused" | "done" | "failed" | "cancelled"

export interface Upload {
  readonly id: number
  readonly bucket: string
  readonly key: string
  readonly file: File
  readonly state: State
  readonly sentBytes: number
  readonly problem: string | undefined
}

/** The state of an upload besides what is shown of it. */
interface Work {
  controller: AbortController
  uploadId: string | undefined
  /** By part; undefined: it has not arrived. */
  readonly etags: (string | undefined)[]
  readonly sent: number[]
}

/** The latest last. */
export const uploads = signal<readonly Upload[]>([])
const works = new Map<number, Work>()
let lastId = 0

const update = (id: number, changes: Partial<Upload>): void => {
  uploads.value = uploads.value.map(each => (each.id === id ? { ...each, ...changes } : each))
}
const find = (id: number): Upload | undefined => uploads.value.find(each => each.id === id)

export const isUploading = (): boolean =>
  uploads.value.some(({ state }) => state === "running" || state === "waiting" || state === "paused")

const partBytesOf = ({ size }: File): number => Math.max(PART_BYTES_MIN, Math.ceil(size / PARTS_MAX / MIB) * MIB)
const partsOf = (file: File): number => Math.max(1, Math.ceil(file.size / partBytesOf(file)))

export function addUploads(bucket: string, files: readonly { readonly key: string; readonly file: File }[]): void {
  const added = files.map(({ key, file }): Upload => {
    const id = (lastId += 1)
    const parts = partsOf(file)
    works.set(id, {
      controller: new AbortController(),
      uploadId: undefined,
      etags: Array<undefined>(parts).fill(undefined),
      sent: Array<number>(parts).fill(0),
    })
    return { id, bucket, key, file, state: "waiting", sentBytes: 0, problem: undefined }
  })
  uploads.value = [...uploads.value, ...added]
  next()
}

/** Keeps what has arrived. */
export function pauseUpload(id: number): void {
  const state = find(id)?.state
  if (state !== "running" && state !== "waiting") return
  update(id, { state: "paused" })
  works.get(id)?.controller.abort()
  next()
}

/** After a pause, or a failure. */
export function resumeUpload(id: number): void {
  const [upload, work] = [find(id), works.get(id)]
  if (work === undefined || (upload?.state !== "paused" && upload?.state !== "failed")) return
  work.controller = new AbortController()
  update(id, { state: "waiting", problem: undefined })
  next()
}

export async function cancelUpload(id: number): Promise<void> {
  const [upload, work] = [find(id), works.get(id)]
  if (upload === undefined || work === undefined) return
  update(id, { state: "cancelled" })
  work.controller.abort()
  works.delete(id)
  next()
  if (work.uploadId !== undefined) await dropParts(upload, work.uploadId)
}

/** Stops showing the uploads that have ended. */
export function forgetEnded(): void {
  uploads.value = uploads.value.filter(({ state }) => state !== "done" && state !== "cancelled")
}

function next(): void {
  if (uploads.value.some(({ state }) => state === "running")) return
  const upload = uploads.value.find(({ state }) => state === "waiting")
  const work = upload && works.get(upload.id)
  if (upload === undefined || work === undefined) return
  update(upload.id, { state: "running" })
  void run(upload, work).finally(next)
}

async function run(upload: Upload, work: Work): Promise<void> {
  const { id, file } = upload
  const { signal } = work.controller
  try {
    checkAddressable(upload.key)
    await (partsOf(file) === 1
      ? sendPiece(upload, work, { at: 0, path: s3Path(upload), signal })
      : sendParts(upload, work))
    works.delete(id)
    update(id, { state: "done", sentBytes: file.size })
  } catch (error) {
    // Somebody has paused or cancelled it, and may have resumed it since.
    if (!signal.aborted) update(id, { state: "failed", problem: asApiError(error).message })
  }
}

async function sendParts(upload: Upload, work: Work): Promise<void> {
  const stop = work.controller.signal
  work.uploadId ??= await beginParts(upload, upload.file.type || "application/octet-stream")
  stop.throwIfAborted()
  const { uploadId } = work
  const left = work.etags.flatMap((etag, at) => (etag === undefined ? [at] : []))
  await inParallel(left, CONCURRENT_PARTS, stop, async (at, signal) => {
    const path = s3Path(upload, { partNumber: at + 1, uploadId })
    work.etags[at] = await sendPiece(upload, work, { at, path, signal })
  })
  await endParts(
    upload,
    uploadId,
    work.etags.flatMap(etag => etag ?? []),
  )
}

interface Piece {
  /** From 0. */
  readonly at: number
  readonly path: string
  readonly signal: AbortSignal
}

/** One part, or a whole small file. Returns its ETag. */
async function sendPiece(upload: Upload, work: Work, { at, path, signal }: Piece): Promise<string> {
  const { file, id } = upload
  const partBytes = partBytesOf(file)
  const body = file.slice(at * partBytes, (at + 1) * partBytes)
  const progress = (bytes: number): void => {
    work.sent[at] = bytes
    update(id, { sentBytes: work.sent.reduce((sum, sent) => sum + sent, 0) })
  }
  for (let attempt = 1; ; attempt += 1) {
    try {
      const etag = await put(path, body, { type: file.type, progress, signal })
      progress(body.size)
      return etag
    } catch (error) {
      progress(0)
      signal.throwIfAborted()
      if (attempt === ATTEMPTS || !mayWorkLater(asApiError(error))) throw error
      await new Promise(resolve => setTimeout(resolve, BACK_OFF_MS * 2 ** attempt))
      signal.throwIfAborted()
    }
  }
}

const mayWorkLater = ({ status }: ApiError): boolean => status === 0 || status === 429 || status >= 500

interface PutOptions {
  readonly type: string
  readonly progress: (sentBytes: number) => void
  readonly signal: AbortSignal
}

/** `fetch` tells nothing of what has been sent. */
function put(path: string, body: Blob, { type, progress, signal }: PutOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest()
    const abort = (): void => sending.abort()
    const end = (): void => signal.removeEventListener("abort", abort)
    sending.open("PUT", path)
    for (const [name, value] of Object.entries(proofOf("PUT"))) sending.setRequestHeader(name, value)
    sending.setRequestHeader("content-type", type || "application/octet-stream")
    sending.upload.addEventListener("progress", event => progress(event.loaded))
    sending.addEventListener("load", () => {
      end()
      if (sending.status >= 200 && sending.status < 300) return resolve(sending.getResponseHeader("etag") ?? "")
      const failure = failureOfText(sending.status, sending.responseText)
      noteFailure(failure)
      reject(failure)
    })
    const fail = (): void => {
      end()
      const why = "the connection broke, or the file cannot be read any more (has it changed?)"
      reject(new ApiError(0, "unreachable", why))
    }
    sending.addEventListener("error", fail)
    sending.addEventListener("abort", fail)
    signal.addEventListener("abort", abort)
    if (signal.aborted) return fail()
    sending.send(body)
  })
}

addEventListener("beforeunload", event => {
  if (isUploading()) event.preventDefault()
})
