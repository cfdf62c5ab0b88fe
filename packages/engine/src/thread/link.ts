/**
 * Link: calls between two threads of a process, over a channel. Either side calls the other.
 *
 * Promises  All that a turn of the event loop has to send is one message, in the order of the calls. Each call is answered
 *           once, or fails with the failure of its method; after the end of the other thread with `indeterminate` if
 *           its method changes something, else with `stopping`. What cannot be sent, or
 *           what the other thread does not offer (yet), fails alone.
 * Limits    LINK_LIMITS: calls that are not answered, which bounds what waits for a thread that does not read.
 */
import { must } from "@hayloft/base/assert.js"
import { asFailure, fail, type Failure, type FailureDetails, type FailureKind } from "@hayloft/base/failures.js"
import type { Channel } from "@hayloft/base/seams/channel/contract.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { asPromise, type Soon } from "@hayloft/base/soon.js"
import { LINK_LIMITS } from "./limits.js"
import { MessagePacker, MessageUnpacker, type Packed } from "./packing.js"

/** A method that one thread offers another; requests and answers are plain data. */
export interface ThreadMethod<Request, Answer> {
  readonly name: string
  /** A call may change something: if its answer is lost, the caller does not know. */
  readonly changes: boolean
  /** Calls and answers are small and many, and hold no memory that is shared or moved. Default false. */
  readonly isPacked?: boolean
  /** The types of a call. Nothing calls it. */
  readonly types?: (request: Request) => Answer
}

/** Buffers of an answer that are moved to the other thread, not copied: each is used nowhere else. */
export type MoveBytes = (bytes: Uint8Array<ArrayBuffer>) => void

interface Handler {
  readonly isPacked: boolean
  readonly answer: (request: unknown, move: MoveBytes) => Soon<unknown>
}

type Envelope =
  | { readonly kind: "call"; readonly id: number; readonly method: string; readonly request: unknown }
  | { readonly kind: "answer"; readonly id: number; readonly answer: unknown }
  | { readonly kind: "failure"; readonly id: number; readonly failure: FailureKind; readonly details: FailureDetails }

interface Sending {
  readonly envelope: Envelope
  readonly isPacked: boolean
  readonly moved: readonly ArrayBuffer[]
}

/**
 * Envelopes in their order: those that are not packed are in the places of null. A message that has nothing but packed bytes
 * is these bytes, since an object around them costs as much again.
 */
interface Batch {
  readonly packed: Packed
  readonly others: readonly Envelope[]
}

interface Waiting {
  readonly changes: boolean
  readonly resolve: (answer: unknown) => void
  readonly reject: (failure: Failure) => void
}

/** Moves bytes whose only user is the caller. They are copied first if their buffer holds more. */
export function moved(bytes: Uint8Array, move: MoveBytes): Uint8Array {
  const own = isAlone(bytes) ? bytes : new Uint8Array(bytes)
  move(own)
  return own
}

const isAlone = (bytes: Uint8Array): bytes is Uint8Array<ArrayBuffer> =>
  bytes.buffer instanceof ArrayBuffer && bytes.buffer.byteLength === bytes.byteLength

const NOTHING_MOVED: readonly ArrayBuffer[] = []

export class ThreadLink {
  /** Resolves once nothing is sent or received any more. */
  readonly ended: Promise<void>
  /** The same, once whatever the other thread had called has ended, too. */
  readonly closed: Promise<void>
  private readonly handlers = new Map<string, Handler>()
  private readonly waiting = new Map<number, Waiting>()
  private sending: Sending[] = []
  private readonly packing = new MessagePacker()
  private readonly unpacking = new MessageUnpacker()
  /** Questions of this turn. */
  private readonly questions = new Map<string, Promise<unknown>>()
  private lastId = 0
  /** Calls of the other thread. */
  private underWay = 0
  private isClosed = false

  constructor(
    private readonly channel: Channel,
    private readonly clock: Pick<Clock, "atEndOfTurn">,
    private readonly callsMax: number = LINK_LIMITS.callsMax,
  ) {
    this.ended = new Promise(resolve => {
      this.onEnded = resolve
    })
    this.closed = new Promise(resolve => {
      this.onClosed = resolve
    })
  }

  private onEnded: () => void = () => undefined
  private onClosed: () => void = () => undefined

  /** Before `start`. */
  handle<Request, Answer>(
    method: ThreadMethod<Request, Answer>,
    handler: (request: Request, move: MoveBytes) => Soon<Answer>,
  ): void {
    const { name, isPacked = false } = method
    this.handlers.set(name, { isPacked, answer: (request, move) => handler(parseRequest<Request>(request), move) })
  }

  start(): void {
    this.channel.start({
      message: message => this.envelopesOf(parseBatch(message)).forEach(envelope => this.receive(envelope)),
      closed: () => this.end(),
    })
  }

  /** The number of calls that the other thread has not answered. */
  get unanswered(): number {
    return this.waiting.size
  }

