/**
 * The real web. It follows no redirection, so that it requests only the given address.
 *
 * Promises  Unless local addresses are allowed, it connects only over TLS and to addresses of the public internet,
 *           whatever name they have: otherwise a user who may name an address could make this machine request
 *           documents that only it can reach.
 * Limits    `CONNECTIONS_MAX` connections to a service, which are kept for its next requests until `close`.
 */
import { lookup, type LookupAddress } from "node:dns"
import { Agent as PlainAgent, request as requestInTheClear, type IncomingMessage } from "node:http"
import { Agent as TlsAgent, request as requestOverTls, type RequestOptions } from "node:https"
import { isIP, type LookupFunction } from "node:net"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { concatBytes } from "../../bytes.js"
import { fail, isFailure, type Failure } from "../../failures.js"
import type { PostAnswer, PostRequest, ReadRequest, SendAnswer, SendRequest, Web, WebServices } from "./contract.js"
import { isPublicAddress } from "./real-addresses.js"

interface Limits {
  readonly bytesMax: number
  readonly timeoutMs: number
}

const CONNECTIONS_MAX = 64

export class RealWeb implements Web, WebServices {
  private readonly kept = {
    tls: new TlsAgent({ keepAlive: true, maxSockets: CONNECTIONS_MAX }),
    plain: new PlainAgent({ keepAlive: true, maxSockets: CONNECTIONS_MAX }),
  }

  /** `allowsLocal`: allows any address, also without TLS. */
  constructor(private readonly allowsLocal: boolean) {}

  allows(url: string): boolean {
    const { protocol, hostname } = new URL(url)
    if (this.allowsLocal) return protocol === "https:" || protocol === "http:"
    const host = hostname.replace(/^\[(.*)\]$/, "$1")
    return protocol === "https:" && (isIP(host) === 0 || isPublicAddress(host))
  }

  async get(url: string, { bytesMax, timeoutMs }: Limits): Promise<Uint8Array> {
    const signal = AbortSignal.timeout(timeoutMs)
    const headers = { accept: "application/json", "accept-encoding": "identity" }
    return this.asked(url, { signal, headers, agent: false }, undefined, async response => {
      if (response.statusCode !== 200) throw unreachable(url, `status ${response.statusCode ?? ""}`)
      return bodyOf(url, response, bytesMax)
    })
  }

  post({ url, headers, body, authorities }: PostRequest, bytesMax: number, signal: AbortSignal): Promise<PostAnswer> {
    const agent = url.startsWith("https:") ? this.kept.tls : this.kept.plain
    const options = {
      method: "POST",
      signal,
      headers: { "accept-encoding": "identity", ...headers },
      agent,
      ...(authorities !== undefined && { ca: authorities }),
    }
    return this.asked(url, options, body, async response => ({
      status: response.statusCode ?? 0,
      body: await bodyOf(url, response, bytesMax),
    }))
  }

  read({ url, headers }: ReadRequest, bytesMax: number, signal: AbortSignal): Promise<PostAnswer> {
    const agent = url.startsWith("https:") ? this.kept.tls : this.kept.plain
    const options = { signal, headers: { "accept-encoding": "identity", ...headers }, agent }
    return this.asked(url, options, undefined, async response => ({
      status: response.statusCode ?? 0,
      body: await bodyOf(url, response, bytesMax),
    }))
  }

  send({ method, url, headers, body }: SendRequest, bytesMax: number, signal: AbortSignal): Promise<SendAnswer> {
    const agent = url.startsWith("https:") ? this.kept.tls : this.kept.plain
    // A URL that is parsed has lost dots and slashes, which are part of a name.
    const [, path = "/"] = /^https?:\/\/[^/]+(\/.*)$/.exec(url) ?? []
    return this.asked(url, { method, path, signal, headers, agent }, body, async response => ({
      status: response.statusCode ?? 0,
      headers: new Map(
        Object.entries(response.headers).flatMap(([name, value]) => (typeof value === "string" ? [[name, value]] : [])),
      ),
      body: await bodyOf(url, response, bytesMax),
    }))
  }

  /** Closes the connections that are kept. */
  close(): void {
    this.kept.tls.destroy()
    this.kept.plain.destroy()
  }

  private async asked<Answer>(
    url: string,
    options: RequestOptions,
    body: SentBody,
    read: (response: IncomingMessage) => Promise<Answer>,
  ): Promise<Answer> {
    if (!this.allows(url)) throw unreachable(url, "it is not on the public internet, or without TLS")
    try {
      const response = await answerTo(url, { ...options, ...(!this.allowsLocal && { lookup: lookupPublic }) }, body)
      try {
        return await read(response)
      } finally {
        // One that has been read to its end leaves its connection to the next request.
        if (!response.readableEnded) response.destroy()
      }
    } catch (error) {
      throw isFailure(error) ? error : unreachable(url, String(error))
    }
  }
}

type SentBody = Uint8Array | AsyncIterable<Uint8Array> | undefined

const isAscii = (headers: RequestOptions["headers"] = {}): boolean =>
  Object.values(headers).every(value => /^[\x00-\x7f]*$/.test(String(value)))

/** A server that does not know `Expect` gets the body after this. */
const CONTINUE_MS = 1_000

function answerTo(url: string, options: RequestOptions, body: SentBody): Promise<IncomingMessage> {
  const request = url.startsWith("https:") ? requestOverTls : requestInTheClear
  return new Promise((resolve, reject) => {
    if (body === undefined || body instanceof Uint8Array)
      return void request(url, options, resolve).on("error", reject).end(body)
    // With `Expect` Node.js encodes headers as UTF-8: those that are other bytes go without it.
    const waits = isAscii(options.headers)
    const headers = { ...options.headers, ...(waits && { expect: "100-continue" }) }
    const sent = request(url, { ...options, headers }, response => {
      clearTimeout(waiting)
      // A body that is refused by its headers was not sent: the connection waits for it.
      response.once("end", () => void (sent.writableFinished || sent.destroy()))
      resolve(response)
    }).on("error", reject)
    const begin = (): void => {
      clearTimeout(waiting)
      // Once there is a response, it says what happened.
      pipeline(Readable.from(body), sent).catch((error: unknown) => {
        reject(error instanceof Error ? error : new Error(String(error)))
      })
    }
    const waiting = setTimeout(begin, waits ? CONTINUE_MS : 0)
    sent.once("continue", begin).once("close", () => clearTimeout(waiting))
  })
}

async function bodyOf(url: string, response: IncomingMessage, bytesMax: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let lengthBytes = 0
  const arriving: AsyncIterable<Uint8Array> = response
  for await (const piece of arriving) {
    lengthBytes += piece.length
    if (lengthBytes > bytesMax) throw unreachable(url, `more than ${bytesMax} bytes`)
    pieces.push(piece)
  }
  return concatBytes(pieces)
}

/** Connects to the checked address: the name is not resolved a second time. */
const lookupPublic: LookupFunction = (host, options, callback) =>
  lookup(host, { ...options, all: true }, (error, found: LookupAddress[] = []) => {
    const open = found.filter(({ address }) => isPublicAddress(address))
    const [first] = open
    if (error !== null) callback(error, [])
    else if (first === undefined) callback(new Error(`${host} has no address on the public internet`), [])
    else if (options.all === true) callback(null, open)
    else callback(null, first.address, first.family)
  })

const unreachable = (url: string, reason: string): Failure => fail("providerUnreachable", { url, reason })
