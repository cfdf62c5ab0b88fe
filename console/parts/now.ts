/** The current time for texts such as `5 s ago`: one timer for all of them, and none while the tab is hidden. */
import { signal } from "@preact/signals"
import { useEffect } from "preact/hooks"

const TICK_MS = 1_000

const now = signal(Date.now())
let users = 0
let timer: ReturnType<typeof setInterval> | undefined

const tick = () => {
  if (!document.hidden) now.value = Date.now()
}

/** Rounded down to a multiple of `stepMs`, so that texts change no more often than that. */
export function useNow(stepMs: number): number {
  useEffect(() => {
    users += 1
    timer ??= setInterval(tick, TICK_MS)
    tick()
    return () => {
      users -= 1
      if (users > 0) return
      clearInterval(timer)
      timer = undefined
    }
  }, [])
  return Math.max(Math.floor(now.value / stepMs) * stepMs, 0)
}
