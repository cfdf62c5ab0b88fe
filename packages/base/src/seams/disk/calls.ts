/**
 * Calls to a disk, as interceptors see them: faults, latencies, recordings, sweeps.
 *
 * One kind of hook for all: an `Intercept` sees each call before it happens. The simulated disk asks it
 * for every call, and `interceptedDisk` asks it in front of any other disk.
 */
import type { Failure } from "../../failures.js"
import type { Space } from "./contract.js"
import type { Change, NameChange } from "./medium.js"

interface ContentCall {
  readonly path: string
  /** The same for all calls through one handle; on the simulated disk, for all of one file. */
  readonly file: number
  readonly durable: boolean
  readonly change: Change
}

export type DiskCall =
  | ({ readonly kind: "write" } & ContentCall)
  | ({ readonly kind: "truncate" } & ContentCall)
  | { readonly kind: "sync"; readonly path: string; readonly file: number }
  | { readonly kind: "name"; readonly path: string; readonly change: NameChange }
  | { readonly kind: "syncFolder" | "makeFolder"; readonly path: string }
  | {
      readonly kind: "read" | "readSync"
      readonly path: string
      readonly offsetBytes: number
      readonly lengthBytes: number
    }
  | { readonly kind: "open" | "exists" | "list" | "size" | "space"; readonly path: string }

/** The outcome of a call that neither fails nor succeeds normally. */
export interface Bend {
  /** For a write: this many bytes reach the file, then it fails. */
  readonly torn?: { readonly keptBytes: number; readonly failure: Failure }
  /** For a write: bytes that would make the file longer are refused, as on a full disk; the others are written. */
  readonly isFull?: boolean
  /** For a read: the offset to read from instead. */
  readonly offsetBytes?: number
  /** For a read: changes the bytes in place. */
  readonly rot?: (bytes: Uint8Array, offsetBytes: number) => void
  /** For a query of free space: the result instead. */
  readonly space?: Partial<Space>
  /** The call takes effect, and returns once this resolves; it fails if this rejects. */
  readonly answered?: Promise<void>
}

type Verdict = Bend | void

/**
 * Throws to make the call fail (`exists` answers false for ENOENT); the call waits for a returned promise
 * (and hangs if it never settles). `readSync`, a "resident" read, cannot wait and ignores a promise.
 */
export type Intercept = (call: DiskCall) => Verdict | Promise<Verdict>

/** The verdict on a call that cannot wait; undefined if there is none, or only a later one. */
export function syncVerdict(intercept: Intercept, call: DiskCall): Bend | undefined {
  const verdict = intercept(call)
  if (!(verdict instanceof Promise)) return verdict ?? undefined
  verdict.catch(() => undefined)
  return undefined
}
