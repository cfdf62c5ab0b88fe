/**
 * The simulated web: services of a test, by origin. Nothing is resolved or connected; an origin without a service does
 * not respond, like a machine that is off.
 */
import { fail } from "../../base/failures.js"
import type { PostAnswer, PostRequest, ReadRequest, WebServices } from "./contract.js"

/** Answers a request, whenever it likes. */
type SimService = (request: PostRequest) => Promise<PostAnswer>

export class SimServices implements WebServices {
  private readonly services = new Map<string, SimService>()

  /** `https://host:port` */
  serve(origin: string, service: SimService): void {
    this.services.set(origin, service)
  }

  /** From now on connections to it are refused. */
  end(origin: string): void {
    this.services.delete(origin)
  }

  read({ url, headers }: ReadRequest, bytesMax: number, signal: AbortSignal): Promise<PostAnswer> {
    return this.post({ url, headers, body: new Uint8Array(), authorities: undefined }, bytesMax, signal)
  }

  async post(request: PostRequest, bytesMax: number, signal: AbortSignal): Promise<PostAnswer> {
    const { url } = request
    const unreachable = (reason: string) => fail("providerUnreachable", { url, reason })
    const service = this.services.get(new URL(url).origin)
    if (service === undefined) throw unreachable("connection refused")
    if (signal.aborted) throw unreachable("aborted")
    const aborted = new Promise<never>((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(unreachable("aborted")), { once: true })
    })
    const answer = await Promise.race([service(request), aborted])
    if (answer.body.length > bytesMax) throw unreachable(`more than ${bytesMax} bytes`)
    return answer
  }
}
