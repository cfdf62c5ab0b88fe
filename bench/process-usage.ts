/** The resource usage of a process, from /proc (Linux); on other systems a row reports that it is not available. */
import { readdir, readFile } from "node:fs/promises"
import { must } from "@hayloft/base/assert.js"
import { Unmeasured } from "./row.js"

/** The kernel's clock ticks per second for programs, on every Linux. */
const TICKS_PER_SECOND = 100

/** Less than this cannot be measured, and counts as this. */
export const CPU_SECONDS_MIN = 1 / TICKS_PER_SECOND

async function procText(pid: number, name: string): Promise<string> {
  try {
    return await readFile(`/proc/${pid}/${name}`, "utf8")
  } catch {
    throw new Unmeasured(`needs /proc/PID/${name}`)
  }
}

/** Seconds of processor time of all threads, user and system. */
export async function cpuSecondsOf(pid: number): Promise<number> {
  return parseStat(await procText(pid, "stat"))
}

/** The first thread of a process in `cpuSecondsByThread`, whatever its name. */
export const MAIN_THREAD = "MainThread"

/** Seconds of processor time of the threads that run, by their names; threads of one name together. */
export async function cpuSecondsByThread(pid: number): Promise<ReadonlyMap<string, number>> {
  const ids = await readdir(`/proc/${pid}/task`).catch(() => [])
  const seconds = new Map<string, number>()
  for (const id of ids) {
    // A thread may have ended since.
    const text = await procText(pid, `task/${id}/stat`).catch(() => undefined)
    if (text === undefined) continue
    const name = Number(id) === pid ? MAIN_THREAD : text.slice(text.indexOf("(") + 1, text.lastIndexOf(")"))
    seconds.set(name, (seconds.get(name) ?? 0) + parseStat(text))
  }
  return seconds
}

/** Seconds of processor time of a process, its children that run, and those that have ended. */
export async function cpuSecondsOfFamily(pid: number): Promise<number> {
  const pids = await readdir("/proc").catch(() => [])
  const stats = await Promise.all(
    pids.filter(isNumber).map(each => procText(Number(each), "stat").catch(() => undefined)),
  )
  const children = stats.filter(text => text !== undefined && fieldsOf(text)[PARENT] === String(pid))
  const own = await procText(pid, "stat")
  const ended = (Number(fieldsOf(own)[ENDED_USER]) + Number(fieldsOf(own)[ENDED_SYSTEM])) / TICKS_PER_SECOND
  return children.reduce((sum, text) => sum + parseStat(text ?? ""), parseStat(own) + ended)
}

const isNumber = (text: string): boolean => /^[0-9]+$/.test(text)

/** Positions in `fieldsOf`. */
const [PARENT, USER, SYSTEM, ENDED_USER, ENDED_SYSTEM] = [1, 11, 12, 13, 14]

/** The name of the process is in parentheses, and may contain parentheses itself. */
const fieldsOf = (text: string): readonly string[] => text.slice(text.lastIndexOf(")") + 2).split(" ")

export function parseStat(text: string): number {
  const fields = fieldsOf(text)
  return (Number(fields[USER]) + Number(fields[SYSTEM])) / TICKS_PER_SECOND
}

async function statusMegabytes(pid: number, name: string): Promise<number> {
  const text = await procText(pid, "status")
  const kib = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1]
  return (Number(must(kib, `the status has ${name}`)) * 1024) / 1e6
}

/** Current resident memory. */
export const residentMegabytes = (pid: number): Promise<number> => statusMegabytes(pid, "VmRSS")

/** Peak resident memory. */
export const peakMegabytes = (pid: number): Promise<number> => statusMegabytes(pid, "VmHWM")

/** Bytes written to disks since its start. */
export async function writtenBytesOf(pid: number): Promise<number> {
  const text = await procText(pid, "io")
  return Number(must(/^write_bytes: (\d+)$/m.exec(text)?.[1], "io has write_bytes"))
}
