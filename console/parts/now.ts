/** The current time for texts such as `5 s ago`: one timer for all of them, and none while the tab is hidden. */
import { computed, signal } from "@preact/signals"
import { useEffect } from "preact/hooks"

const TICK_MS = 1_000

const now = signal(Date.now())
let users = 0
let timer: ReturnType<typeof setInterval> | undefined

const tick = () => {
  if (!document.hidden) now.value = Date.now()
}

const MINUTE_MS = 60_000
/** Its users are drawn again once a minute, not each second. */
const minute = computed(() => Math.ceil(now.value / MINUTE_MS) * MINUTE_MS)

function useTicks(): void {
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
}

/** The current time, rounded up to a minute. */
export function useMinute(): number {
  useTicks()
  return minute.value
}

/** Rounded down to a multiple of `stepMs`, so that texts change no more often than that. */
export function useNow(stepMs: number): number {
  useTicks()
  return Math.max(Math.floor(now.value / stepMs) * stepMs, 0)
}
