/** Encryption for the twins: what requests ask for, the keys of clients, and ETags that differ between the two sides. */
import { must } from "@hayloft/base/assert.js"
import type { ObjectKey } from "@hayloft/base/ids.js"
import type { Conditions, Protection } from "@hayloft/objects/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { Names } from "./twin-names.js"

const KEY_BYTES = 32
const CLIENT_KEYS = [1, 2].map(number => new Uint8Array(KEY_BYTES).fill(number))

/** The statements of requests about encryption. Draws nothing unless it is on. */
export class TwinKeys {
  /** The key of a client under which each object was last written. */
  private readonly last = new Map<ObjectKey, Uint8Array | undefined>()

  constructor(
    private readonly random: Random,
    private readonly isOn: boolean,
  ) {}

  protection(): Protection | undefined {
    const draw = this.isOn ? this.random.below(4) : 0
    if (draw < 2) return draw === 0 ? undefined : { mode: "s3" }
    return { mode: "client", key: this.any() }
  }

  note(key: ObjectKey, protection: Protection | undefined): void {
    this.last.set(key, clientKeyIn(protection))
  }

  /** The key that a request for an object states: mostly that of its latest version. */
  clientKey(key: ObjectKey): Uint8Array | undefined {
    return this.mostly(this.last.get(key))
  }

  /** Mostly this one. */
  mostly(right: Uint8Array | undefined): Uint8Array | undefined {
    if (!this.isOn || this.random.below(8) > 0) return right
    return this.random.below(3) === 0 ? undefined : this.any()
  }

  private any(): Uint8Array {
    return must(CLIENT_KEYS[this.random.below(CLIENT_KEYS.length)], "there is such a key")
  }
}

export const clientKeyIn = (protection: Protection | undefined): Uint8Array | undefined =>
  protection?.mode === "client" ? protection.key : undefined

type EtagPair = readonly [engine: string, model: string]

/** ETags of both sides: those of objects under a client's key are random. */
export class TwinEtags {
  private readonly names = new Names<string>("e")
  private readonly pairs: EtagPair[] = []

  /** Learns the ETags of what both sides answered. */
  learn(answers: readonly [unknown, unknown]): void {
    const [engine, model] = answers.map(etagIn)
    if (engine !== undefined && model !== undefined && engine !== model) this.names.add(engine, model)
  }

  nameOf(side: 0 | 1, etag: string): string {
    return this.names.nameOf(side, etag).replace(/^unknown /, "")
  }

  push(pair: EtagPair): void {
    this.pairs.push(pair)
  }

  /** Conditions of a request, for each side. */
  conditions(random: Random): readonly [Conditions, Conditions] {
    const draw = random.below(8)
    if (draw === 0) return alike({ ifNoneMatch: ["*"] })
    if (draw === 1 && this.pairs.length > 0) return ofBoth(this.recent(random), etag => ({ ifMatch: [etag] }))
    if (draw === 2 && this.pairs.length > 0) return ofBoth(this.recent(random), etag => ({ ifNoneMatch: [etag] }))
    return alike(draw === 3 ? { ifMatch: ["*"] } : {})
  }

  private recent(random: Random): EtagPair {
    const recent = this.pairs.slice(-4)
    return must(recent[random.below(recent.length)], "there are ETags")
  }
}

const alike = (conditions: Conditions): readonly [Conditions, Conditions] => [conditions, conditions]

const ofBoth = ([engine, model]: EtagPair, of: (etag: string) => Conditions): readonly [Conditions, Conditions] => [
  of(engine),
  of(model),
]

function etagIn(answer: unknown): string | undefined {
  if (typeof answer !== "object" || answer === null || !("etag" in answer)) return undefined
  return typeof answer.etag === "string" ? answer.etag : undefined
}
