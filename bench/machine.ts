/** What a run was made on and of: the machine, the commit, the command. */
import { execFile } from "node:child_process"
import { readFile } from "node:fs/promises"
import { cpus, loadavg, totalmem } from "node:os"
import { fileURLToPath } from "node:url"
import { GIB } from "../src/base/limits.js"

const ROOT = fileURLToPath(new URL("../..", import.meta.url))

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly node: string
  readonly memoryGib: number
  /** Of the folder that stores and plain files were in; undefined where it cannot be told. */
  readonly fileSystem: string | undefined
  /** Of the last minute before the run: what else went on. */
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

/** `ext4 on /dev/vda`: of the longest mount point that the folder lies below. Pure. */
export function fileSystemOf(mounts: string, folder: string): string | undefined {
  const holding = mounts
    .split("\n")
    .map(line => line.split(" "))
    .filter(([, point = ""]) => folder === point || folder.startsWith(point.endsWith("/") ? point : `${point}/`))
    .filter(([device]) => device !== undefined && device !== "")
  // Of two at one place the later mount is in front.
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
