/**
 * Beside MinIO: the processor time of the server for one request, all threads, and that of MinIO for the same request.
 *
 * Each round measures fresh processes, as people who compare them do: compiling and everything else that a fresh process does
 * for its first requests is included, starting is not. 32 connections send to one store, then to the other, in turns of a tenth of a
 * second, until each had `SECONDS` of load. The folders of both are on one disk, and both answer once it has the bytes.
 */
import type { ChildProcess } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { join } from "node:path"
import { KIB } from "@hayloft/base/limits.js"
import { RawConnection, type RawRequest } from "@hayloft/client/load/raw-connection.js"
import { RequestForge } from "@hayloft/client/load/request-forge.js"
import { HAYLOFT_COMMAND } from "@hayloft/client/testing-store-process.js"
import type { Bench } from "../bench.js"
import { sendAll, type PlainStore } from "../form-store.js"
import { BUCKET } from "../own-store.js"
import { findPeer, HAYLOFT, KEYS, MINIO, REGION, type Peer, type Place } from "../peers/peers.js"
import { endPeer, freePorts, PORTS, startPeer } from "../peers/running.js"
import { CPU_SECONDS_MIN, cpuSecondsOf } from "../process-usage.js"
import { IN_SIGNED_CHUNKS, list, put, read, type PlainForm } from "../request-forms.js"
import { all, atMost, Unmeasured, type Measured, type Row } from "../row.js"
import { theme, type Fixture } from "../theme.js"
import { inTurns, TurnTaker } from "../turns.js"

const SECONDS = 12
const FIRST_SECONDS = 1
const CONNECTIONS = 32
/** Requests that a load repeats. */
const PREPARED = 1000
const OBJECT_BYTES = 4 * KIB
const READY_POLL_MS = 50
const READY_POLLS_MAX = 400

/** Processor time and answers so far. */
interface Spent {
  readonly seconds: number
  readonly answered: number
}

const microseconds = (from: Spent, to: Spent): number =>
  (Math.max(CPU_SECONDS_MIN, to.seconds - from.seconds) * 1e6) / Math.max(1, to.answered - from.answered)

/** A store in an empty folder. */
class Contender implements PlainStore {
  readonly forge: RequestForge
  private child: ChildProcess | undefined
  private load: TurnTaker | undefined
  private readonly filled = new Set<string>()

  private constructor(
    private readonly bench: Bench,
    private readonly peer: Peer,
    private readonly program: string,
    private readonly place: Place,
  ) {
    const { id: accessKeyId, secret: secretAccessKey } = KEYS
    const endpoint = `http://127.0.0.1:${place.port}`
    this.forge = new RequestForge({ endpoint, region: REGION, accessKeyId, secretAccessKey }, bench.clock)
  }

  /** With a bucket. */
  static async open(bench: Bench, peer: Peer, program: string): Promise<Contender> {
    const folder = await mkdtemp(join(bench.workFolder, "beside-"))
    const contender = new Contender(bench, peer, program, { folder, port: await freePorts(PORTS.first) })
    try {
      await contender.start()
      await contender.send([contender.forge.forge({ method: "PUT", bucket: BUCKET })])
      return contender
    } catch (error) {
      await contender.close()
      throw error
    }
  }

  /** Ends it, and removes what it wrote. */
  async close(): Promise<void> {
    this.load?.close()
    if (this.child !== undefined) await endPeer(this.child, "SIGKILL")
    await rm(this.place.folder, { recursive: true, force: true })
  }

  /** A load for a fresh process, which has answered none of its requests. */
  async ready(form: PlainForm): Promise<TurnTaker> {
    const requests = await form.prepare(this, PREPARED)
    if (this.child !== undefined) await endPeer(this.child, "SIGTERM")
    await this.start()
    const { endpoint } = this.forge
    const { answerBytes } = form
    this.load = new TurnTaker(this.bench, { endpoint, requests, isOnce: false, answerBytes, connections: CONNECTIONS })
    await this.load.open()
    return this.load
  }

