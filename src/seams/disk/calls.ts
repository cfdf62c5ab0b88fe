/**
 * Calls to a disk, as whoever watches or bends them sees them: faults, latencies, recordings, sweeps.
 *
 * One kind of hook for all: an `Intercept` sees each call before it happens. The simulated disk asks it
 * for every call, and `interceptedDisk` asks it in front of any other disk.
 */
import type { Failure } from "../../base/failures.js"
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

/** What becomes of a call that neither fails nor goes as asked. */
export interface Bend {
  /** Of a write: so many bytes reach the file, then it fails. */
  readonly torn?: { readonly keptBytes: number; readonly failure: Failure }
  /** Of a write: what would make the file longer is refused, as on a full disk; what fits is written. */
  readonly isFull?: boolean
  /** Of a read: taken from here instead. */
  readonly offsetBytes?: number
  /** Of a read: what becomes of the bytes on their way; changed in place. */
  readonly rot?: (bytes: Uint8Array, offsetBytes: number) => void
  /** Of a question for space: what is told instead. */
  readonly space?: Partial<Space>
  /** The call is done, and answered when this resolves; it fails when this rejects. */
  readonly answered?: Promise<void>
}

type Verdict = Bend | void

/**
 * Throws to make the call fail (`exists` answers false for ENOENT); a promise is waited for before the call happens (and one that never
 * settles hangs it). Of `readSync`, a "resident" read, which cannot wait, a promise is ignored.
 */
export type Intercept = (call: DiskCall) => Verdict | Promise<Verdict>

/** The verdict on a call that cannot wait; undefined where there is none, or only a later one. */
export function syncVerdict(intercept: Intercept, call: DiskCall): Bend | undefined {
  const verdict = intercept(call)
  if (!(verdict instanceof Promise)) return verdict ?? undefined
  verdict.catch(() => undefined)
  return undefined
}
