/**
 * The preload shim for real processes: builds `shim.c` if there is a C compiler, and writes the control file with
 * the faults of file calls.
 *
 * Limits  Linux with glibc. Reads through a memory map are not intercepted.
 */
import { execFile } from "node:child_process"
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { ROOT } from "../harness/server.js"

const run = promisify(execFile)
const SOURCE = join(ROOT, "tests/faults/shim.c")

export const ERRNO = { EIO: 5, EMFILE: 24, ENOSPC: 28, EROFS: 30, EDQUOT: 122 } as const

export type ShimCall = "open" | "read" | "write" | "fsync" | "fdatasync" | "rename" | "unlink" | "ftruncate"

export interface ShimRule {
  /** The path begins with this; `*` matches any bytes. */
  readonly prefix: string
  readonly calls: readonly ShimCall[]
  readonly nth: number
  readonly forEver?: boolean
  readonly how:
    | { readonly errno: keyof typeof ERRNO }
    | { readonly delayMs: number }
    /** This many bytes are written, then EIO. */
    | { readonly keptBytes: number }
    | { readonly flippedBit: number }
    | { readonly kill: true }
}

export interface ShimHit {
  /** The index of the rule. */
  readonly rule: number
  readonly call: string
  readonly path: string
}

/** Returns why the shim is not available; undefined if it is. */
export async function missingForShim(): Promise<string | undefined> {
  if (process.platform !== "linux") return "LD_PRELOAD needs Linux"
  return run("cc", ["--version"]).then(
    () => undefined,
    () => "no C compiler (cc)",
  )
}

function lineOf({ prefix, calls, nth, forEver, how }: ShimRule): string {
  const [word, argument] =
    "errno" in how
      ? ["errno", ERRNO[how.errno]]
      : "delayMs" in how
        ? ["delay", how.delayMs]
        : "keptBytes" in how
          ? ["tear", how.keptBytes]
          : "flippedBit" in how
            ? ["flip", how.flippedBit]
            : ["kill", 0]
  return `${prefix} ${calls.join(",")} ${nth}${forEver ? "+" : ""} ${word} ${argument}\n`
}

export class Shim {
  private constructor(
    private readonly library: string,
    private readonly control: string,
  ) {}

  /** Compiles into the folder, which the caller removes. */
  static async build(folder: string): Promise<Shim> {
    const library = join(folder, "shim.so")
    await run("cc", ["-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl", "-lpthread"])
    return new Shim(library, join(folder, "rules.txt"))
  }

  /** The environment of a process with faults. */
  get env(): Record<string, string> {
    return { LD_PRELOAD: this.library, FAULTS_FILE: this.control }
  }

  /**
   * Sets the rules from the next call of each process on, and restarts the counts. Without rules every call succeeds.
   */
  set(rules: readonly ShimRule[]): void {
    rmSync(`${this.control}.hits`, { force: true })
    writeFileSync(this.control, rules.map(lineOf).join(""))
  }

  hits(): readonly ShimHit[] {
    const path = `${this.control}.hits`
    if (!existsSync(path)) return []
    const lines = readFileSync(path, "utf8").trimEnd().split("\n")
    return lines.map(line => {
      const [rule = "", call = "", ...rest] = line.split(" ")
      return { rule: Number(rule) - 1, call, path: rest.join(" ") }
    })
  }
}
