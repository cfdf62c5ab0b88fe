/** How often workers do some work in a second, for rows that compare two kinds of work. `number`: of the work, among all. */
import { runLoad, type LoadPlan, type LoadResult } from "@hayloft/client/load/raw-load.js"
import type { Bench } from "./bench.js"

/** A load with the connections and the duration of the scale. Throws if a request failed. */
export async function loadOf(
  { clock, scale, signal }: Pick<Bench, "clock" | "scale" | "signal">,
  endpoint: URL,
  next: LoadPlan["next"],
): Promise<LoadResult> {
  const load = await runLoad({ endpoint, connections: scale.connections, seconds: scale.seconds, next }, clock, signal)
  if (load.firstError !== undefined) throw new Error(`a request failed: ${load.firstError}`)
  return load
}

export async function ratePerSecond(
  { clock, scale }: Pick<Bench, "clock" | "scale">,
  workers: number,
  work: (worker: number, number: number) => Promise<void>,
): Promise<number> {
  const beganMs = clock.monotonicMs()
  const untilMs = beganMs + 1_000 * scale.seconds
  let done = 0
  const run = async (worker: number): Promise<void> => {
    do {
      done += 1
      await work(worker, done)
    } while (clock.monotonicMs() < untilMs)
  }
  await Promise.all(Array.from({ length: workers }, (_, worker) => run(worker)))
  return done / ((clock.monotonicMs() - beganMs) / 1_000)
}
