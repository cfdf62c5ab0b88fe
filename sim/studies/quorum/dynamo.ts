/**
 * Replicas with quorums, as in Dynamo (DeCandia et al., SOSP 2007): each key has N home servers; a write is acknowledged by
 * W of them, a read asks all and waits for R, the newest timestamp wins, and stale replicas are repaired behind the read.
 * Sloppy: a server that is not reached is replaced by the next one, which hands the value over later.
 */
import { must } from "@hayloft/base/assert.js"
import { between } from "../draws.js"
import type { ReadEnd, Servers, StoreUnderStudy, WriteEnd } from "./servers.js"

export interface Quorum {
  readonly w: number
  readonly r: number
  /** Values go to other servers while home servers do not answer. */
  readonly isSloppy?: boolean
  /**
   * Attiya, Bar-Noy and Dolev (1995): a write first asks a quorum for the newest timestamp, and a read writes what it has
   * read to a quorum before it answers.
   */
  readonly isAtomic?: boolean
}

const REPLICAS = 3
const HAND_OVER_EVERY_MS = 1_000
/** Clocks of servers differ by at most twice this. */
const SKEW_MS = 5

interface Version {
  readonly write: string
  readonly timestamp: number
}

/** In the order of time; of equal times the server with the higher number wins. */
const timestampOf = (timeMs: number, server: number): number => Math.floor(timeMs * 1_000) * 64 + server

interface Replica {
  readonly values: Map<number, Version>
  /** Values for home servers that did not answer, by their key. */
  readonly hints: Map<number, { readonly home: number; readonly version: Version }>
}

export class DynamoStore implements StoreUnderStudy {
  readonly survives = new Map<string, number>()
  private readonly replicas: readonly Replica[]
  private readonly skewMs: readonly number[]
  private readonly timestamps = new Map<string, number>()
  private writes = 0
  private copies = 0

  constructor(
    private readonly servers: Servers,
    private readonly quorum: Quorum,
  ) {
    const { count, random, events } = servers
    this.replicas = Array.from({ length: count }, () => ({ values: new Map(), hints: new Map() }))
    this.skewMs = this.replicas.map(() => between(random, -SKEW_MS, SKEW_MS))
    if (quorum.isSloppy !== true) return
    const handOver = (): boolean => {
      for (const from of this.replicas.keys()) this.handOver(from)
      return true
    }
    events.every(HAND_OVER_EVERY_MS, () => HAND_OVER_EVERY_MS, handOver)
  }

  get bytesPerByte(): number {
    return this.copies / this.writes
  }

  replaces(earlier: string, later: string): boolean {
    return (this.timestamps.get(later) ?? 0) > (this.timestamps.get(earlier) ?? 0)
  }

  private homesOf(key: number): readonly number[] {
    return Array.from({ length: this.servers.count }, (_, next) => (key + next) % this.servers.count)
  }

  /** The servers of a value, each with the home server for which it keeps it. */
  private targetsOf(by: number, key: number): readonly (readonly [server: number, home: number])[] {
    const all = this.homesOf(key)
    const homes = all.slice(0, REPLICAS)
    if (this.quorum.isSloppy !== true) return homes.map(home => [home, home])
    const spare = all.slice(REPLICAS).filter(server => this.servers.isCallable(by, server))
    return homes.map(home => [this.servers.isCallable(by, home) ? home : (spare.shift() ?? home), home])
  }

  write(by: number, key: number, write: string, ended: (end: WriteEnd) => void): void {
    const begin = (timestamp: number): void => {
      this.timestamps.set(write, timestamp)
      this.writes += 1
      const sent = (stored: number): void => {
        if (stored < this.quorum.w) return ended("unknown")
        this.survives.set(write, stored - 1)
        ended("done")
      }
      this.store(by, key, { write, timestamp }, this.quorum.w, sent)
    }
    if (this.quorum.isAtomic !== true) return begin(timestampOf(this.clockOf(by), by))
    this.ask(by, key, this.quorum.r, versions => {
      if (versions === undefined) return ended("refused")
      const newest = newestOf(versions)?.timestamp ?? 0
      begin(Math.max(newest + 64 - (newest % 64) + by, timestampOf(this.clockOf(by), by)))
    })
  }

