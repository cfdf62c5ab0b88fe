/**
 * A process with all its descendants, for servers of several processes that end or freeze together, as a machine does.
 *
 * Limits  Linux: it reads `/proc`.
 */
import { readdirSync, readFileSync } from "node:fs"

/** By process, its children. */
function children(): ReadonlyMap<number, readonly number[]> {
  const found = new Map<number, number[]>()
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue
    const parent = parentOf(name)
    if (parent !== undefined) found.set(parent, [...(found.get(parent) ?? []), Number(name)])
  }
  return found
}

/** Returns undefined if the process has ended. */
function parentOf(pid: string): number | undefined {
  try {
    // The name of the program, in parentheses, may contain anything.
    const [, parent] = readFileSync(`/proc/${pid}/stat`, "latin1")
      .replace(/^.*\) /s, "")
      .split(" ")
    return Number(parent)
  } catch {
    return undefined
  }
}

/** The processes and their descendants. */
function treeOf(roots: readonly number[]): readonly number[] {
  const byParent = children()
  const all = new Set<number>()
  const add = (pid: number): void => {
    if (all.has(pid)) return
    all.add(pid)
    for (const child of byParent.get(pid) ?? []) add(child)
  }
  for (const pid of roots) add(pid)
  return [...all]
}

export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error
  }
}

/** Signals all of them. They are stopped first, so that none starts another one meanwhile. */
export function signalTree(roots: readonly number[], signal: "SIGSTOP" | "SIGCONT" | "SIGKILL"): void {
  const stopped = new Set<number>()
  for (;;) {
    const found = treeOf(roots).filter(pid => !stopped.has(pid))
    if (found.length === 0) break
    for (const pid of found) {
      stopped.add(pid)
      if (signal !== "SIGCONT") signalProcess(pid, "SIGSTOP")
    }
  }
  if (signal !== "SIGSTOP") for (const pid of stopped) signalProcess(pid, signal)
}

/** The command line of a process, as the process shows it; empty if it has ended. */
export function titleOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ").trim()
  } catch {
    return ""
  }
}

export const childrenOf = (pid: number): readonly number[] => children().get(pid) ?? []
