/**
 * The real web. It follows no redirection, so that it requests only the given address.
 *
 * Promises  Unless local addresses are allowed, it connects only over TLS and to addresses of the public internet,
 *           whatever name they have: otherwise a user who may name an address could make this machine request
 *           documents that only it can reach.
 */
import { lookup, type LookupAddress } from "node:dns"
import { request as requestInTheClear, type IncomingMessage } from "node:http"
import { request as requestOverTls, type RequestOptions } from "node:https"
import { isIP, type LookupFunction } from "node:net"
import { concatBytes } from "../../base/bytes.js"
import { fail, isFailure, type Failure } from "../../base/failures.js"
import type { Web } from "./contract.js"
import { isPublicAddress } from "./real-addresses.js"

interface Limits {
  readonly bytesMax: number
  readonly timeoutMs: number
}

export class RealWeb implements Web {
  /** `allowsLocal`: allows any address, also without TLS. */
  constructor(private readonly allowsLocal: boolean) {}

  allows(url: string): boolean {
    const { protocol, hostname } = new URL(url)
    if (this.allowsLocal) return protocol === "https:" || protocol === "http:"
    const host = hostname.replace(/^\[(.*)\]$/, "$1")
    return protocol === "https:" && (isIP(host) === 0 || isPublicAddress(host))
  }

  async get(url: string, { bytesMax, timeoutMs }: Limits): Promise<Uint8Array> {
    if (!this.allows(url)) throw unreachable(url, "it is not on the public internet, or without TLS")
    try {
      const signal = AbortSignal.timeout(timeoutMs)
      const headers = { accept: "application/json", "accept-encoding": "identity" }
      const response = await answerTo(url, {
        ...{ signal, headers, agent: false },
        ...(!this.allowsLocal && { lookup: lookupPublic }),
      })
      return await bodyOf(url, response, bytesMax)
    } catch (error) {
      throw isFailure(error) ? error : unreachable(url, String(error))
    }
  }
}

function answerTo(url: string, options: RequestOptions): Promise<IncomingMessage> {
  const request = url.startsWith("https:") ? requestOverTls : requestInTheClear
  return new Promise((resolve, reject) => request(url, options, resolve).on("error", reject).end())
}

async function bodyOf(url: string, response: IncomingMessage, bytesMax: number): Promise<Uint8Array> {
  try {
    if (response.statusCode !== 200) throw unreachable(url, `status ${response.statusCode ?? ""}`)
    const pieces: Uint8Array[] = []
    let lengthBytes = 0
    const arriving: AsyncIterable<Uint8Array> = response
    for await (const piece of arriving) {
      lengthBytes += piece.length
      if (lengthBytes > bytesMax) throw unreachable(url, `more than ${bytesMax} bytes`)
      pieces.push(piece)
    }
    return concatBytes(pieces)
  } finally {
    response.destroy()
  }
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
