/**
 * The simulated web: services of a test, by origin. Nothing is resolved or connected; an origin without a service does
 * not respond, like a machine that is off.
 */
import { concatBytes } from "../../bytes.js"
import { fail } from "../../failures.js"
import type { PostAnswer, PostRequest, ReadRequest, SendAnswer, SendRequest, WebServices } from "./contract.js"

/** Answers a request, whenever it likes. */
type SimService = (request: SimRequest) => Promise<PostAnswer & Partial<Pick<SendAnswer, "headers">>>
type SimRequest = PostRequest & { readonly method: SendRequest["method"] | "GET" | "POST" }

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
    return this.asked({ method: "GET", url, headers, body: new Uint8Array(), authorities: undefined }, bytesMax, signal)
  }

  post(request: PostRequest, bytesMax: number, signal: AbortSignal): Promise<PostAnswer> {
    return this.asked({ method: "POST", ...request }, bytesMax, signal)
  }

  async send({ body, ...request }: SendRequest, bytesMax: number, signal: AbortSignal): Promise<SendAnswer> {
    const pieces: Uint8Array[] = []
    // A piece is valid until the next one is requested.
    if (body !== undefined) for await (const piece of body) pieces.push(Uint8Array.from(piece))
    return this.asked({ ...request, body: concatBytes(pieces), authorities: undefined }, bytesMax, signal)
  }

  private async asked(request: SimRequest, bytesMax: number, signal: AbortSignal): Promise<SendAnswer> {
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
    return { headers: new Map(), ...answer }
  }
}
