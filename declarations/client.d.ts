/**
 * `hayloft/client`: locks, leases, elections and small files of a Hayloft store (docs/guide/locks.md).
 *
 * The public types of packages/client/src/library.ts, as programs see them; a test has the compiler compare the two.
 */

export type CoordCredentials =
  | {
      readonly accessKeyId: string
      readonly secretAccessKey: string
      readonly region: string
      readonly sessionToken?: string | undefined
    }
  /** A token of the admin API. */
  | { readonly token: string }

export type CoordAccess = CoordCredentials & {
  /** URL of the admin port. */
  readonly endpoint: string
  /** Certificates that are accepted besides those of well-known authorities, in PEM. */
  readonly trust?: { readonly pem: string; readonly isOwnStore: boolean }
}

export interface SessionOptions {
  readonly name?: string
  /** 2 to 60; 12 if absent. */
  readonly leaseSeconds?: number
  /** 1 to 60; 8 if absent. */
  readonly graceSeconds?: number
}

export interface LockOptions {
  readonly mode?: "exclusive" | "shared"
  /** Text that others see: the address of a leader, perhaps. */
  readonly value?: string
  /** How long to wait in line; Infinity: until the session ends. */
  readonly waitSeconds?: number
  readonly signal?: AbortSignal
}

export interface FileOptions {
  /** The version that is there. */
  readonly ifVersion?: number
  /** There is no file yet. */
  readonly isNew?: boolean
  readonly fence?: string
}

export interface LockHolder {
  readonly session: string
  readonly token: number
  readonly fence: string
  readonly value: string
}

export interface CoordChanges {
  /** The place where the next request goes on. */
  readonly upTo: number
  /** Earlier changes are forgotten: read everything again. */
  readonly isReset: boolean
  readonly changes: readonly {
    readonly number: number
    readonly path: string
    readonly kind: "written" | "deleted" | "acquired" | "released"
  }[]
}

/** A client; `signal` breaks off its requests and stops the renewal of its sessions. */
export function connectCoordination(access: CoordAccess, signal?: AbortSignal): CoordClient

export interface CoordClient {
  /** Closes its connections. */
  close(): void
  /** Begins a session, and renews it until it ends. */
  begin(options?: SessionOptions): Promise<CoordSession>
  holders(path: string): Promise<readonly LockHolder[]>
  /** Returns who holds a lock, whenever that changes. */
  follow(path: string, signal: AbortSignal): AsyncGenerator<readonly LockHolder[], void>
  /** Returns why a fence is not valid now; undefined: it is. */
  faultOf(fence: string): Promise<string | undefined>
  /** Returns undefined if there is no such file. */
  read(path: string): Promise<{ readonly content: Uint8Array; readonly version: number } | undefined>
  /** Returns the version. */
  write(path: string, content: Uint8Array | string, options?: FileOptions): Promise<number>
  remove(path: string, options?: FileOptions): Promise<void>
  files(
    prefix: string,
  ): AsyncGenerator<
    { readonly path: string; readonly version: number; readonly bytes: number; readonly session?: string | undefined },
    void
  >
  /** Waits until something below a prefix has changed after a number. Without a number: returns the one to begin with. */
  changes(prefix: string, after?: number, signal?: AbortSignal): Promise<CoordChanges>
}

export interface CoordSession {
  readonly id: string
  /** Fires when the lease is over, before the store gives its locks to others. */
  readonly signal: AbortSignal
  /** How long its locks are safe without another renewal. */
  readonly safeMs: number
  /** Returns undefined if others hold it, and did so for as long as this may wait. */
  acquire(path: string, options?: LockOptions): Promise<CoordLock | undefined>
  /** Gives up a lock, or a place in line. With a token: only the acquisition that has it. */
  release(path: string, token?: number): Promise<void>
  /** A file that ends with the session. Returns its version. */
  write(path: string, content: Uint8Array | string, options?: FileOptions): Promise<number>
  end(): Promise<void>
}

export interface CoordLock {
  readonly path: string
  readonly token: number
  /** For `x-hayloft-fence`, and for services that check it. */
  readonly fence: string
  /** Fires when the lock may belong to others, or soon will. */
  readonly signal: AbortSignal
  /** Returns true if the store says that it is held, now. */
  isHeld(): Promise<boolean>
  release(): Promise<void>
}

/** An answer that is an error. */
export class RemoteFailure extends Error {
  readonly status: number
  /** `hayloft explain CODE` says what to do. */
  readonly code: string
  readonly requestId: string | undefined
  constructor(status: number, code: string, message: string, requestId: string | undefined)
}

/** There was no answer. */
export class Unreachable extends Error {
  readonly endpoint: string
  readonly reason: string
  constructor(endpoint: string, reason: string, cause?: unknown)
}
