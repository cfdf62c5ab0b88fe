/** A theme: rows that share a fixture, which is created once and removed after them. */
import { measureRow, unmeasuredRow, Unmeasured, type Result, type Row } from "./row.js"
import type { Bench } from "./bench.js"
import type { Scale } from "./scale.js"

export interface Fixture {
  close(): Promise<void>
}

/** A theme without the type of its fixture, so that themes are a list. */
export interface Theme {
  readonly name: string
  readonly isOnRequest: boolean
  run(bench: Bench, isWanted: (work: string) => boolean, tell: (result: Result) => void): Promise<void>
}

export function theme<F extends Fixture>(options: {
  readonly name: string
  /** Omitted unless it is selected by name or by `--full`. */
  readonly isOnRequest?: boolean
  /** Throws `Unmeasured` if this machine cannot measure any of the rows. */
  open(bench: Bench): Promise<F>
  rows(scale: Scale): readonly Row<F>[]
}): Theme {
  const { name, isOnRequest = false } = options
  return {
    name,
    isOnRequest,
    async run(bench, isWanted, tell) {
      const rows = options.rows(bench.scale).filter(({ work }) => isWanted(work))
      if (rows.length === 0) return
      const fixture = await openOr(options.open(bench))
      if (fixture instanceof Unmeasured) {
        for (const row of rows) tell(unmeasuredRow(name, row, fixture))
        return
      }
      try {
        for (const row of rows) {
          bench.signal.throwIfAborted()
          tell(await measureRow(name, row, fixture, bench.scale.rounds))
        }
      } finally {
        await fixture.close()
      }
    },
  }
}

async function openOr<F>(opening: Promise<F>): Promise<F | Unmeasured> {
  try {
    return await opening
  } catch (error) {
    if (error instanceof Unmeasured) return error
    throw error
  }
}
