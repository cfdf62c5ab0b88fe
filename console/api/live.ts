/**
 * Values of the admin API that a page keeps current: fetched on entry, again after an interval, and on request.
 *
 * Promises  nothing is requested while the tab is hidden; after a failure the pauses become longer, up to
 *           `PAUSE_MS_MAX`, and the last value stays, with its age; leaving the page ends the request.
 */
import { signal } from "@preact/signals"
import { useEffect, useMemo } from "preact/hooks"
import { api, asApiError, type ApiError } from "./client.js"

const PAUSE_MS_MAX = 60_000
/** Doubled for each failure. */
const FAILED_MS = 5_000

export interface LiveState<T> {
  /** The last value that arrived. */
  readonly value: T | undefined
  /** When it arrived. */
  readonly atMs: number | undefined
  /** The reason why the latest request failed; undefined after a success. */
  readonly error: ApiError | undefined
  readonly isFetching: boolean
}

export interface Live<T> extends LiveState<T> {
  /** Requests the value now. */
  readonly refresh: () => void
}

export interface Reloadable<T> extends Live<T> {
  /** Requests the value now; resolves once it has arrived, or could not be had. */
  readonly refreshed: () => Promise<void>
}

/** Resolves after a time, earlier when `wake` is called, and only while the tab is visible. */
class Pause {
  private wakeUp: (() => void) | undefined
  private isWanted = false
  private waiting: (() => void)[] = []

  /** Ends the pause, or skips the next one if a request is on its way; resolves after the request that follows. */
  wake(): Promise<void> {
    return new Promise(resolve => {
      this.isWanted = true
      this.waiting.push(resolve)
      this.wakeUp?.()
    })
  }

  /** A request begins; returns the function that ends it. */
  begin(): () => void {
    const { waiting } = this
    this.waiting = []
    this.isWanted = false
    return () => waiting.forEach(resolve => resolve())
  }

  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (this.isWanted) return
    await this.timer(ms, signal)
    while (document.hidden && !signal.aborted) await this.timer(2 ** 31 - 1, signal)
  }

  private timer(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      const end = () => {
        clearTimeout(timer)
        signal.removeEventListener("abort", end)
        document.removeEventListener("visibilitychange", onVisible)
        this.wakeUp = undefined
        resolve()
      }
      const onVisible = () => {
        if (!document.hidden) end()
      }
      const timer = setTimeout(end, ms)
      this.wakeUp = end
      signal.addEventListener("abort", end)
      document.addEventListener("visibilitychange", onVisible)
    })
  }
}

function pauseMsOf(everyMs: number | undefined, failures: number): number {
  if (everyMs === undefined) return 2 ** 31 - 1
  if (failures === 0) return everyMs
  return Math.min(Math.max(everyMs, FAILED_MS) * 2 ** failures, Math.max(everyMs, PAUSE_MS_MAX))
}

/** Fetches until the signal fires. `everyMs` undefined: once, and when it is woken. */
async function keepCurrent<T>(
  fetchValue: (signal: AbortSignal) => Promise<T>,
  everyMs: number | undefined,
  { pause, update, signal }: { pause: Pause; update: (state: Partial<LiveState<T>>) => void; signal: AbortSignal },
): Promise<void> {
  let failures = 0
  while (!signal.aborted) {
    const end = pause.begin()
    update({ isFetching: true })
    try {
      const value = await fetchValue(signal)
      failures = 0
      if (!signal.aborted) update({ value, atMs: Date.now(), error: undefined, isFetching: false })
    } catch (error) {
      failures += 1
      if (!signal.aborted) update({ error: asApiError(error), isFetching: false })
    }
    end()
    await pause.wait(pauseMsOf(everyMs, failures), signal)
  }
  pause.begin()()
}

/**
 * Keeps the value of a GET current while the component is on the page: `everyMs` undefined fetches it once. A path of
 * undefined requests nothing.
 */
export function useLive<T>(path: string | undefined, everyMs?: number): Reloadable<T> {
  return useLiveValue<T>(path, signal => api.get<T>(path ?? "", { signal }), everyMs)
}

/** How long the server may wait for a change before it answers: less than the time limit of a request. */
const WATCH_MS = 10_000
/** Between two answers, however often the value changes. */
const WATCH_PAUSE_MS = 1_000

/** Keeps a value with a revision current: the server answers as soon as there is another one. */
export function useWatch<T extends { readonly revision: string }>(path: string): Live<T> {
  const seen = useMemo<{ revision: string | undefined }>(() => ({ revision: undefined }), [path])
  const fetchValue = async (signal: AbortSignal): Promise<T> => {
    const { revision } = seen
    // After a failure the next request is answered without waiting.
    seen.revision = undefined
    const query = revision === undefined ? {} : { revision, waitMs: WATCH_MS }
    const value = await api.get<T>(path, { signal, query })
    seen.revision = value.revision
    return value
  }
  const live = useLiveValue(path, fetchValue, WATCH_PAUSE_MS)
  return { ...live, isFetching: live.isFetching && (live.value === undefined || live.error !== undefined) }
}

/** Works like `useLive`, for a value that takes other requests; another `key` means another value. */
export function useLiveValue<T>(
  key: string | undefined,
  fetchValue: (signal: AbortSignal) => Promise<T>,
  everyMs?: number,
): Reloadable<T> {
  const nothing: LiveState<T> = { value: undefined, atMs: undefined, error: undefined, isFetching: key !== undefined }
  const { state, pause } = useMemo(() => ({ state: signal(nothing), pause: new Pause() }), [key])
  useEffect(() => {
    if (key === undefined) return undefined
    const controller = new AbortController()
    const update = (changes: Partial<LiveState<T>>) => {
      state.value = { ...state.value, ...changes }
    }
    void keepCurrent(fetchValue, everyMs, { pause, update, signal: controller.signal })
    return () => controller.abort()
  }, [key, everyMs])
  return { ...state.value, refresh: () => void pause.wake(), refreshed: () => pause.wake() }
}
