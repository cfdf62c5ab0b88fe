/**
 * `hayloft/simulation`: programs on simulated time, disks and networks (docs/guide/simulation.md).
 *
 * The public types of packages/base/src/simulation/library.ts, as programs see them; a test has the compiler compare the two.
 */

export interface SimulationError extends Error {
  /**
   * A code of the system (ENOENT, ECONNREFUSED …), or `stuck`, `isRunning`, `messageTooLarge`, or `invalidNumber` for a number
   * that is NaN, out of its range, or not whole where bytes, seeds and chances are counted.
   */
  readonly code: string
}

/** Random numbers from the seed. A fork has numbers of its own, which do not shift those of others. */
export interface Random {
  /** A whole number from 0 up to, not including, the limit, which is from 1 to 2^32. */
  below(limit: number): number
  /** So many bytes, up to 1 GiB. */
  bytes(count: number): Uint8Array
  fork(name: string): Random
}

/** Simulated milliseconds, from 0 to 1e12, between which each delay is drawn. */
export interface Delay {
  readonly least: number
  readonly most: number
}

export interface Connection {
  /** The name of the other machine. */
  readonly remote: string
  /**
   * Sends the message after those before it; it is lost if the connection ends first, or was closed before. Throws
   * `messageTooLarge` for more than 16 MiB.
   */
  send(message: Uint8Array | string): void
  /** The next message; undefined once the connection has ended and all that arrived was received. */
  receive(): Promise<Uint8Array | undefined>
  /** Ends the connection after everything sent has left. */
  close(): void
}

export interface File {
  readonly path: string
  /** The bytes at the offset, up to 1 GiB: fewer than asked for only at the end of the file. */
  read(offsetBytes: number, lengthBytes: number): Promise<Uint8Array>
  write(bytes: Uint8Array, offsetBytes: number): Promise<void>
  /** Makes what was written survive a power cut. */
  sync(): Promise<void>
  truncate(lengthBytes: number): Promise<void>
  sizeBytes(): Promise<number>
  close(): Promise<void>
}

export interface Disk {
  /** "read" and "write": the file must exist; "create": it must not. `isDurable`: each write is synced. */
  open(path: string, mode: "read" | "write" | "create", options?: { readonly isDurable?: boolean }): Promise<File>
  list(folder: string): Promise<string[]>
  exists(path: string): Promise<boolean>
  makeFolder(path: string): Promise<void>
  remove(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** Makes the names in the folder survive a power cut: files that were made, renamed or removed. */
  syncFolder(path: string): Promise<void>
}

/** The world as one program sees it. Once the program is ended, nothing that it waits for settles. */
export interface Process {
  readonly machine: string
  readonly disk: Disk
  readonly random: Random
  /** Fires when the program is ended. */
  readonly signal: AbortSignal
  /** Never goes back. */
  nowMs(): number
  /** Jumps with `jumpWall`. */
  wallMs(): number
  /** Ends in the same moment for 0 and less, never for Infinity. */
  sleep(durationMs: number): Promise<void>
  /** Calls `accept` for each connection that is made to the port. Throws EADDRINUSE if the program listens there already. */
  listen(port: number, accept: (connection: Connection) => void | Promise<void>): Promise<void>
  /** Throws ECONNREFUSED if nothing listens there, ETIMEDOUT if nothing comes back in 5 seconds. */
  connect(machine: string, port: number, timeoutMs?: number): Promise<Connection>
  /** Adds a line to the notes of the run. */
  note(text: string): void
}

export interface MachineOptions {
  /** The capacity of the disk; 1 TiB if absent. Writes beyond it throw ENOSPC. */
  readonly diskBytes?: number | undefined
  /** The delay of each call of the disk; 0.05 to 2 ms if absent. */
  readonly diskDelayMs?: Delay | undefined
}

export interface Machine {
  readonly name: string
  readonly isRunning: boolean
  /**
   * Starts a program, and returns what it returns. The program stays until it is ended, so that it can serve. Rejects with
   * `isRunning` while another runs.
   */
  start<T>(program: (process: Process) => Promise<T>): Promise<T>
  /** Ends the program; the machine goes on, so what it has written stays. */
  kill(): void
  /** Ends the program and cuts the power: what is not synced stays, is lost, or is torn, at random. */
  cutPower(): void
  /** From now on, one call of the disk in so many fails, up to 2^32; 0: none. The code is EIO if absent. */
  failDisk(faults: {
    readonly oneIn: number
    readonly kind?: "read" | "write" | "sync" | undefined
    readonly code?: string | undefined
  }): void
}

/** Everything of one run. */
export interface World {
  readonly seed: number
  readonly random: Random
  readonly notes: readonly string[]
  /** The machine of this name, which is made when it is first named. */
  machine(name: string, options?: MachineOptions): Machine
  nowMs(): number
  /** Ends in the same moment for 0 and less, never for Infinity. */
  sleep(durationMs: number): Promise<void>
  /** Moves the wall clock of all machines, by up to 1e12 ms either way. */
  jumpWall(byMs: number): void
  /** Holds what is sent between the two groups of machines, until `heal`. */
  partition(some: readonly string[], others: readonly string[]): void
  heal(): void
  resetConnections(): void
  note(text: string): void
}

export interface SimulationOptions {
  /** Simulated time after which the scenario must have ended, up to 1e12 ms; a day if absent. */
  readonly limitMs?: number | undefined
  /** The delay of the network; 0.1 to 0.5 ms if absent. */
  readonly delayMs?: Delay | undefined
  /** One in so many deliveries of the network resets its connection, up to 2^32; 0, the default: none. */
  readonly lossOneIn?: number | undefined
}

/** Runs a scenario in a world of its own; returns or throws what the scenario does. The seed is a safe integer. */
export function simulate<T>(
  seed: number,
  scenario: (world: World) => Promise<T>,
  options?: SimulationOptions,
): Promise<T>

export interface FailedRun {
  readonly seed: number
  readonly error: unknown
  readonly notes: readonly string[]
}

/**
 * Runs the scenario with `count` seeds, at least 1, from `from` on (1 if absent), and returns the first run that fails;
 * undefined if none does. All seeds are safe integers.
 */
export function findFailure(
  seeds: { readonly from?: number | undefined; readonly count: number },
  scenario: (world: World) => Promise<unknown>,
  options?: SimulationOptions,
): Promise<FailedRun | undefined>
