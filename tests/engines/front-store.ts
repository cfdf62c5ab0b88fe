/** A store whose processes are the engine thread of an embedded engine and its fronts, over simulated channels. */
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseIncarnation, type Incarnation } from "@hayloft/base/ids.js"
import { SimChannel } from "@hayloft/base/seams/channel/sim.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import {
  plainCopy,
  reservedThreads,
  withFront,
  withoutFront,
  type Command,
  type DecisionTime,
  type DecisionView,
  type Incarnations,
  type Metadata,
  type Query,
  type ThreadIncarnations,
} from "@hayloft/engine/metadata/index.js"
import { incarnationsOf } from "@hayloft/engine/metadata/testing-incarnations.js"
import { ChannelMetadata, LastChanges, serveMetadata, ThreadLink } from "@hayloft/engine/thread/index.js"
import { WatchedMetadata } from "@hayloft/objects/watched-metadata.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import { Scene } from "../tablet/scene.js"
import { RepeatedReads } from "./repeated-reads.js"
import { Recorded, type ProcessUnderTest, type StoreUnderTest } from "./player.js"

/** The commands that a front has sent, in their order, for those who record their decisions. */
type Sent = (Recorded<unknown> | undefined)[]

/** The history's side of a front. */
interface PlayedFront {
  readonly sent: Sent
  readonly random: Random
  /** Resolves once nothing that the front has called can take effect any more. */
  readonly ended: Promise<void>
  /** It is undefined if the front keeps no answers. */
  readonly repeated: RepeatedReads | undefined
}

/** The metadata of a front. */
class FrontMetadata extends ChannelMetadata {
  constructor(
    link: ThreadLink,
    incarnations: Incarnations,
    changes: LastChanges | undefined,
    private readonly played: PlayedFront,
  ) {
    super(link, incarnations, changes)
  }

  override async run<Result>(command: Command<Result>): Promise<Result> {
    const { sent, ended, repeated } = this.played
    repeated?.note(command.touches)
    this.repeat()
    sent.push(command instanceof Recorded ? command : undefined)
    try {
      return await super.run(command)
    } catch (error) {
      if (isFailure(error, "indeterminate")) await ended
      throw error
    }
  }

  /** All results that are kept must be those of a question, once that was confirmed. */
  override ask<Result>(query: Query<Result>): Soon<Result> {
    this.repeat()
    return this.played.random.below(2) === 0 ? super.ask(query) : this.askConfirmed(query)
  }

  private repeat(): void {
    this.played.repeated?.repeat(query => super.ask(query))
  }

  private async askConfirmed<Result>(query: Query<Result>): Promise<Result> {
    await this.confirm()
    return this.known(query)
  }
}

/** Throws unless the result is plain data: a class would arrive as something else. */
function plainly<Result>(result: Result): Result {
  plainCopy(result)
  return result
}

/** The engine's metadata, for one front. */
class ServedMetadata extends WatchedMetadata {
  constructor(
    metadata: Metadata,
    private readonly sent: Sent,
    private readonly ofFront: Incarnations,
  ) {
    super(metadata)
  }

  override async run<Result>(command: Command<Result>): Promise<Result> {
    const recorded = this.sent.shift()
    const sent = recorded === undefined ? command : new SentCommand(command, recorded, this.ofFront)
    return plainly(await super.run(sent))
  }

  override ask<Result>(query: Query<Result>): Soon<Result> {
    return after(super.ask(query), plainly)
  }

  override known<Result>(query: Query<Result>): Soon<Result> {
    return after(super.known(query), plainly)
  }
}

/** A command that has arrived, whose decision its sender records. */
class SentCommand<Result> implements Command<Result> {
  constructor(
    private readonly command: Command<Result>,
    private readonly recorded: Recorded<unknown>,
    private readonly ofFront: Incarnations,
  ) {}

  get name() {
    return this.command.name
  }

  get args() {
    return this.command.args
  }

  get grows() {
    return this.command.grows
  }

  get touches() {
    return this.command.touches
  }

  decide(rows: DecisionView, time: DecisionTime) {
    return this.recorded.deciding(this.command, rows, time, this.ofFront)
  }

  copied(): Command<Result> {
    return new SentCommand(this.command.copied(), this.recorded, this.ofFront)
  }
}

/** A thread, and the incarnations of which it has learned that they are over. */
interface Thread extends ProcessUnderTest {
  readonly knownEnds: Set<Incarnation>
}

interface RunningFront {
  readonly incarnation: Incarnation
  readonly metadata: FrontMetadata
  readonly channel: SimChannel
  readonly link: ThreadLink
  readonly ended: Promise<void>
}