  /** Throws the failure of the method, and `tooManyInFlight`. */
  call<Request, Answer>(method: ThreadMethod<Request, Answer>, request: Request): Promise<Answer> {
    const { name, changes, isPacked = false } = method
    if (this.isClosed) return Promise.reject(fail("stopping"))
    if (this.waiting.size >= this.callsMax) return Promise.reject(fail("tooManyInFlight"))
    this.lastId += 1
    const id = this.lastId
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { changes, resolve: answer => resolve(parseAnswer<Answer>(answer)), reject })
      this.post({ kind: "call", id, method: name, request }, isPacked)
    })
  }

  /** The same for a question that is sent once for all that ask in one turn. */
  ask<Answer>(method: ThreadMethod<undefined, Answer>): Promise<Answer> {
    const { name } = method
    const asked = this.questions.get(name) ?? this.call(method, undefined)
    // A call that is refused at once is not sent, so that no end of the turn clears it.
    if (this.sending.length > 0) this.questions.set(name, asked)
    return asked.then(answer => parseAnswer<Answer>(answer))
  }

  /** The other side receives what this turn has sent; calls that are not answered fail. */
  close(): void {
    this.flush()
    this.channel.close()
    this.end()
  }

  private envelopesOf({ packed, others }: Batch): readonly Envelope[] {
    const rest = others.values()
    const envelopes = this.unpacking.unpack(packed)
    return envelopes.map(each => (each === null ? must(rest.next().value, "it was sent") : parseEnvelope(each)))
  }

  private receive(envelope: Envelope): void {
    // A call of this batch may have closed the link.
    if (this.isClosed) return
    if (envelope.kind === "call") {
      this.answer(envelope.id, envelope.method, envelope.request)
      return
    }
    const waiting = this.waiting.get(envelope.id)
    this.waiting.delete(envelope.id)
    if (envelope.kind === "answer") waiting?.resolve(envelope.answer)
    else waiting?.reject(fail(envelope.failure, envelope.details))
  }

  private answer(id: number, method: string, request: unknown): void {
    const moved: ArrayBuffer[] = []
    const move: MoveBytes = bytes => moved.push(bytes.buffer)
    const handler = this.handlers.get(method)
    this.underWay += 1
    asPromise(() => must(handler, `a thread offers ${method}`).answer(request, move))
      .then(
        answer => this.post({ kind: "answer", id, answer }, handler?.isPacked, moved),
        (error: unknown) => this.post(failureOf(id, error), handler?.isPacked),
      )
      .finally(() => {
        this.underWay -= 1
        if (this.isClosed && this.underWay === 0) this.onClosed()
      })
  }

  private post(envelope: Envelope, isPacked = false, moved: readonly ArrayBuffer[] = NOTHING_MOVED): void {
    if (this.isClosed) return
    this.sending.push({ envelope, isPacked, moved })
    if (this.sending.length === 1) this.clock.atEndOfTurn(() => this.flush())
  }

  private flush(): void {
    const batch = this.sending
    this.sending = []
    this.questions.clear()
    if (batch.length === 0) return
    try {
      this.send(batch)
    } catch {
      // One of them cannot be copied.
      for (const each of batch) this.sendAlone(each)
    }
  }

  private send(batch: readonly Sending[]): void {
    const packed = this.packing.pack(batch.map(({ envelope, isPacked }) => (isPacked ? envelope : null)))
    const others = batch.filter(({ isPacked }) => !isPacked)
    const { bytes, shapes } = packed
    if (others.length === 0 && shapes === undefined) {
      this.channel.send(bytes, bytes.length > LINK_LIMITS.copiedBytesMax ? [bytes.buffer] : NOTHING_MOVED)
      return
    }
    const message: Batch = { packed, others: others.map(({ envelope }) => envelope) }
    this.channel.send(message, [bytes.buffer, ...others.flatMap(({ moved }) => moved)])
    this.packing.sent()
  }

  private sendAlone(sending: Sending): void {
    try {
      this.send([sending])
    } catch (error) {
      const { envelope } = sending
      const { id } = envelope
      if (envelope.kind !== "call") {
        const failed: Envelope = { kind: "failure", id, failure: "internal", details: {} }
        this.send([{ envelope: failed, isPacked: false, moved: NOTHING_MOVED }])
        return
      }
      const waiting = this.waiting.get(id)
      this.waiting.delete(id)
      waiting?.reject(asFailure(error))
    }
  }

  private end(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.sending = []
    for (const { changes, reject } of this.waiting.values()) {
      reject(changes ? fail("indeterminate", { message: "the thread that was to do it has ended" }) : fail("stopping"))
    }
    this.waiting.clear()
    this.onEnded()
    if (this.underWay === 0) this.onClosed()
  }
}

function failureOf(id: number, error: unknown): Envelope {
  const { kind, details } = asFailure(error)
  return { kind: "failure", id, failure: kind, details }
}

/** Both threads run the same program, so that their types are the same. */
const parseRequest = <Request>(request: unknown): Request => request as Request
const parseAnswer = <Answer>(answer: unknown): Answer => answer as Answer
const parseBatch = (message: unknown): Batch =>
  message instanceof Uint8Array
    ? { packed: { bytes: parseBytes(message), shapes: undefined }, others: [] }
    : (message as Batch)
const parseBytes = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => bytes as Uint8Array<ArrayBuffer>
const parseEnvelope = (envelope: unknown): Envelope => envelope as Envelope
