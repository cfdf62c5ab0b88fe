/** How often workers do some work in a second, for rows that compare two kinds of work. `number`: of the work, among all. */
import type { Bench } from "./bench.js"

export async function ratePerSecond(
  { clock, scale }: Pick<Bench, "clock" | "scale">,
  workers: number,
  work: (worker: number, number: number) => Promise<void>,
): Promise<number> {
  const beganMs = clock.monotonicMs()
  const untilMs = beganMs + 1_000 * scale.seconds
  let done = 0
  const run = async (worker: number): Promise<void> => {
    while (clock.monotonicMs() < untilMs) {
      done += 1
      await work(worker, done)
    }
  }
  await Promise.all(Array.from({ length: workers }, (_, worker) => run(worker)))
  return done / ((clock.monotonicMs() - beganMs) / 1_000)
}