  async spent(): Promise<Spent> {
    return { seconds: await cpuSecondsOf(this.child?.pid ?? 0), answered: this.load?.answered ?? 0 }
  }

  otherForge(): Promise<RequestForge> {
    return Promise.reject(new Unmeasured("a store of another maker has one account here"))
  }

  async fill(name: string, requests: () => readonly RawRequest[]): Promise<void> {
    if (this.filled.has(name)) return
    await this.send(requests())
    this.filled.add(name)
  }

  private send(requests: readonly RawRequest[]): Promise<void> {
    return sendAll(this.bench, { endpoint: this.forge.endpoint, requests })
  }

  /** Its port answers before it is ready. */
  private async start(): Promise<void> {
    const { clock, signal } = this.bench
    this.child = await startPeer(this.peer, this.program, this.place, { clock, signal })
    const connection = new RawConnection(this.forge.endpoint, signal)
    try {
      for (let poll = 0; poll < READY_POLLS_MAX; poll += 1) {
        const { status } = await connection.ask(this.forge.forge({ method: "HEAD", bucket: BUCKET }))
        if (status < 500) return
        await clock.sleep(READY_POLL_MS, signal)
      }
    } finally {
      connection.close()
    }
    throw new Error(`${this.peer.name} does not become ready`)
  }
}

class BesideMinio implements Fixture {
  private constructor(
    private readonly bench: Bench,
    private readonly program: string,
  ) {}

  static async open(bench: Bench): Promise<BesideMinio> {
    const program = await findPeer(MINIO, process.env["PATH"] ?? "")
    if (program === undefined) throw new Unmeasured("needs MinIO's server: `minio` in the PATH")
    return new BesideMinio(bench, program)
  }

  async close(): Promise<void> {}

  async measure(form: PlainForm): Promise<Measured> {
    const ours = await Contender.open(this.bench, HAYLOFT, HAYLOFT_COMMAND)
    try {
      const theirs = await Contender.open(this.bench, MINIO, this.program)
      try {
        return await this.beside(form, ours, theirs)
      } finally {
        await theirs.close()
      }
    } finally {
      await ours.close()
    }
  }

  private async beside(form: PlainForm, ours: Contender, theirs: Contender): Promise<Measured> {
    const loads = [await ours.ready(form), await theirs.ready(form)]
    const { share } = this.bench.scale
    const spent = () => Promise.all([ours.spent(), theirs.spent()])
    const start = await spent()
    await inTurns(loads, FIRST_SECONDS * share)
    const first = await spent()
    await inTurns(loads, (SECONDS - FIRST_SECONDS) * share)
    const end = await spent()
    return {
      figure: microseconds(start[0], end[0]),
      unit: "CPU µs",
      limit: microseconds(start[1], end[1]),
      also: {
        firstSecond: microseconds(start[0], first[0]),
        later: microseconds(first[0], end[0]),
        minioFirstSecond: microseconds(start[1], first[1]),
        minioLater: microseconds(first[1], end[1]),
      },
    }
  }
}

const rowOf = (form: PlainForm, ratioMax: number): Row<BesideMinio> => ({
  work: form.name,
  target: all(atMost("ratio", ratioMax)),
  measure: it => it.measure(form),
})

export const BESIDE_MINIO = theme({
  name: "beside-minio",
  isOnRequest: true,
  open: bench => BesideMinio.open(bench),
  rows: () => [
    rowOf(put(OBJECT_BYTES), 0.25),
    rowOf(put(OBJECT_BYTES, IN_SIGNED_CHUNKS), 0.25),
    rowOf(read(OBJECT_BYTES), 0.2),
    rowOf(read(OBJECT_BYTES, { method: "HEAD" }), 0.2),
    rowOf(list(100), 0.2),
  ],
})
