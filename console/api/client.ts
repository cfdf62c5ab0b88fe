/**
 * The client of the admin API. All that the console shows and does goes through it, to the server that it came from.
 *
 * Promises  a request ends within its time limit; every failure is an `ApiError` whose message a person can read.
 */

/** For requests that the server answers from memory; a change may take longer. */
const TIMEOUT_MS = 30_000
const LINE_CHARACTERS_MAX = 1 << 20

export class ApiError extends Error {
  constructor(
    /** 0 if no response arrived. */
    readonly status: number,
    /** The server's name for the failure; `timeout` and `unreachable` if no response arrived. */
    readonly code: string,
    message: string,
    readonly requestId: string | undefined = undefined,
    /** The object that S3 was asked for is a delete marker. */
    readonly isDeleteMarker = false,
  ) {
    super(message)
  }
}

export interface RequestOptions {
  /** Ends the request; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
  readonly query?: Readonly<Record<string, string | number | undefined>>
  readonly timeoutMs?: number
  readonly headers?: Readonly<Record<string, string>>
}

export type Method = "GET" | "HEAD" | "POST" | "PUT" | "DELETE"

/** The proof of who sends a request, beside the cookie. The session sets it. */
export interface Proof {
  readonly csrf?: string
}

let proof: Proof = {}
let onSignedOut = (): void => {}

export const setProof = (next: Proof): void => void (proof = next)

/** `listener` is called when the server no longer knows the session. */
export const onSessionEnd = (listener: () => void): void => void (onSignedOut = listener)

/** The headers that prove who sends a request. */
export const proofOf = (method: Method): Readonly<Record<string, string>> =>
  proof.csrf === undefined || method === "GET" || method === "HEAD" ? {} : { "x-hayloft-csrf": proof.csrf }

function headersOf(method: Method, hasBody: boolean, more: RequestOptions["headers"] = {}): Record<string, string> {
  const type = hasBody ? { "content-type": "application/json" } : {}
  return { accept: "application/json", ...type, ...proofOf(method), ...more }
}

export function addressOf(path: string, query: RequestOptions["query"] = {}): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value))
  const text = parameters.toString()
  return text === "" ? path : `${path}?${text}`
}

/** The failure that a response describes. */
async function failureOf(response: Response): Promise<ApiError> {
  const requestId = response.headers.get("x-request-id") ?? undefined
  const isMarker = response.headers.get("x-amz-delete-marker") === "true"
  return failureOfText(response.status, await response.text().catch(() => ""), requestId, isMarker)
}

/** The failure that the text of a response describes: JSON, or the XML of S3. */
export function failureOfText(status: number, text: string, requestId?: string, isDeleteMarker?: boolean): ApiError {
  const { code, message } = parseErrorText(text) ?? {
    code: "unexpected",
    message: `the server answered with status ${status}`,
  }
  return new ApiError(status, code, message, requestId, isDeleteMarker)
}

interface ErrorText {
  readonly code: string
  readonly message: string
}

/** Returns undefined for a text that describes no failure. */
function parseErrorText(text: string): ErrorText | undefined {
  if (text.trimStart().startsWith("<")) {
    const root = new DOMParser().parseFromString(text, "application/xml").documentElement
    const [code, message] = ["Code", "Message"].map(name => root.getElementsByTagName(name)[0]?.textContent)
    return root.tagName === "Error" && code !== undefined ? { code, message: message ?? code } : undefined
  }
  try {
    return parseError(JSON.parse(text)).error
  } catch {
    return undefined
  }
}

function parseError(value: unknown): { error: ErrorText } {
  const { error } = value as { error: ErrorText }
  return { error: { code: String(error.code), message: String(error.message) } }
}

/** The server of this page has checked its responses against the schemas from which the types come. */
function parseReply<T>(text: string): T {
  return (text === "" ? undefined : JSON.parse(text)) as T
}

/** The server does not know the session any more. */
export function noteFailure({ status }: ApiError): void {
  if (status === 401) onSignedOut()
}

/** One request; resolves with a response of success. */
export async function request(
  method: Method,
  path: string,
  body?: BodyInit,
  { signal, query, timeoutMs = TIMEOUT_MS, headers }: RequestOptions = {},
): Promise<Response> {
  const limit = AbortSignal.timeout(timeoutMs)
  const init: RequestInit = {
    method,
    headers: headersOf(method, body !== undefined, headers),
    credentials: "same-origin",
    cache: "no-store",
    redirect: "error",
    signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
    ...(body === undefined ? {} : { body }),
  }
  const response = await fetch(addressOf(path, query), init).catch((error: unknown) => {
    signal?.throwIfAborted()
    if (limit.aborted) throw new ApiError(0, "timeout", `the server did not answer within ${timeoutMs / 1000} s`)
    throw new ApiError(0, "unreachable", "the server cannot be reached", String(error))
  })
  if (response.ok) return response
  const failure = await failureOf(response)
  noteFailure(failure)
  throw failure
}

async function json<T>(method: Method, path: string, body: unknown, options?: RequestOptions): Promise<T> {
  const response = await request(method, path, body === undefined ? undefined : JSON.stringify(body), options)
  return parseReply<T>(await response.text())
}

export const api = {
  get: <T>(path: string, options?: RequestOptions): Promise<T> => json<T>("GET", path, undefined, options),
  post: <T>(path: string, body: unknown = {}, options?: RequestOptions): Promise<T> =>
    json<T>("POST", path, body, options),
  put: <T>(path: string, body: unknown, options?: RequestOptions): Promise<T> => json<T>("PUT", path, body, options),
  delete: <T>(path: string, options?: RequestOptions): Promise<T> => json<T>("DELETE", path, undefined, options),
}

/** The values of a response of JSON lines, as they arrive; ends with the response, or by the signal. */
export async function* jsonLines<T>(
  path: string,
  { signal, query }: { readonly signal: AbortSignal; readonly query?: RequestOptions["query"] },
): AsyncGenerator<T> {
  const response = await request("GET", path, undefined, {
    signal,
    timeoutMs: 2 ** 31 - 1,
    ...(query ? { query } : {}),
  })
  if (response.body === null) return
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ""
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      const lines = (rest + value).split("\n")
      rest = lines.pop() ?? ""
      if (rest.length > LINE_CHARACTERS_MAX) throw new ApiError(0, "unexpected", "a line of the response is too long")
      for (const line of lines) if (line.trim() !== "") yield parseReply<T>(line)
    }
    if (rest.trim() !== "") yield parseReply<T>(rest)
  } finally {
    await reader.cancel().catch(() => {})
  }
}

/** Any thrown value as a failure to show. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error
  return new ApiError(0, "unexpected", error instanceof Error ? error.message : String(error))
}
