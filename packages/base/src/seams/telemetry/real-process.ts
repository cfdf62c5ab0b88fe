/**
 * Reports what this process uses, under the names that Prometheus has for every process, and what it is. Read when
 * scraped, in about a tenth of a millisecond. Files and their limit are known on Linux only; elsewhere they have no
 * rows.
 */
import { readdirSync, readFileSync } from "node:fs"
import { sharedMetrics, type Metrics } from "./contract.js"

const MICROSECONDS = 1e6

export function registerProcess(to: Metrics, version: string): void {
  const metrics = sharedMetrics(to)
  const startedSeconds = Date.now() / 1000 - process.uptime()
  metrics.gauge("hayloft_build_info", "1, with the versions of Hayloft and of Node", () => [
    [{ version, node_version: process.versions.node }, 1],
  ])
  metrics.total("process_cpu_seconds_total", "CPU time of the process, in seconds", () => {
    const { user, system } = process.cpuUsage()
    return [[{}, (user + system) / MICROSECONDS]]
  })
  metrics.gauge("process_resident_memory_bytes", "Resident memory of the process", () => [
    [{}, process.memoryUsage.rss()],
  ])
  metrics.gauge("process_open_fds", "Open files and sockets", () => rowOf(openFiles()))
  metrics.gauge("process_max_fds", "The limit of open files and sockets", () => rowOf(openFilesMax()))
  metrics.gauge("process_start_time_seconds", "When the process started, as Unix time", () => [[{}, startedSeconds]])
}

const rowOf = (value: number | undefined) => (value === undefined ? [] : [[{}, value] as const])

function openFiles(): number | undefined {
  try {
    return readdirSync("/proc/self/fd").length
  } catch {
    return undefined
  }
}

/** The limit of open files and sockets of this process. */
export function openFilesMax(): number | undefined {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? []
    return soft === undefined ? undefined : Number(soft)
  } catch {
    return undefined
  }
}