  private clockOf(server: number): number {
    // From the beginning on above 0.
    return 1_000 + this.servers.events.nowMs + must(this.skewMs[server], "every server has a clock")
  }

  /** Sends a version to all its servers; `stored` is called once, as soon as enough have it or too few can. */
  private store(by: number, key: number, version: Version, enough: number, stored: (count: number) => void): void {
    const targets = this.targetsOf(by, key)
    let [done, failed, isOver] = [0, 0, false]
    for (const [server, home] of targets) {
      this.copies += 1
      const put = (): boolean => this.put(server, home, key, version)
      this.servers.call(by, server, "write", put, answer => {
        if (answer === undefined) failed += 1
        else done += 1
        if (isOver || (done < enough && targets.length - failed >= enough)) return
        isOver = true
        stored(done)
      })
    }
  }

  private put(server: number, home: number, key: number, version: Version): true {
    const { values, hints } = must(this.replicas[server], "the server exists")
    const before = server === home ? values.get(key) : hints.get(key)?.version
    if (before !== undefined && before.timestamp >= version.timestamp) return true
    if (server === home) values.set(key, version)
    else hints.set(key, { home, version })
    return true
  }

  private handOver(from: number): void {
    const { hints } = must(this.replicas[from], "the server exists")
    if (!this.servers.isUp(from)) return
    for (const [key, { home, version }] of hints) {
      if (!this.servers.isUp(home) || !this.servers.isCallable(from, home)) continue
      this.copies += 1
      const put = (): boolean => this.put(home, home, key, version)
      this.servers.call(from, home, "write", put, answer => {
        if (answer === true && hints.get(key)?.version === version) hints.delete(key)
      })
    }
  }

  read(by: number, key: number, ended: (end: ReadEnd | undefined) => void): void {
    this.ask(by, key, this.quorum.r, versions => {
      if (versions === undefined) return ended(undefined)
      const newest = newestOf(versions)
      const answer = { write: newest?.write }
      if (this.quorum.isAtomic !== true || newest === undefined) return ended(answer)
      this.store(by, key, newest, this.quorum.w, stored => ended(stored < this.quorum.w ? undefined : answer))
    })
  }

  /** Asks all servers of a key; `answered` is called once. Stale servers are repaired once all have answered. */
  private ask(
    by: number,
    key: number,
    enough: number,
    answered: (versions: readonly (Version | undefined)[] | undefined) => void,
  ): void {
    const targets = this.targetsOf(by, key)
    const found: (readonly [server: number, home: number, version: Version | undefined])[] = []
    let [failed, isOver] = [0, false]
    for (const [server, home] of targets) {
      const get = () => [this.get(server, key)] as const
      this.servers.call(by, server, "read", get, answer => {
        if (answer === undefined) failed += 1
        else found.push([server, home, answer[0]])
        if (found.length + failed === targets.length) this.repair(by, key, found)
        const isPossible = targets.length - failed >= enough
        if (isOver || (found.length < enough && isPossible)) return
        isOver = true
        answered(isPossible ? found.map(([, , version]) => version) : undefined)
      })
    }
  }

  private get(server: number, key: number): Version | undefined {
    const { values, hints } = must(this.replicas[server], "the server exists")
    return newestOf([values.get(key), hints.get(key)?.version])
  }

  private repair(
    by: number,
    key: number,
    found: readonly (readonly [server: number, home: number, version: Version | undefined])[],
  ): void {
    const newest = newestOf(found.map(([, , version]) => version))
    if (newest === undefined) return
    for (const [server, home, version] of found) {
      if ((version?.timestamp ?? 0) >= newest.timestamp) continue
      const put = (): boolean => this.put(server, home, key, newest)
      this.servers.call(by, server, "write", put, () => undefined)
    }
  }
}

function newestOf(versions: readonly (Version | undefined)[]): Version | undefined {
  let newest: Version | undefined
  for (const version of versions) {
    if (version !== undefined && version.timestamp > (newest?.timestamp ?? -Infinity)) newest = version
  }
  return newest
}
