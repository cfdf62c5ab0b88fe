/** The circumstances of a run: the machine, the commit, the command. */
import { execFile } from "node:child_process"
import { readFile } from "node:fs/promises"
import { cpus, loadavg, totalmem } from "node:os"
import { fileURLToPath } from "node:url"
import { GIB } from "@hayloft/base/limits.js"

const ROOT = fileURLToPath(new URL("../..", import.meta.url))

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly node: string
  readonly memoryGib: number
  /** The file system of the folder with stores and plain files; undefined if it cannot be determined. */
  readonly fileSystem: string | undefined
  /** The load average of the minute before the run: other work on the machine. */
  readonly load: number
  readonly commit: string | undefined
  readonly command: string
  readonly startedAt: string
}

export async function machineOf(workFolder: string, args: readonly string[], nowMs: number): Promise<Machine> {
  const mounts = await readFile("/proc/mounts", "utf8").catch(() => "")
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    node: process.versions.node,
    memoryGib: Number((totalmem() / GIB).toFixed(1)),
    fileSystem: fileSystemOf(mounts, workFolder),
    load: Number((loadavg()[0] ?? 0).toFixed(1)),
    commit: await commit(),
    command: ["npm run bench --", ...args].join(" ").replace(/ --$/, ""),
    startedAt: new Date(nowMs).toISOString(),
  }
}

/** `ext4 on /dev/vda`: the file system of the longest mount point above the folder. Pure. */
export function fileSystemOf(mounts: string, folder: string): string | undefined {
  const holding = mounts
    .split("\n")
    .map(line => line.split(" "))
    .filter(([, point = ""]) => folder === point || folder.startsWith(point.endsWith("/") ? point : `${point}/`))
    .filter(([device]) => device !== undefined && device !== "")
  // A later mount hides an earlier one at the same place.
  const [device, , kind] = holding.reduce<string[]>(
    (best, each) => ((each[1]?.length ?? 0) >= (best[1]?.length ?? 0) ? each : best),
    [],
  )
  return device === undefined ? undefined : `${kind ?? ""} on ${device}`
}

function commit(): Promise<string | undefined> {
  return new Promise(resolve => {
    execFile("git", ["describe", "--always", "--dirty", "--abbrev=12"], { cwd: ROOT }, (error, out) =>
      resolve(error === null ? out.trim() : undefined),
    )
  })
}
