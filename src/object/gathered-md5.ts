/**
 * MD5 of the bodies of small puts, hashed together as far as they come together.
 *
 * While puts are under way the next ones would only wait for the log anyway: their bodies are gathered, until
 * TOGETHER of them are there or a put has ended. A body that comes when none is under way is hashed at once.
 *
 * Promises  Every body has its digest, WAIT_MS_MAX after it came at the latest.
 */
import { Md5Together } from "../simd/md5-together.js"
import type { Clock } from "../seams/clock/contract.js"
import { digestOnce } from "../seams/compute/index.js"

/** Two vectors of lanes; a third one brings next to nothing. */
const TOGETHER = 8
/** A put that waits for room or for a disk holds up no other. */
const WAIT_MS_MAX = 5

interface Waiting {
  readonly bytes: Uint8Array
  readonly take: (md5: Uint8Array) => void
}

export class GatheredMd5 {
  private readonly together: Md5Together
  private waiting: Waiting[] = []
  /** Puts that have been given their digest. */
  private underWay = 0
  private callOff: () => void = () => undefined

  constructor(
    private readonly clock: Clock,
    bytesMax: number,
  ) {
    this.together = new Md5Together(bytesMax)
  }

  /** Does the work of a put of up to `bytesMax` with its digest; the put is under way until the work has ended. */
  during<Result>(bytes: Uint8Array, work: (md5: Uint8Array) => Promise<Result>): Promise<Result> {
    if (this.underWay === 0) {
      this.underWay = 1
      return this.end(alone(bytes), work)
    }
    return new Promise<Uint8Array>(take => {
      if (this.waiting.length === 0) this.callOff = this.clock.alarm(WAIT_MS_MAX, () => this.give())
      this.waiting.push({ bytes, take })
      if (this.waiting.length === TOGETHER) this.give()
    }).then(md5 => this.end(md5, work))
  }

  private end<Result>(md5: Uint8Array, work: (md5: Uint8Array) => Promise<Result>): Promise<Result> {
    let result: Promise<Result>
    try {
      result = work(md5)
    } catch (error) {
      this.ended()
      throw error
    }
    return result.then(
      value => {
        this.ended()
        return value
      },
      (error: unknown) => {
        this.ended()
        throw error
      },
    )
  }

  private ended(): void {
    this.underWay -= 1
    if (this.waiting.length > 0) this.give()
  }

  private give(): void {
    this.callOff()
    const { waiting } = this
    this.waiting = []
    this.underWay += waiting.length
    const [first, ...others] = waiting
    if (first && others.length === 0) return first.take(alone(first.bytes))
    const digests = this.together.digests(waiting.map(({ bytes }) => bytes))
    for (const [i, md5] of digests.entries()) waiting[i]?.take(md5)
  }
}

const alone = (bytes: Uint8Array): Uint8Array => Buffer.from(digestOnce("md5", bytes, "binary"), "latin1")
