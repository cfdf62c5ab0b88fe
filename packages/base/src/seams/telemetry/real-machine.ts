/** Reads what Linux reports about the machine: texts of its files, as they are. Elsewhere there are none. */
import { readFileSync } from "node:fs"

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1")
  } catch {
    return undefined
  }
}

export const MACHINE = {
  load: (): string | undefined => textOf("/proc/loadavg"),
  memory: (): string | undefined => textOf("/proc/meminfo"),
}