export class FrontStore implements StoreUnderTest {
  private readonly scene = new Scene({ devices: 3 })
  private readonly repeated = new RepeatedReads(() => this.scene.tablet)
  private threads: ThreadIncarnations
  /** It is undefined if the fronts are told no changes, as those of a node of a cluster. */
  private changes: LastChanges | undefined
  private readonly engine: Thread
  private readonly fronts: readonly FrontThread[]

  /** `restartsEngine`: a restart of the engine thread restarts everything; else it does nothing. */
  constructor(
    private readonly random: Random,
    frontsCount: number,
    private readonly restartsEngine: boolean,
  ) {
    this.threads = threadsOfStart(0)
    const { scene } = this
    this.engine = {
      get metadata() {
        return scene.tablet
      },
      knownEnds: new Set(),
      restart: () => (this.restartsEngine ? this.restart() : Promise.resolve()),
      learn: ended => this.learn(this.engine, ended),
    }
    this.fronts = Array.from({ length: frontsCount }, () => this.front())
  }

  get processes(): readonly ProcessUnderTest[] {
    return [this.engine, ...this.fronts]
  }

  run<T>(work: () => Promise<T>): Promise<T> {
    return this.scene.clock.runUntil(work())
  }

  async open(): Promise<void> {
    const { own } = this.threads
    await this.scene.open(incarnationsOf(() => this.seenBy(this.engine), own))
    this.changes = this.random.below(2) === 0 ? undefined : LastChanges.of(this.scene.tablet)
    for (const front of this.fronts) front.begin()
  }

  async stop(): Promise<void> {
    await Promise.all(this.fronts.map(front => front.end()))
    await this.scene.tablet.stop()
  }

  private async restart(): Promise<void> {
    await this.stop()
    this.threads = threadsOfStart(this.threads.own)
    await this.open()
  }

  /** The threads as one of them sees them: it may not know yet that one has ended, as the histories have it. */
  private seenBy({ knownEnds }: Pick<Thread, "knownEnds">): ThreadIncarnations {
    const live: Incarnation[] = []
    for (let each = 1; each < this.threads.next; each += 1) {
      const incarnation = parseIncarnation(each)
      if (!knownEnds.has(incarnation)) live.push(incarnation)
    }
    return { ...this.threads, first: parseIncarnation(1), live }
  }

  private learn({ knownEnds }: Thread, ended: Incarnation): Promise<void> {
    knownEnds.add(ended)
    return Promise.resolve()
  }

  private front(): FrontThread {
    const knownEnds = new Set<Incarnation>()
    let running: RunningFront | undefined
    const front: FrontThread = {
      get metadata() {
        return must(running, "it has begun").metadata
      },
      knownEnds,
      begin: () => {
        running = this.beginFront(knownEnds)
      },
      end: async () => {
        const { channel, link, incarnation, ended } = must(running, "it has begun")
        if (this.random.below(2) === 0) link.close()
        else {
          channel.die()
          link.close()
        }
        await ended
        this.threads = withoutFront(this.threads, incarnation)
      },
      restart: async () => {
        const { incarnation } = must(running, "it has begun")
        await front.end()
        // Whatever has taken its place knows it.
        knownEnds.add(incarnation)
        front.begin()
      },
      learn: ended => this.learn(front, ended),
    }
    return front
  }

  private beginFront(knownEnds: Set<Incarnation>): RunningFront {
    const { clock, tablet } = this.scene
    const { front: incarnation, after: threads } = withFront(this.threads)
    this.threads = threads
    const incarnations = incarnationsOf(() => this.seenBy({ knownEnds }), incarnation)
    const [channel, there] = SimChannel.pair(clock, this.random.fork(`front ${incarnation}`))
    const [link, ofEngine] = [new ThreadLink(channel, clock), new ThreadLink(there, clock)]
    const sent: Sent = []
    serveMetadata(ofEngine, new ServedMetadata(tablet, sent, incarnations), incarnations, this.changes !== undefined)
    ofEngine.start()
    link.start()
    const { random, changes } = this
    const repeated = changes && this.repeated
    const metadata = new FrontMetadata(link, incarnations, changes, { sent, random, ended: ofEngine.closed, repeated })
    return { incarnation, metadata, channel, link, ended: ofEngine.closed }
  }
}

interface FrontThread extends Thread {
  begin(): void
  end(): Promise<void>
}

/** More than a history begins in one start. */
const RESERVED = 32

/** A start after the incarnation, which reserves numbers for fronts. */
const threadsOfStart = (last: number): ThreadIncarnations =>
  reservedThreads(parseIncarnation(last + 1 + RESERVED), RESERVED)
